//! Proxies that do not let WebSockets through, and proxies that keep answers back until they are whole.

use serde_json::json;
use xtask::{Balancer, Kind, Node, free_port};

use crate::scene::{DURABLE, Scene};
use crate::sdk::Place;

/// nginx as it is without the lines that WebSockets need. With `buffering` it also keeps back what an application sends, whatever
/// that says.
fn proxy(nodes: &[Node], buffering: bool) -> Balancer {
    let port = free_port();
    let servers: String = nodes.iter().map(|node| format!("server 127.0.0.1:{};", node.port())).collect();
    let buffers = if buffering {
        "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on; proxy_buffers 8 256k;"
    } else {
        "proxy_buffering off;"
    };
    let configuration = format!(
        "events {{}}\nerror_log stderr;\npid nginx.pid;\nhttp {{\n access_log off;\n upstream gateway {{ {servers} }}\n server {{\n  listen 127.0.0.1:{port};\n  \
         location / {{ proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host; {buffers} }}\n }}\n}}\n"
    );
    Balancer::start_with(Kind::Nginx, port, &configuration).unwrap()
}

#[test]
fn what_a_proxy_does_not_let_through_comes_another_way() {
    let mut scene = Scene::start(&DURABLE, &[]);
    let (no_sockets, no_streams) = (proxy(&scene.nodes, false), proxy(&scene.nodes, true));
    for place in [Place::Node, Place::Chromium] {
        let configs = [no_sockets.port(), no_streams.port()].map(|port| scene.config(port, &json!({})));
        scene.add(place, &configs);
    }
    scene.wait_until_everyone_hears();
    scene.kill(0);
    scene.wait_until_everyone_hears();
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    for (client, transport) in told.iter().zip(["sse", "poll", "sse", "poll"]) {
        assert_eq!(client.transports[0], transport);
        assert!(!client.transports.contains(&"websocket".to_owned()));
    }
}
