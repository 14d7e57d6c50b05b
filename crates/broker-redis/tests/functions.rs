//! What backend services call, and what happens to history when Redis is not as it should be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use roomcast_broker::conformance::{self, Node, table};
use roomcast_broker::{BrokerErrorKind, event_queue};
use roomcast_broker_redis::{RedisBroker, RedisConfig};
use roomcast_protocol::{Payload, PayloadKind, Position, Publication, Room};
use xtask::Redis;

async fn node(redis: &Redis, id: u64) -> Node {
    let config = RedisConfig::new(&redis.url(), "room:", Duration::from_secs(2)).unwrap();
    let (sender, events) = event_queue();
    let (broker, driver) = RedisBroker::new(config, &conformance::node(id), sender, table());
    let driver = tokio::spawn(driver);
    let node = Node::new(Arc::new(broker), events, move || driver.abort());
    while node.broker.probe(0).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node
}

fn room(name: &str) -> Room {
    Room::parse(name).unwrap()
}

fn message(name: &str, text: &str) -> Publication {
    Publication::plain(room(name), Payload::untyped(text.to_owned()))
}

fn fcall(redis: &Redis, parts: &[&str]) -> Result<String, String> {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    redis.command(&parts).map_err(|error| error.to_string())
}

#[tokio::test]
async fn backends_publish_with_one_command() {
    let redis = Redis::start().unwrap();
    let mut node = node(&redis, 1).await;
    node.subscribe(&[room("kept:a"), room("other")]).await;
    let publish = |parts: &[&str]| fcall(&redis, &[&["FCALL", "roomcast_publish", "1"], parts].concat());

    let id =
        publish(&["room:kept:a", "{\"n\":1}", "event", "order paid", "TYPE", "json", "KEY", "k1"]).unwrap();
    let heard = node.publication().await;
    let position = heard.position.unwrap();
    assert!(id.contains(&position.to_string()), "{id}");
    assert_eq!(heard.payload, Payload::new(PayloadKind::Json, "{\"n\":1}"));
    assert_eq!(heard.event.unwrap().as_str(), "order paid");
    assert!(heard.published_us.is_some());
    assert_eq!(publish(&["room:kept:a", "again", "KEY", "k1"]).unwrap(), id, "the same key, the first id");

    // Gateways and backends share one numbering.
    let next = node.broker.publish(message("kept:a", "2"), None).await.unwrap().unwrap();
    assert_eq!(next, Position { offset: position.offset + 1, ..position });
    assert_eq!(node.publication().await.position, Some(next));

    assert_eq!(publish(&["room:other", "x", "TYPE", "bytes"]).unwrap(), "$-1\r\n", "no history, no id");
    assert_eq!(node.publication().await.payload.kind, PayloadKind::Bytes);

    let read = fcall(&redis, &["FCALL_RO", "roomcast_history", "1", "room:kept:a", "", "10"]).unwrap();
    assert!(
        read.contains("order paid") && read.contains("{\"n\":1}") && read.contains(&next.to_string()),
        "{read}"
    );
    let after = position.to_string();
    let rest = fcall(&redis, &["FCALL_RO", "roomcast_history", "1", "room:kept:a", &after, "10"]).unwrap();
    assert!(!rest.contains("order paid") && rest.contains(&next.to_string()), "{rest}");
}

#[tokio::test]
async fn wrong_calls_of_backends_are_told_what_is_right() {
    let redis = Redis::start().unwrap();
    let _node = node(&redis, 1).await;
    let long = "r".repeat(201);
    let long_room = format!("room:{long}");
    let cases: [(&[&str], &str); 9] = [
        (&["roomcast_publish", "1", "room:a"], "payload is missing"),
        (&["roomcast_publish", "1", "a", "x"], "the key must be room:<room>"),
        (&["roomcast_publish", "1", "room:a b", "x"], "1 to 200"),
        (&["roomcast_publish", "1", &long_room, "x"], "1 to 200"),
        (&["roomcast_publish", "1", "room:a", "x", "EVENT"], "options are"),
        (&["roomcast_publish", "1", "room:a", "x", "COLOUR", "red"], "options are"),
        (&["roomcast_publish", "1", "room:a", "x", "TYPE", "xml"], "TYPE is json, text or bytes"),
        (&["roomcast_publish", "1", "room:a", "x", "EVENT", "a\nb"], "no control characters"),
        (&["roomcast_history", "1", "room:kept:a", "x", "5"], "after is an id"),
    ];
    for (call, expected) in cases {
        let error = fcall(&redis, &[&["FCALL"], call].concat()).unwrap_err();
        assert!(error.contains(expected), "{call:?}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_lost_its_functions_gets_them_back() {
    let redis = Redis::start().unwrap();
    let node = node(&redis, 1).await;
    fcall(&redis, &["FUNCTION", "FLUSH"]).unwrap();
    let position = node.broker.publish(message("kept:a", "1"), None).await.unwrap();
    assert!(position.is_some(), "published at once, by putting the functions back");
    assert!(fcall(&redis, &["FCALL", "roomcast_publish", "1", "room:kept:a", "2"]).is_ok());
    let page = node.broker.history(room("kept:a"), None, 10).await.unwrap();
    assert_eq!(page.messages.len(), 2);
}

#[tokio::test]
async fn two_nodes_and_a_newer_version_do_not_fight() {
    let redis = Redis::start().unwrap();
    let _first = node(&redis, 1).await;
    let _second = node(&redis, 2).await;
    let newer = "#!lua name=roomcast\n-- version 99\nredis.register_function('roomcast_publish', function() return 'newer' end)";
    fcall(&redis, &["FUNCTION", "LOAD", "REPLACE", newer]).unwrap();
    let third = node(&redis, 3).await;
    third.broker.publish(message("kept:a", "1"), None).await.unwrap();
    let answer = fcall(&redis, &["FCALL", "roomcast_publish", "1", "room:a", "x"]).unwrap();
    assert!(answer.contains("newer"), "{answer}");
}

#[tokio::test]
async fn a_key_of_the_wrong_type_is_an_error_and_nothing_is_destroyed() {
    let redis = Redis::start().unwrap();
    let node = node(&redis, 1).await;
    fcall(&redis, &["SET", "{room:kept:a}:s", "somebody's"]).unwrap();
    let error = node.broker.publish(message("kept:a", "1"), None).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Rejected);
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    assert!(node.broker.history(room("kept:a"), None, 10).await.is_err());
    assert!(fcall(&redis, &["GET", "{room:kept:a}:s"]).unwrap().contains("somebody's"));
    assert!(node.broker.publish(message("kept:b", "1"), None).await.is_ok(), "other rooms are not concerned");
}

#[tokio::test]
async fn a_full_redis_refuses_and_does_nothing_by_half() {
    let redis = Redis::start().unwrap();
    let mut node = node(&redis, 1).await;
    node.subscribe(&[room("kept:a")]).await;
    let first = node.broker.publish(message("kept:a", "1"), None).await.unwrap().unwrap();
    assert_eq!(node.publication().await.position, Some(first));
    fcall(&redis, &["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let error = node.broker.publish(message("kept:a", "lost"), None).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Rejected);
    assert!(error.to_string().contains("OOM"), "{error}");
    fcall(&redis, &["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    let second = node.broker.publish(message("kept:a", "2"), None).await.unwrap().unwrap();
    assert_eq!(second.offset, first.offset + 1, "no id was used up");
    assert_eq!(node.publication().await, Publication { position: Some(second), ..message("kept:a", "2") });
}

#[tokio::test]
async fn lost_history_begins_a_new_epoch() {
    let redis = Redis::start().unwrap();
    let node = node(&redis, 1).await;
    let publish =
        async |text: &str| node.broker.publish(message("kept:a", text), None).await.unwrap().unwrap();
    let first = publish("1").await;
    let second = publish("2").await;
    // Deleted, evicted: the stream is gone.
    fcall(&redis, &["DEL", "{room:kept:a}:s"]).unwrap();
    assert!(node.broker.history(room("kept:a"), None, 10).await.unwrap().gone);
    let third = publish("3").await;
    assert!(third.epoch > first.epoch && third.offset == 0);
    // The tail is gone, as after a crash: what was seen is not there any more.
    let fourth = publish("4").await;
    fcall(&redis, &["XTRIM", "{room:kept:a}:s", "MAXLEN", "0"]).unwrap();
    node.broker.renew(room("kept:a"), second).await.unwrap();
    node.broker.renew(room("kept:a"), fourth).await.unwrap();
    let fifth = publish("5").await;
    assert!(fifth.epoch > fourth.epoch, "{fifth} after {fourth}");
    // The history has what was seen: nothing is renewed.
    node.broker.renew(room("kept:a"), fifth).await.unwrap();
    let sixth = publish("6").await;
    assert_eq!(sixth, Position { offset: 1, ..fifth });
}
