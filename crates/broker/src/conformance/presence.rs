//! Who is in a room: counted over all nodes, told once, and in order.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{ConnectionId, Member, MemberId, NodeId, Room};

use super::{Node, room};
use crate::{BrokerEvent, PresenceDelta, PresenceEvent, RoomMembers};

pub(super) async fn suite<F, C>(cluster: &mut F)
where
    F: FnMut() -> C,
    C: Future<Output = Vec<Node>>,
{
    members_are_counted_over_all_nodes(cluster().await).await;
    everybody_hears_the_same_in_order(cluster().await).await;
    a_short_absence_is_none(cluster().await).await;
    a_node_that_closes_takes_its_members_along(cluster().await).await;
}

/// A delta of a user.
pub fn delta(room: &Room, name: &str, connections: i32) -> PresenceDelta {
    let member = MemberId::User(name.into());
    PresenceDelta { room: room.clone(), member, info: Some(Arc::from("{\"x\":1}")), connections }
}

impl Node {
    /// The next event about presence; panics if none comes in time.
    pub async fn presence(&mut self) -> PresenceEvent {
        loop {
            if let BrokerEvent::Presence(event) = self.event().await {
                return event;
            }
        }
    }

    /// Reads events of the room until its members are these, by name and connections; gives the events.
    /// Checks that versions count up by one and that nothing is told that has not changed.
    pub async fn presence_until(&mut self, room: &Room, expected: &[(&str, u32)]) -> Vec<PresenceEvent> {
        let expected = names(expected);
        let mut events: Vec<PresenceEvent> = Vec::new();
        let mut now: BTreeMap<String, Member> = BTreeMap::new();
        while counts(now.values()) != expected {
            let event = self.presence().await;
            if event.room != *room {
                continue;
            }
            if let Some(before) = events.last() {
                assert_eq!(event.version, before.version + 1, "a version is missing");
            }
            for change in &event.changes {
                let before = now.get(&change.id.to_string());
                assert_ne!(before, Some(change), "told without a change");
                if change.connections == 0 {
                    now.remove(&change.id.to_string());
                } else {
                    now.insert(change.id.to_string(), change.clone());
                }
            }
            events.push(event);
        }
        events
    }

    /// Asks until the room's members are these.
    pub async fn members_are(&self, room: &Room, expected: &[(&str, u32)]) -> RoomMembers {
        let expected = names(expected);
        for _ in 0..2000 {
            let members = self.broker.members(room.clone()).await.expect("members");
            if counts(&members.members) == expected {
                return members;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the members of {room} never were {expected:?}");
    }
}

fn names(rows: &[(&str, u32)]) -> BTreeMap<String, u32> {
    rows.iter().map(|(name, connections)| (format!("u{name}"), *connections)).collect()
}

fn counts<'a>(members: impl IntoIterator<Item = &'a Member>) -> BTreeMap<String, u32> {
    members.into_iter().map(|member| (member.id.to_string(), member.connections)).collect()
}

async fn members_are_counted_over_all_nodes(nodes: Vec<Node>) {
    let here = room("present:1");
    let last = nodes.len() - 1;
    assert_eq!(nodes[0].broker.members(here.clone()).await.expect("read"), RoomMembers::default());
    nodes[0].broker.presence(vec![delta(&here, "alice", 1), delta(&here, "bob", 2)]);
    nodes[0].members_are(&here, &[("alice", 1), ("bob", 2)]).await;
    nodes[last].broker.presence(vec![delta(&here, "alice", 1)]);
    let members = nodes[0].members_are(&here, &[("alice", 2), ("bob", 2)]).await;
    assert!(members.version > 0);
    assert!(members.members.iter().all(|member| member.info.as_deref() == Some("{\"x\":1}")));
    nodes[0].broker.presence(vec![delta(&here, "alice", -1), delta(&here, "bob", -2)]);
    nodes[last].members_are(&here, &[("alice", 1)]).await;
    nodes[last].broker.presence(vec![delta(&here, "alice", -1)]);
    nodes[0].members_are(&here, &[]).await;
    // A connection without a user is a member of its own.
    let id = MemberId::Connection(ConnectionId { node: NodeId(1), serial: 31 });
    let anonymous = PresenceDelta { member: id.clone(), info: None, ..delta(&here, "", 1) };
    nodes[0].broker.presence(vec![anonymous]);
    let members = loop {
        let members = nodes[last].broker.members(here.clone()).await.expect("read").members;
        if !members.is_empty() {
            break members;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(members, [Member { id, connections: 1, info: None }]);
}

async fn everybody_hears_the_same_in_order(mut nodes: Vec<Node>) {
    let here = room("present:2");
    for node in &mut nodes {
        node.subscribe(std::slice::from_ref(&here)).await;
    }
    for i in 0..300 {
        let node = &nodes[i % nodes.len()];
        node.broker.presence(vec![delta(&here, &format!("user-{i}"), 1)]);
    }
    let all: Vec<_> = (0..300).map(|i| format!("user-{i}")).collect();
    let expected: Vec<_> = all.iter().map(|name| (&**name, 1)).collect();
    let mut heard = Vec::new();
    for node in &mut nodes {
        heard.push(node.presence_until(&here, &expected).await);
    }
    assert!(heard.iter().all(|events| *events == heard[0]), "nodes disagree");
    let last = heard[0].last().map(|event| event.version);
    assert_eq!(Some(nodes[0].members_are(&here, &expected).await.version), last);
}

async fn a_short_absence_is_none(mut nodes: Vec<Node>) {
    let here = room("present:3");
    let last = nodes.len() - 1;
    nodes[last].subscribe(std::slice::from_ref(&here)).await;
    nodes[0].broker.presence(vec![delta(&here, "alice", 1)]);
    nodes[last].presence_until(&here, &[("alice", 1)]).await;
    nodes[0].broker.presence(vec![delta(&here, "alice", -1)]);
    nodes[last].broker.presence(vec![delta(&here, "alice", 1)]);
    nodes[0].broker.presence(vec![delta(&here, "bob", 1)]);
    let mut bob_seen = false;
    while !bob_seen {
        for change in nodes[last].presence().await.changes {
            assert!(change.connections > 0, "{} has left", change.id);
            bob_seen |= change.id == MemberId::User("bob".into());
        }
    }
    nodes[0].members_are(&here, &[("alice", 1), ("bob", 1)]).await;
}

async fn a_node_that_closes_takes_its_members_along(mut nodes: Vec<Node>) {
    let here = room("present:4");
    let last = nodes.len() - 1;
    nodes[last].subscribe(std::slice::from_ref(&here)).await;
    nodes[0].broker.presence(vec![delta(&here, "alice", 1), delta(&here, "bob", 1)]);
    if last > 0 {
        nodes[last].broker.presence(vec![delta(&here, "bob", 1)]);
        nodes[last].presence_until(&here, &[("alice", 1), ("bob", 2)]).await;
    } else {
        nodes[last].presence_until(&here, &[("alice", 1), ("bob", 1)]).await;
    }
    nodes[0].broker.close().await;
    let mut left = Vec::new();
    let remaining: &[(&str, u32)] = if last > 0 { &[("bob", 1)] } else { &[] };
    nodes[last].members_are(&here, remaining).await;
    while !left.contains(&MemberId::User("alice".into())) {
        let changes = nodes[last].presence().await.changes;
        left.extend(changes.into_iter().filter(|change| change.connections == 0).map(|change| change.id));
    }
    assert_eq!(left.contains(&MemberId::User("bob".into())), last == 0);
}
