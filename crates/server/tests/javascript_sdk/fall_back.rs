//! Proxies that do not let WebSockets through, and proxies that keep answers back until they are whole.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use serde_json::json;
use xtask::{Balancer, Kind, Node, free_port};

use crate::scene::{DURABLE, Scene};
use crate::sdk::Place;

/// nginx as it is without the lines that WebSockets need.
fn proxy_without_sockets(nodes: &[Node]) -> Balancer {
    let port = free_port();
    let servers: String = nodes.iter().map(|node| format!("server 127.0.0.1:{};", node.port())).collect();
    let configuration = format!(
        "events {{}}\npid nginx.pid;\nhttp {{\n  access_log off;\n  upstream gateway {{ {servers} }}\n\
         server {{\n  listen 127.0.0.1:{port};\n  location / {{\n    proxy_pass http://gateway;\n    \
         proxy_set_header Host $http_host;\n    proxy_buffering off;\n  }}\n}}\n}}\n"
    );
    Balancer::start_with(Kind::Nginx, port, &configuration).unwrap()
}

/// A proxy that passes answers on when they are whole, as those do that look for viruses: a stream never is. Gives its port; it
/// lives as long as the test.
fn proxy_that_buffers(node: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                // Whoever is gone is not told.
                let _ = pass_on(client, node);
            });
        }
    });
    port
}

/// One request, and one answer.
fn pass_on(mut client: TcpStream, node: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length, mut is_socket) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if line.trim().is_empty() {
            break;
        }
        is_socket |= lower.starts_with("upgrade:");
        length = lower.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    if is_socket {
        return client
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, node))?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)
}

#[test]
fn what_a_proxy_does_not_let_through_comes_another_way() {
    let mut scene = Scene::start(&DURABLE, &[]);
    let no_sockets = proxy_without_sockets(&scene.nodes);
    let no_streams = proxy_that_buffers(scene.nodes[0].port());
    for place in [Place::Node, Place::Chromium] {
        // The first has all the time that a slow machine needs; the others stand for time that is up.
        let ways = [(no_sockets.port(), 30_000), (no_streams, 1500)];
        let configs = ways.map(|(port, ms)| scene.config(port, &json!({ "openTimeoutMs": ms })));
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
