//! Who gets its own message.

use serde_json::{Value, json};

use crate::cluster::{BALANCERS, Cluster};
use crate::content::Content;
use crate::sockets::{LIBRARIES, Sockets};

#[test]
fn raw_mode_does_not_echo_unless_asked() {
    let cluster = Cluster::start();
    for kind in BALANCERS {
        let balancer = cluster.balancer(kind);
        let port = balancer.port();
        for library in LIBRARIES {
            let mut silent = Sockets::raw(library, port, "/ws?room=a", 2);
            let mut echoing = Sockets::raw(library, port, "/ws?room=a&echo=true", 1);
            let [first, second, third] = ["first", "second", "third"].map(Content::text);

            // The end of each exchange reaches everybody, so that an echo would be seen before it.
            silent.send(0, &first);
            assert_eq!(silent.message(1), first);
            assert_eq!(echoing.message(0), first);
            echoing.send(0, &second);
            assert_eq!(echoing.message(0), second);
            assert_eq!(silent.message(0), second);
            assert_eq!(silent.message(1), second);
            cluster.redis_cli("a", third.as_bytes());
            assert_eq!(
                [silent.message(0), silent.message(1), echoing.message(0)],
                std::array::from_fn(|_| third.clone())
            );
            silent.finish();
            echoing.finish();
        }
    }
}

#[test]
fn json_mode_echoes_unless_told_not_to() {
    let cluster = Cluster::start();
    for kind in BALANCERS {
        let balancer = cluster.balancer(kind);
        for library in LIBRARIES {
            let mut clients = Sockets::json(library, balancer.port(), "/ws?room=a", 2);
            let publish = |data: &str, more: Value| {
                let mut command = json!({ "type": "publish", "room": "a", "data": data });
                command.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                command
            };
            clients.command(0, &publish("default", json!({})));
            clients.command(0, &publish("wanted", json!({ "echo": true })));
            clients.command(0, &publish("unwanted", json!({ "echo": false })));
            clients.command(0, &publish("last", json!({})));
            for expected in ["default", "wanted", "last"] {
                assert_eq!(clients.message(0), Content::text(expected));
            }
            for expected in ["default", "wanted", "unwanted", "last"] {
                assert_eq!(clients.message(1), Content::text(expected));
            }
            clients.finish();
        }
    }
}
