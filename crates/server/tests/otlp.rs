//! Traces of publications, as a collector gets them: publish → broker → fan-out, across nodes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use roomcast_bench::{SseClient, WsClient, request};
use rustix::process::Signal;
use xtask::{Node, Redis, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A request, decoded and as it came.
type Kept = (ExportTraceServiceRequest, Vec<u8>);

/// A collector: keeps what it is sent, in the protocol's own types and as it came.
struct Collector {
    port: u16,
    kept: Arc<Mutex<Vec<Kept>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, kept) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<_>>>::default());
        let keep = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let body = answer(stream.unwrap());
                keep.lock().unwrap().push((ExportTraceServiceRequest::decode(&*body).unwrap(), body));
            }
        });
        Self { port, kept }
    }

    /// Arguments of a node that sends its traces here.
    fn arguments(&self, name: &str, one_in: u32) -> Vec<String> {
        let endpoint = format!("tracing.endpoint=http://127.0.0.1:{}/v1/traces", self.port);
        let settings = [endpoint, format!("node.name={name}"), format!("tracing.one_in={one_in}")];
        settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect()
    }

    /// All spans, each with the name of its node.
    fn spans(&self) -> Vec<(String, Span)> {
        let mut all = Vec::new();
        for (request, _) in &*self.kept.lock().unwrap() {
            for resource in &request.resource_spans {
                let attributes = &resource.resource.as_ref().unwrap().attributes;
                assert_eq!(text(attributes, "service.name"), "roomcast");
                let node = text(attributes, "service.instance.id");
                let spans = resource.scope_spans.iter().flat_map(|scope| scope.spans.clone());
                all.extend(spans.map(|span| (node.clone(), span)));
            }
        }
        all
    }
}

/// Reads one request and says that it is well.
fn answer(stream: TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head.push(std::mem::take(&mut line).trim().to_ascii_lowercase());
    }
    assert_eq!(head[0], "post /v1/traces http/1.1");
    assert!(head.contains(&"content-type: application/x-protobuf".to_owned()), "{head:?}");
    let len = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; len.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let ok = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.get_mut().write_all(ok.as_bytes()).unwrap();
    body
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn start(arguments: &[String]) -> Node {
    Node::start(BINARY, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

fn nodes(collector: &Collector, redis: &Redis, one_in: u32) -> Vec<Node> {
    let node = |name| {
        let set = ["--redis".to_owned(), redis.url(), "--set".into(), "namespaces.kept.history=10".into()];
        start(&[collector.arguments(name, one_in), set.into()].concat())
    };
    vec![node("one"), node("two")]
}

#[test]
fn a_publication_is_followed_from_the_callers_span_to_the_other_nodes_outboxes() {
    let (collector, redis) = (Collector::start(), Redis::start().unwrap());
    let nodes = nodes(&collector, &redis, 0);
    // One with history and one without go different ways through Redis.
    for room in ["kept:secret-room", "live:secret-room"] {
        let _ = collector.kept.lock().unwrap().drain(..);
        let mut stream = SseClient::open(nodes[1].port(), &format!("/sse?room={room}")).unwrap();
        let path = format!("/rooms/{room}/messages");
        let parent = format!("00-{TRACE}-{CALLER}-01");
        for parent in [&*parent, &format!("00-{TRACE}-{CALLER}-00"), "nonsense"] {
            let headers = [("traceparent", parent)];
            assert_eq!(
                request(nodes[0].port(), "POST", &path, &headers, b"secret-payload").unwrap().status,
                202
            );
            assert_eq!(stream.event().unwrap().data, "secret-payload");
        }
        wait_until("all three spans came", || collector.spans().len() >= 3);
        let spans = collector.spans();
        let [publish, broker, fan_out] = ["publish", "broker", "fan-out"].map(|name| {
            let mut found = spans.iter().filter(|(_, span)| span.name == name);
            let (node, span) = found.next().unwrap_or_else(|| panic!("{name} in {spans:?}")).clone();
            assert!(found.next().is_none(), "one publication is sampled: {spans:?}");
            assert_eq!(hex(&span.trace_id), TRACE);
            assert!(0 < span.start_time_unix_nano && span.start_time_unix_nano <= span.end_time_unix_nano);
            (node, span)
        });
        assert_eq!((&*publish.0, &*broker.0, &*fan_out.0), ("one", "one", "two"));
        assert_eq!(hex(&publish.1.parent_span_id), CALLER);
        assert_eq!(broker.1.parent_span_id, publish.1.span_id);
        assert_eq!(fan_out.1.parent_span_id, broker.1.span_id);
        let kinds = [&publish.1, &broker.1, &fan_out.1].map(Span::kind);
        assert_eq!(kinds, [SpanKind::Server, SpanKind::Producer, SpanKind::Consumer]);
        assert_eq!(text(&publish.1.attributes, "messaging.message.body.size"), "14");
        let namespace = room.split(':').next().unwrap();
        let template = text(&publish.1.attributes, "messaging.destination.template");
        assert_eq!(template, format!("{namespace}:{{room}}"));
        assert_eq!(text(&fan_out.1.attributes, "roomcast.members"), "1");
        for (_, bytes) in &*collector.kept.lock().unwrap() {
            let sent = String::from_utf8_lossy(bytes);
            assert!(!sent.contains("secret"), "neither payloads nor rooms: {sent}");
        }
    }
    let sent: f64 =
        nodes.iter().map(|node| node.metric("roomcast_trace_spans_total", "result=\"sent\"").unwrap()).sum();
    assert_eq!(sent, 6.0);
}

#[test]
fn what_has_not_been_sent_is_sent_at_the_end_and_chance_chooses() {
    let collector = Collector::start();
    let mut node = start(&collector.arguments("alone", 1));
    let mut socket = WsClient::raw(node.port(), "/ws?room=a&echo=true").unwrap();
    for i in 0..20 {
        socket.send_text(&i.to_string()).unwrap();
        socket.message().unwrap();
    }
    drop(socket);
    node.signal(Signal::TERM).unwrap();
    assert_eq!(node.wait(std::time::Duration::from_secs(30)).unwrap().code(), Some(0), "{}", node.output());
    let spans = collector.spans();
    assert_eq!(spans.len(), 60);
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|(_, span)| &span.trace_id).collect();
    assert_eq!(traces.len(), 20, "each publication is a trace of its own");
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let port = xtask::free_port();
    let endpoint = format!("tracing.endpoint=http://127.0.0.1:{port}/v1/traces");
    let node = Node::start(BINARY, &["--set", &endpoint, "--set", "tracing.one_in=1"]).unwrap();
    let mut stream = SseClient::open(node.port(), "/sse?room=a").unwrap();
    let mut publish = || {
        assert_eq!(request(node.port(), "POST", "/rooms/a/messages", &[], b"x").unwrap().status, 202);
        assert_eq!(stream.event().unwrap().data, "x");
    };
    (0..2).for_each(|_| publish());
    wait_until("it is counted", || {
        node.metric("roomcast_trace_spans_total", "result=\"failed\"").unwrap() >= 6.0
    });
    publish();
    wait_until("and again", || {
        node.metric("roomcast_trace_spans_total", "result=\"failed\"").unwrap() >= 9.0
    });
    assert_eq!(node.output().matches("traces cannot be sent").count(), 1, "said once: {}", node.output());
}
