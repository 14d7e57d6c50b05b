//! A shard without sockets, clocks or a broker.

use std::pin::pin;
use std::task::{Context, Waker};

use bytes::Bytes;
use roomcast_protocol::wire::deflate::{DeflateSettings, Window};
use roomcast_protocol::{Close, NodeId, Payload, Publication};

use super::*;
use crate::Compression;
use crate::room::HELD_MESSAGES_MAX;

struct Client {
    outbox: Rc<Outbox>,
    id: ConnectionId,
}

fn shard() -> Rc<Shard> {
    let (slices, _) = tokio::sync::mpsc::channel(1);
    Rc::new(Shard::new(0, Arc::default(), slices, Instant::now()))
}

fn room(name: &str) -> Room {
    Room::parse(name).unwrap()
}

fn client(shard: &Shard, serial: u64) -> Client {
    let outbox = Rc::new(Outbox::new(10_000, WireForm::WebSocketRaw, Arc::clone(shard.stats())));
    Client { outbox, id: ConnectionId { node: NodeId(1), serial } }
}

fn join(shard: &Rc<Shard>, client: &Client, name: &str) -> Membership {
    shard.join(&room(name), client.id, &client.outbox, OverflowPolicy::Disconnect, None, None)
}

fn publish(shard: &Shard, name: &str, text: &str, except: Option<ConnectionId>) {
    let payload = Payload::untyped(text.to_owned());
    let publication = Publication { except, ..Publication::plain(room(name), payload) };
    shard.handle(ShardMessage::Publication(Arc::new(Push::new(publication))));
}

fn confirmed(stay: u32) -> ShardMessage {
    ShardMessage::Confirmed(vec![Confirmation { room: room("x"), stay, top: None }])
}

/// Payloads of the raw frames that wait.
fn drain(client: &Client) -> Vec<String> {
    std::iter::from_fn(|| client.outbox.take())
        .map(|frame: Bytes| String::from_utf8(frame[2..].to_vec()).unwrap())
        .collect()
}

fn is_confirmed(membership: &Membership) -> bool {
    pin!(membership.confirmation()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn members_of_the_room_get_it_and_nobody_else() {
    let shard = shard();
    let (a, b, c) = (client(&shard, 1), client(&shard, 2), client(&shard, 3));
    let _memberships = [join(&shard, &a, "x"), join(&shard, &b, "x"), join(&shard, &c, "y")].map(|m| {
        m.release(None);
        m
    });
    publish(&shard, "x", "hello", None);
    publish(&shard, "x", "not to its sender", Some(a.id));
    publish(&shard, "nowhere", "lost", None);
    assert_eq!(drain(&a), ["hello"]);
    assert_eq!(drain(&b), ["hello", "not to its sender"]);
    assert!(drain(&c).is_empty());
}

/// One message, compressed once for each window that is in use; the same bytes for all who share it.
#[test]
fn messages_are_compressed_once_for_all_who_take_them() {
    let shard = shard();
    let settings = DeflateSettings { level: 1, threshold: 20, window_bits: 15 };
    let compression = Compression::new(settings, shard.stats());
    let clients: Vec<_> = (0..5).map(|serial| client(&shard, serial)).collect();
    for (place, window) in [(1, Window::Configured), (2, Window::Configured), (3, Window::Smallest)] {
        clients[place].outbox.compress_with(compression.compressor(window));
    }
    let join = |client| join(&shard, client, "x");
    let memberships: Vec<_> = clients.iter().map(join).collect();
    // The last one is given it when it is released.
    clients[4].outbox.compress_with(compression.compressor(Window::Configured));
    memberships[..4].iter().for_each(|membership| membership.release(None));
    let long = "compress me ".repeat(10);
    publish(&shard, "x", &long, None);
    publish(&shard, "x", "short", None);
    memberships[4].release(None);
    let frames: Vec<Vec<Bytes>> =
        clients.iter().map(|client| std::iter::from_fn(|| client.outbox.take()).collect()).collect();
    assert!(frames.iter().all(|frames| frames.len() == 2 && frames[1][..] == b"\x81\x05short"[..]));
    let long: Vec<_> = frames.iter().map(|frames| &frames[0]).collect();
    assert_eq!((long[0][0], &long[0][2..]), (0x81, "compress me ".repeat(10).as_bytes()));
    for compressed in &long[1..] {
        assert!(compressed[0] == 0xc1 && compressed.len() < 30, "{compressed:?}");
    }
    assert_eq!([long[1].as_ptr(); 2], [long[2].as_ptr(), long[4].as_ptr()]);
    assert_ne!(long[1].as_ptr(), long[3].as_ptr());
    let stats = shard.stats();
    assert_eq!(stats.deflated_from_bytes.get(), 2 * long[0].len() as u64);
    assert_eq!(stats.deflated_bytes.get(), (long[1].len() + long[3].len()) as u64);
}

#[test]
fn messages_are_held_until_release_and_keep_their_order() {
    let shard = shard();
    let a = client(&shard, 1);
    let membership = join(&shard, &a, "x");
    publish(&shard, "x", "1", None);
    publish(&shard, "x", "2", None);
    assert!(drain(&a).is_empty());
    membership.release(None);
    publish(&shard, "x", "3", None);
    assert_eq!(drain(&a), ["1", "2", "3"]);
}

#[test]
fn held_messages_are_bounded() {
    let shard = shard();
    let a = client(&shard, 1);
    let _membership = join(&shard, &a, "x");
    for _ in 0..=HELD_MESSAGES_MAX {
        publish(&shard, "x", "1", None);
    }
    assert_eq!(a.outbox.closing(), Some(Close::SLOW_CONSUMER));
}

/// What came before the room was confirmed is dropped like what comes afterwards; polls are what they were.
#[test]
fn held_messages_of_a_room_that_drops_are_counted() {
    let shard = shard();
    let outbox = |form| Rc::new(Outbox::new(1 << 20, form, Arc::clone(shard.stats())));
    let (stream, poll) = (outbox(WireForm::Sse), outbox(WireForm::Poll));
    let id = ConnectionId { node: NodeId(1), serial: 1 };
    let join = |outbox| shard.join(&room("x"), id, outbox, OverflowPolicy::DropOldest, None, None);
    let membership = join(&stream);
    for n in 0..HELD_MESSAGES_MAX + 7 {
        publish(&shard, "x", &n.to_string(), None);
    }
    let poller = join(&poll);
    poller.release(None);
    membership.release(None);
    let texts =
        || std::iter::from_fn(|| stream.take()).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    let all: Vec<_> = texts().collect();
    assert_eq!(all[0], "event: dropped\ndata: {\"room\":\"x\",\"count\":7}\n\n");
    assert_eq!(all[1], "data: 7\n\n");
    assert_eq!(all.len(), 1 + HELD_MESSAGES_MAX);
    for _ in 0..3 {
        publish(&shard, "x", &"x".repeat(600_000), None);
    }
    assert_eq!(texts().map(|text| text.len()).collect::<Vec<_>>(), [45, 600_008]);
    assert!(
        poll.is_closing() && std::iter::from_fn(|| poll.take()).count() == 1,
        "the next poll gets the rest"
    );
    assert_eq!(shard.stats.slow_consumers.get(), 0);
    assert_eq!(shard.stats.dropped.iter().map(crate::stats::Counter::get).sum::<u64>(), 9);
}

#[test]
fn a_slow_consumer_is_closed_and_the_others_do_not_notice() {
    let shard = shard();
    let (slow, good) = (client(&shard, 1), client(&shard, 2));
    let _memberships = [join(&shard, &slow, "x"), join(&shard, &good, "x")].map(|m| {
        m.release(None);
        m
    });
    let text = "x".repeat(100);
    for _ in 0..200 {
        publish(&shard, "x", &text, None);
        assert_eq!(drain(&good).len(), 1);
    }
    assert_eq!(slow.outbox.closing(), Some(Close::SLOW_CONSUMER));
    assert_eq!(shard.stats.slow_consumers.get(), 1);
    assert_eq!(shard.stats.outbox_bytes.get(), 0);
}

#[test]
fn a_slow_stream_over_several_rooms_is_closed_as_slow_whatever_its_rooms_keep() {
    for position in [None, Some(Position { epoch: 5, offset: 0 })] {
        let shard = shard();
        let outbox = Rc::new(Outbox::new(1000, WireForm::Sse, Arc::clone(shard.stats())));
        let id = ConnectionId { node: NodeId(1), serial: 1 };
        let policy = OverflowPolicy::Disconnect;
        let membership = shard.join(&room("x"), id, &outbox, policy, Some(&Rc::default()), None);
        membership.release(None);
        for _ in 0..20 {
            let plain = Publication::plain(room("x"), Payload::untyped("x".repeat(100)));
            let push = Push::new(Publication { position, ..plain });
            shard.handle(ShardMessage::Publication(Arc::new(push)));
        }
        assert_eq!(outbox.closing(), Some(Close::SLOW_CONSUMER), "{position:?}");
        assert_eq!(shard.stats.slow_consumers.get(), 1);
    }
}

#[test]
fn only_the_confirmation_of_this_stay_counts() {
    let shard = shard();
    let a = client(&shard, 1);
    let first = join(&shard, &a, "x");
    assert!(!is_confirmed(&first));
    drop(first);
    shard.sweep(Instant::now() + LINGER);
    let second = join(&shard, &a, "x");
    shard.handle(confirmed(0));
    assert!(!is_confirmed(&second));
    shard.handle(confirmed(1));
    assert!(is_confirmed(&second));
    shard.handle(ShardMessage::Down);
    assert!(!is_confirmed(&second));
}

#[test]
fn a_room_lingers_and_then_goes() {
    let shard = shard();
    let a = client(&shard, 1);
    drop(join(&shard, &a, "x"));
    shard.sweep(Instant::now());
    assert!(shard.rooms.borrow().contains_key("x"));
    let back = join(&shard, &a, "x");
    shard.sweep(Instant::now() + LINGER);
    assert!(shard.rooms.borrow().contains_key("x"));
    assert_eq!(shard.interest.borrow().get("x"), Some(&Interest::Wanted { stay: 0 }));
    drop(back);
    shard.sweep(Instant::now() + LINGER);
    assert!(shard.rooms.borrow().is_empty() && shard.emptied.borrow().is_empty());
    assert_eq!(shard.interest.borrow().get("x"), Some(&Interest::Unwanted));
    assert_eq!((shard.stats.rooms.get(), shard.stats.members.get()), (0, 0));
}

#[test]
fn a_member_that_is_ahead_of_the_room_gets_nothing_twice() {
    let shard = shard();
    let a = client(&shard, 1);
    let membership = join(&shard, &a, "x");
    let numbered = |offset: u64| {
        let payload = Payload::untyped(offset.to_string());
        let position = Some(Position { epoch: 5, offset });
        let publication = Publication { position, ..Publication::plain(room("x"), payload) };
        shard.handle(ShardMessage::Publication(Arc::new(Push::new(publication))));
    };
    numbered(3);
    // History was read up to 5 before the room gave 4 and 5 to all.
    assert!(!membership.can_be_released(Some(Position { epoch: 5, offset: 1 })));
    membership.release(Some(Position { epoch: 5, offset: 5 }));
    (4..8).for_each(numbered);
    assert_eq!(drain(&a), ["6", "7"]);
    let late = join(&shard, &client(&shard, 2), "x");
    assert!(
        !late.can_be_released(Some(Position { epoch: 5, offset: 6 })),
        "what was read is older than the room"
    );
    assert!(late.can_be_released(Some(Position { epoch: 5, offset: 7 })));
    shard.handle(ShardMessage::Reset(room("x")));
    assert!(!late.can_be_released(Some(Position { epoch: 5, offset: 7 })), "it has to find out");
}

#[test]
fn who_asks_for_members_asks_once_and_then_hears_who_comes_and_goes() {
    let (requests, mut asked) = tokio::sync::mpsc::channel(10);
    let shard = Rc::new(Shard::new(0, Arc::default(), requests, Instant::now()));
    let (a, b) = (client(&shard, 1), client(&shard, 2));
    let (watches, plain) = (join(&shard, &a, "x"), join(&shard, &b, "x"));
    let mut ask = |membership: &Membership| {
        assert!(pin!(membership.watch()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        std::iter::from_fn(|| asked.try_recv().ok()).count()
    };
    let list = || ShardMessage::Members { room: room("x"), frame: Bytes::from_static(b"..list") };
    let push = || ShardMessage::Presence { room: room("x"), frame: Bytes::from_static(b"..push") };
    assert_eq!((ask(&watches), ask(&watches)), (1, 0), "while it waits it asks no more");
    shard.handle(push());
    assert!(drain(&a).is_empty(), "nothing before the list");
    shard.handle(list());
    shard.handle(list());
    shard.handle(push());
    assert_eq!(drain(&a), ["list", "push"]);
    assert!(drain(&b).is_empty());
    // Asked anew, it gets the list anew, and misses nothing meanwhile.
    assert_eq!(ask(&watches), 1);
    shard.handle(push());
    shard.handle(list());
    assert_eq!(drain(&a), ["push", "list"]);
    // One that leaves and comes back without asking is told nothing that it asked for before.
    assert_eq!(ask(&plain), 1);
    drop(plain);
    let _plain = join(&shard, &b, "x");
    shard.handle(list());
    shard.handle(push());
    assert!(drain(&b).is_empty());
}

#[test]
fn who_is_taken_out_of_a_room_is_out_of_it() {
    let (requests, mut asked) = tokio::sync::mpsc::channel(10);
    let shard = Rc::new(Shard::new(0, Arc::default(), requests, Instant::now()));
    let json = || {
        let outbox = Rc::new(Outbox::new(10_000, WireForm::WebSocketJson, Arc::clone(shard.stats())));
        Client { outbox, ..client(&shard, 1) }
    };
    let a = json();
    let old = join(&shard, &a, "x");
    shard.end_membership(&room("x"), a.id);
    assert_eq!(drain(&a), [r#"{"type":"unsubscribed","room":"x"}"#]);
    assert!(old.has_ended() && shard.members().is_empty());
    assert!(pin!(old.watch()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(asked.try_recv().is_err());
    shard.handle(ShardMessage::Members { room: room("x"), frame: Bytes::from_static(b"..list") });
    shard.handle(ShardMessage::Presence { room: room("x"), frame: Bytes::from_static(b"..push") });
    assert!(drain(&a).is_empty());
    // It comes back before its first place is given up, and is taken out once more.
    let b = json();
    let new = join(&shard, &b, "x");
    assert_eq!(shard.members(), [(room("x"), vec![b.id])]);
    shard.end_membership(&room("x"), b.id);
    assert!(new.has_ended());
    drop((old, new));
    assert_eq!(shard.stats().members.get(), 0);
}

#[test]
fn who_may_not_watch_any_more_hears_nothing() {
    let (requests, _asked) = tokio::sync::mpsc::channel(10);
    let shard = Rc::new(Shard::new(0, Arc::default(), requests, Instant::now()));
    let a = client(&shard, 1);
    let membership = join(&shard, &a, "x");
    let ask = || assert!(pin!(membership.watch()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    let list = || ShardMessage::Members { room: room("x"), frame: Bytes::from_static(b"..list") };
    ask();
    membership.watch_no_more();
    shard.handle(list());
    assert!(drain(&a).is_empty(), "what it has asked for before");
    ask();
    shard.handle(list());
    membership.watch_no_more();
    shard.handle(ShardMessage::Presence { room: room("x"), frame: Bytes::from_static(b"..push") });
    assert_eq!(drain(&a), ["list"]);
}
