//! Who is in a room, when nodes and Redis are lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use roomcast_broker::conformance::{self, Node, delta, table};
use roomcast_broker::{LEASE, event_queue};
use roomcast_broker_redis::{RedisBroker, RedisConfig};
use roomcast_protocol::Room;
use xtask::Redis;

/// What the interface promises: members of a node that dies leave within so long.
const GONE_WITHIN: Duration = Duration::from_secs(15);

fn node(redis: &Redis, id: u64) -> Node {
    let (sender, events) = event_queue();
    let config = RedisConfig::new(&redis.url(), "room:", Duration::from_secs(2)).unwrap();
    let (broker, driver) = RedisBroker::new(config, &conformance::node(id), sender, table());
    let driver = tokio::spawn(driver);
    Node::new(Arc::new(broker), events, move || driver.abort())
}

async fn node_in(redis: &Redis, id: u64, room: &Room) -> Node {
    let mut node = node(redis, id);
    node.subscribe(std::slice::from_ref(room)).await;
    while node.broker.nodes().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node
}

fn leaves(events: &[roomcast_broker::PresenceEvent]) -> Vec<String> {
    let changes = events.iter().flat_map(|event| &event.changes);
    let mut gone: Vec<_> =
        changes.filter(|change| change.connections == 0).map(|change| change.id.to_string()).collect();
    gone.sort();
    gone
}

#[tokio::test]
async fn members_of_a_node_that_dies_leave_once_within_the_lease() {
    let redis = Redis::start().unwrap();
    let room = Room::parse("a").unwrap();
    let dies = node_in(&redis, 1, &room).await;
    let (mut two, mut three) = (node_in(&redis, 2, &room).await, node_in(&redis, 3, &room).await);
    dies.broker.presence(vec![delta(&room, "alice", 2), delta(&room, "bob", 1)]);
    two.members_are(&room, &[("alice", 2), ("bob", 1)]).await;
    two.broker.presence(vec![delta(&room, "bob", 1), delta(&room, "carol", 1)]);
    let all = [("alice", 2), ("bob", 2), ("carol", 1)];
    two.presence_until(&room, &all).await;
    three.presence_until(&room, &all).await;

    let killed = std::time::Instant::now();
    drop(dies);
    for other in [&mut two, &mut three] {
        let mut events = Vec::new();
        while leaves(&events).is_empty() {
            events.push(other.presence().await);
        }
        assert_eq!(leaves(&events), ["ualice"]);
        assert!(killed.elapsed() < GONE_WITHIN, "the lease is {LEASE:?}, and it took {:?}", killed.elapsed());
        other.members_are(&room, &[("bob", 1), ("carol", 1)]).await;
    }
    // Nothing of the lost node stays behind.
    while redis.command(&[b"KEYS", b"*0000000000000001*"]).unwrap().trim() != "*0" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while redis.command(&[b"ZCARD", b"roomcast:presence"]).unwrap().trim() != ":2" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Nobody leaves twice.
    two.broker.presence(vec![delta(&room, "dave", 1)]);
    for other in [&mut two, &mut three] {
        let mut events = vec![other.presence().await];
        while !events.iter().flat_map(|event| &event.changes).any(|change| change.id.to_string() == "udave") {
            events.push(other.presence().await);
        }
        assert_eq!(leaves(&events), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_redis_that_has_forgotten_everything_is_told_again() {
    let redis = Redis::start().unwrap();
    let room = Room::parse("a").unwrap();
    let (one, two) = (node_in(&redis, 1, &room).await, node_in(&redis, 2, &room).await);
    one.broker.presence(vec![delta(&room, "alice", 1)]);
    two.broker.presence(vec![delta(&room, "alice", 1), delta(&room, "bob", 1)]);
    one.members_are(&room, &[("alice", 2), ("bob", 1)]).await;
    redis.command(&[b"FLUSHALL"]).unwrap();
    redis.command(&[b"FUNCTION", b"FLUSH"]).unwrap();
    one.members_are(&room, &[("alice", 2), ("bob", 1)]).await;
    // And nothing of what was is counted twice.
    two.broker.presence(vec![delta(&room, "alice", -1)]);
    one.members_are(&room, &[("alice", 1), ("bob", 1)]).await;
}

#[tokio::test]
async fn a_key_of_another_type_harms_one_room_only() {
    let redis = Redis::start().unwrap();
    let (bad, good) = (Room::parse("bad").unwrap(), Room::parse("good").unwrap());
    redis.command(&[b"SET", b"{room:bad}:p", b"something else"]).unwrap();
    let one = node_in(&redis, 1, &good).await;
    one.broker.presence(vec![delta(&bad, "alice", 1), delta(&good, "alice", 1)]);
    one.members_are(&good, &[("alice", 1)]).await;
    assert!(one.broker.members(bad.clone()).await.is_err());
    redis.command(&[b"DEL", b"{room:bad}:p"]).unwrap();
    one.members_are(&bad, &[("alice", 1)]).await;
}

/// The names under which nodes keep a lease.
fn names(redis: &Redis) -> Vec<String> {
    let answer = redis.command(&[b"ZRANGE", b"roomcast:presence", b"0", b"-1"]).unwrap();
    answer.lines().filter(|line| line.contains('.')).map(str::to_owned).collect()
}

/// Every lease has lapsed.
fn lapse(redis: &Redis) {
    for name in names(redis) {
        redis.command(&[b"ZADD", b"roomcast:presence", b"XX", b"1", name.as_bytes()]).unwrap();
    }
}

/// Nodes go by new names, and nothing is left of the old ones.
async fn renamed(redis: &Redis, old: &[String]) {
    loop {
        let now = names(redis);
        let keys = redis.command(&[b"KEYS", b"*"]).unwrap();
        let left = old.iter().any(|name| keys.lines().any(|key| key.ends_with(&**name)));
        if now.len() == old.len() && !left && old.iter().all(|name| !now.contains(name)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_is_told_before_a_node_knows_that_it_was_forgotten_is_counted_once() {
    let redis = Redis::start().unwrap();
    let room = Room::parse("a").unwrap();
    let one = node_in(&redis, 1, &room).await;
    one.broker.presence(vec![delta(&room, "alice", 1)]);
    one.members_are(&room, &[("alice", 1)]).await;
    let old = names(&redis);
    redis.command(&[b"FLUSHALL"]).unwrap();
    one.broker.presence(vec![delta(&room, "bob", 1)]);
    one.members_are(&room, &[("bob", 1)]).await;
    renamed(&redis, &old).await;
    one.members_are(&room, &[("alice", 1), ("bob", 1)]).await;
    one.broker.presence(vec![delta(&room, "bob", -1)]);
    one.members_are(&room, &[("alice", 1)]).await;
}

#[tokio::test]
async fn when_all_leases_lapse_at_once_nobody_leaves() {
    let redis = Redis::start().unwrap();
    let room = Room::parse("a").unwrap();
    let (one, mut two) = (node_in(&redis, 1, &room).await, node_in(&redis, 2, &room).await);
    one.broker.presence(vec![delta(&room, "alice", 1)]);
    two.broker.presence(vec![delta(&room, "bob", 1)]);
    two.presence_until(&room, &[("alice", 1), ("bob", 1)]).await;
    let old = names(&redis);
    lapse(&redis);
    renamed(&redis, &old).await;
    one.broker.presence(vec![delta(&room, "carol", 1)]);
    let mut events = Vec::new();
    while !events
        .iter()
        .flat_map(|event: &roomcast_broker::PresenceEvent| &event.changes)
        .any(|change| change.id.to_string() == "ucarol")
    {
        events.push(two.presence().await);
    }
    assert_eq!(leaves(&events), Vec::<String>::new());
    one.members_are(&room, &[("alice", 1), ("bob", 1), ("carol", 1)]).await;
}

#[tokio::test]
async fn a_lost_room_that_cannot_be_dropped_keeps_no_other_from_it() {
    let redis = Redis::start().unwrap();
    let (bad, good) = (Room::parse("bad").unwrap(), Room::parse("good").unwrap());
    let (one, two) = (node_in(&redis, 1, &good).await, node_in(&redis, 2, &good).await);
    let stays = node_in(&redis, 3, &good).await;
    one.broker.presence(vec![delta(&bad, "alice", 1)]);
    two.broker.presence(vec![delta(&good, "bob", 1)]);
    stays.broker.presence(vec![delta(&good, "carol", 1)]);
    one.members_are(&bad, &[("alice", 1)]).await;
    stays.members_are(&good, &[("bob", 1), ("carol", 1)]).await;
    redis.command(&[b"SET", b"{room:bad}:p", b"something else"]).unwrap();
    stays.broker.presence(vec![delta(&bad, "dave", 1)]);
    drop((one, two));
    for (score, name) in [(b"1", "0000000000000001.1"), (b"2", "0000000000000002.1")] {
        redis.command(&[b"ZADD", b"roomcast:presence", b"XX", score, name.as_bytes()]).unwrap();
    }
    stays.members_are(&good, &[("carol", 1)]).await;
}

#[tokio::test]
async fn a_redis_that_has_forgotten_the_last_changes_is_told_again() {
    let mut redis = Redis::start().unwrap();
    let room = Room::parse("a").unwrap();
    let one = node_in(&redis, 1, &room).await;
    one.broker.presence(vec![delta(&room, "alice", 1), delta(&room, "bob", 1)]);
    one.members_are(&room, &[("alice", 1), ("bob", 1)]).await;
    redis.command(&[b"SAVE"]).unwrap();
    one.broker.presence(vec![delta(&room, "alice", -1), delta(&room, "carol", 1)]);
    one.members_are(&room, &[("bob", 1), ("carol", 1)]).await;
    // The lease is still good there, and what was told last is not there, as with a replica that takes over.
    redis.restart().unwrap();
    while one.broker.members(room.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    one.members_are(&room, &[("bob", 1), ("carol", 1)]).await;
}

#[tokio::test]
async fn a_large_room_of_a_lost_node_is_left_by_all() {
    const MEMBERS: usize = 1200;
    let redis = Redis::start().unwrap();
    let room = Room::parse("a").unwrap();
    let (dies, mut stays) = (node_in(&redis, 1, &room).await, node_in(&redis, 2, &room).await);
    let names: Vec<_> = (0..MEMBERS).map(|i| i.to_string()).collect();
    dies.broker.presence(names.iter().map(|name| delta(&room, name, 1)).collect());
    let all: Vec<_> = names.iter().map(|name| (&**name, 1)).collect();
    stays.presence_until(&room, &all).await;
    drop(dies);
    lapse(&redis);
    stays.members_are(&room, &[]).await;
    let mut left = Vec::new();
    while left.len() < MEMBERS {
        left.extend(leaves(&[stays.presence().await]));
    }
    left.sort();
    left.dedup();
    assert_eq!(left.len(), MEMBERS, "someone has left twice");
    while redis.command(&[b"KEYS", b"*0000000000000001*"]).unwrap().trim() != "*0" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
