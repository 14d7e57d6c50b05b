//! Every query of the dashboards and rules, put to a real Prometheus that scrapes three nodes under a little traffic.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use roomcast_bench::{SseClient, WsClient, request};
use serde_json::Value;
use xtask::process::http_get;
use xtask::{Node, Prometheus, Redis};

use crate::dashboards::{Query, array, dashboards, queries};
use crate::{RULES, document, metrics_in};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
/// How long all queries may take to have data. Only bounds a failure.
const LIMIT: Duration = Duration::from_secs(90);

/// Nodes and clients of each transport.
struct Scene {
    prometheus: Prometheus,
    nodes: Vec<Node>,
    sockets: Vec<WsClient>,
    json: WsClient,
    streams: Vec<SseClient>,
    _redis: Redis,
}

impl Scene {
    fn start() -> Self {
        let redis = Redis::start().unwrap();
        let url = redis.url();
        let arguments = ["--redis", &url, "--set", "namespaces.default.history=100"];
        let nodes: Vec<_> = (0..3).map(|_| Node::start(BINARY, &arguments).unwrap()).collect();
        let admin_ports: Vec<_> = nodes.iter().map(Node::admin_port).collect();
        let prometheus = Prometheus::start(&admin_ports).unwrap();
        let sockets = nodes.iter().map(|node| WsClient::raw(node.port(), "/ws?room=a").unwrap()).collect();
        let streams = nodes.iter().map(|node| SseClient::open(node.port(), "/sse?room=a").unwrap()).collect();
        let json = WsClient::json(nodes[0].port(), "/ws?room=a").unwrap();
        Self { prometheus, nodes, sockets, json, streams, _redis: redis }
    }

    /// A little of everything: messages by each way in, a request that is refused, and a client that comes back.
    fn traffic(&mut self) {
        for socket in &mut self.sockets {
            socket.send_text("from a socket").unwrap();
        }
        self.json.send_text(r#"{"type":"publish","room":"a","data":"from a command"}"#).unwrap();
        for (node, stream) in self.nodes.iter().zip(&mut self.streams) {
            let answer = request(node.port(), "POST", "/rooms/a/messages", &[], b"by HTTP").unwrap();
            assert_eq!(answer.status, 202);
            let refused = request(node.port(), "GET", "/sse?room=no%20room", &[], b"").unwrap();
            assert_eq!(refused.status, 400);
            let event = stream.event().unwrap();
            let came_back = [("Last-Event-ID", &*event.id)];
            *stream = SseClient::connect(node.port(), "/sse?room=a", &came_back).unwrap().unwrap();
        }
    }

    /// What a query gives, where that is data: a number that is one.
    fn data(&self, expression: &str) -> Option<Vec<f64>> {
        self.prometheus.data(expression).unwrap()
    }

    /// Makes traffic until each query has data.
    #[track_caller]
    fn expect_data(&mut self, mut waiting: Vec<Query>) {
        let begin = Instant::now();
        while !waiting.is_empty() {
            self.traffic();
            waiting.retain(|query| self.data(&query.expression).is_none());
            if begin.elapsed() > LIMIT {
                let without: Vec<_> =
                    waiting.iter().map(|query| format!("{}: {}", query.place, query.expression)).collect();
                panic!("no data:\n{}\n{}", without.join("\n"), self.prometheus.output());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// As Grafana would ask when all is chosen.
fn resolved(expression: &str) -> String {
    let resolved =
        expression.replace("$__rate_interval", "15s").replace("$job", ".*").replace("$instance", ".*");
    assert!(!resolved.contains('$'), "a variable is not known: {expression}");
    resolved
}

#[test]
fn every_query_has_data_and_has_none_when_a_metric_is_renamed() {
    let mut scene = Scene::start();
    // Those about k6 have a test of their own, and `cargo xtask loadtest` runs k6 for them.
    let panels = queries().into_iter().filter(|query| !query.is_about_k6());
    let panels = panels.map(|query| Query { expression: resolved(&query.expression), ..query });
    let panels: Vec<_> = panels.collect();
    let expressions: Vec<_> = panels.iter().map(|query| query.expression.clone()).collect();
    // All that rules ask for or record; what an alert compares it with is promtool's matter.
    let rules = metrics_in(&document(RULES)).into_iter().map(|name| Query::named_in(RULES, name));
    let named = metrics_in(&document("docs/runbooks.md"));
    let named = named.into_iter().map(|name| Query::named_in("docs/runbooks.md", name));
    scene.expect_data(panels.into_iter().chain(rules).chain(named).collect());

    for expression in expressions {
        let metrics = metrics_in(&expression);
        assert!(!metrics.is_empty(), "{expression} is about something");
        for metric in metrics {
            let renamed = expression.replace(&metric, &format!("{metric}_renamed"));
            assert_eq!(scene.data(&renamed), None, "{renamed} would not be noticed");
        }
    }
    choices_have_values(&scene);
    rules_are_well(&scene);
    nothing_is_wrong(&scene);
    promtool_takes_what_is_scraped(&scene);
}

/// What can be chosen on top of a dashboard.
fn choices_have_values(scene: &Scene) {
    for (file, dashboard) in dashboards() {
        for variable in array(&dashboard["templating"], "list").iter().filter(|one| one["type"] == "query") {
            let query = variable["query"]["query"].as_str().unwrap();
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (series, label) = inner.rsplit_once(", ").unwrap();
            if series.starts_with("k6_") {
                continue;
            }
            let counted = scene.data(&format!("count by ({label}) ({})", resolved(series)));
            let chosen = if label == "job" { 1 } else { scene.nodes.len() };
            assert_eq!(counted.map(|values| values.len()), Some(chosen), "{file}: {query}");
        }
    }
}

fn rules_are_well(scene: &Scene) {
    let answer: Value = serde_json::from_str(&scene.prometheus.ask("rules", &[]).unwrap()).unwrap();
    let rules: Vec<_> =
        array(&answer["data"], "groups").iter().flat_map(|group| array(group, "rules")).collect();
    assert!(!rules.is_empty());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

/// A cluster that works is no reason to wake anybody.
fn nothing_is_wrong(scene: &Scene) {
    assert_eq!(
        scene.data(r#"ALERTS{alertstate="firing"}"#),
        None,
        "{}",
        scene.prometheus.query("ALERTS").unwrap()
    );
    assert_eq!(scene.data(r#"sum(up{job="roomcast"})"#), Some(vec![3.0]));
}

fn promtool_takes_what_is_scraped(scene: &Scene) {
    for node in &scene.nodes {
        let scrape = http_get(node.admin_port(), "/metrics").unwrap();
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        promtool.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
}
