//! Conversations with the embedded broker, without a transport.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use roomcast_broker::{Broker, MemoryBroker, NodeInfo, event_queue};
use roomcast_hub::{HubStatus, Router, Shard, queues};
use roomcast_protocol::NodeId;
use serde_json::{Value, json};
use tokio::task::{LocalSet, spawn_local};

use super::*;
use crate::auth::Algorithm::HS256;
use crate::auth::{Access, Authenticator, ExpiryRule, Key, KeySet, Rules, SigningKey, sign};
use crate::core::{CoreShared, now_s};
use crate::settings::{Namespace, Namespaces, PublishRule, Settings};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn settings() -> Settings {
    let wall = Namespace { publish: PublishRule::Anyone, ..Namespace::default() };
    let slow = Namespace { rate: 1, presence: true, ..Namespace::default() };
    Settings::for_tests(10, Namespaces { default: slow, named: HashMap::from([("wall".to_owned(), wall)]) })
}

/// A core with everything behind it. Needs a `LocalSet` around it.
fn core() -> Rc<Core> {
    let node = NodeId(1);
    let (events, receiver) = event_queue();
    let settings = settings();
    let retention = Arc::new(ArcSwap::from_pointee(settings.namespaces.retention()));
    let (broker, driver) = MemoryBroker::new(NodeInfo { id: node, name: "n".into() }, events, retention);
    let broker: Arc<dyn Broker> = Arc::new(broker);
    let hub = Arc::<HubStatus>::default();
    let (router_queues, mut shards) = queues(1);
    let own = shards.remove(0);
    let router = Router::new(Arc::clone(&broker), receiver, router_queues, Arc::clone(&hub));
    let shard = Rc::new(Shard::new(0, Arc::default(), own.requests, Instant::now()));
    spawn_local(driver);
    spawn_local(router.run());
    spawn_local(Rc::clone(&shard).run(own.inbox));
    spawn_local(Rc::clone(&shard).announce(own.interest));
    let rules = Rules { issuer: None, audiences: Vec::new(), leeway_s: 0, expiry: ExpiryRule::Required };
    let keys = Arc::new(KeySet::new(vec![Key::read(HS256, None, SECRET).unwrap()]));
    let authenticator = Arc::new(Authenticator::new(Access { rules, keys, source: None }));
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    let users = Arc::default();
    Rc::new(Core::new(
        0,
        shard,
        CoreShared { node, broker, hub, settings, authenticator, users, tracer: None },
    ))
}

fn token(user: &str, rooms: &Value) -> String {
    let claims = json!({ "sub": user, "exp": now_s() + 3600, "rooms": rooms });
    sign(&SigningKey::read(HS256, SECRET).unwrap(), None, &claims).unwrap()
}

/// A client of JSON mode that has said hello.
async fn client(core: &Rc<Core>, token: Option<&str>) -> Session {
    let identity = core.admit(token).await.unwrap();
    let session = Session::begin(core, WireForm::WebSocketJson, None, &[], identity).await.unwrap();
    session.greet(None).await.unwrap();
    while session.outbox().take().is_some() {}
    session
}

/// Says something, and gives everything that was said since, without the heads of frames.
async fn say(session: &Session, command: Value) -> Vec<Value> {
    let _ = session.receive(true, command.to_string().into()).await;
    std::iter::from_fn(|| session.outbox().take())
        .map(|frame| {
            let begin = frame.iter().position(|byte| *byte == b'{').unwrap();
            serde_json::from_slice(&frame[begin..]).unwrap()
        })
        .collect()
}

/// Waits until the client is told something.
async fn until(session: &Session, is_it: impl Fn(&Value) -> bool) {
    while !say(session, json!({ "type": "ping" })).await.iter().any(&is_it) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn tells_of_bob(answer: &Value) -> bool {
    let joined = answer["joined"].as_array();
    joined.is_some_and(|members| members.iter().any(|member| member["user"] == "bob"))
}

fn publish(room: &str) -> Value {
    json!({ "type": "publish", "room": room, "data": 1 })
}

async fn run(test: impl Future<Output = ()>) {
    timeout(Duration::from_secs(60), LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn who_is_told_to_go_may_do_nothing_more() {
    run(async {
        let core = core();
        let session = client(&core, Some(&token("alice", &json!({ "publish": ["*"] })))).await;
        assert_eq!(say(&session, publish("wall:a")).await[0]["type"], "ok");
        session.pulse().disconnect();
        assert!(say(&session, publish("wall:a")).await.is_empty());
        assert_eq!(
            (core.stats().published.get(), core.stats().received[session.form() as usize].get()),
            (1, 2)
        );
    })
    .await;
}

#[tokio::test]
async fn who_may_publish_without_a_token_needs_none() {
    run(async {
        let core = core();
        let session = client(&core, None).await;
        assert!(session.time_left().is_some());
        assert_eq!(say(&session, publish("other")).await[0]["code"], "unauthorized");
        assert!(session.time_left().is_some());
        assert_eq!(say(&session, publish("wall:a")).await[0]["type"], "ok");
        assert_eq!(session.time_left(), None);
    })
    .await;
}

#[tokio::test]
async fn names_that_are_made_up_bring_no_rates_of_their_own() {
    run(async {
        let core = core();
        let session = client(&core, Some(&token("alice", &json!({ "publish": ["*"] })))).await;
        let mut limited = 0;
        for n in 0..50 {
            limited +=
                usize::from(say(&session, publish(&format!("n{n}:a"))).await[0]["code"] == "rate_limited");
        }
        assert!(limited > 0);
    })
    .await;
}

#[tokio::test]
async fn a_fresh_token_ends_what_it_does_not_grant() {
    run(async {
        let core = core();
        let all = json!({ "subscribe": ["*"], "presence": ["*"] });
        let session = client(&core, Some(&token("alice", &all))).await;
        let other = client(&core, Some(&token("carol", &all))).await;
        for room in ["a", "b"] {
            for client in [&session, &other] {
                let subscribe = json!({ "type": "subscribe", "room": room, "presence": true });
                let answers = say(client, subscribe).await;
                assert!(answers.iter().any(|answer| answer["type"] == "subscribed"));
                until(client, |answer| answer["type"] == "members" && answer["room"] == room).await;
            }
        }
        let less = token("alice", &json!({ "subscribe": ["a"] }));
        let answers = say(&session, json!({ "type": "auth", "token": less })).await;
        let unsubscribed = |answer: &Value| answer["type"] == "unsubscribed" && answer["room"] == "b";
        assert!(answers.iter().any(unsubscribed) && answers.iter().any(|answer| answer["type"] == "ok"));
        // Someone comes, and is seen by the one who may see it.
        let bob = core.admit(Some(&token("bob", &all))).await.unwrap();
        let room = Room::parse("a").unwrap();
        let _bob = Session::begin(&core, WireForm::Sse, None, &[room], bob).await.unwrap();
        until(&other, tells_of_bob).await;
        let answers = say(&session, json!({ "type": "ping" })).await;
        assert!(!answers.iter().any(tells_of_bob), "{answers:?}");
    })
    .await;
}
