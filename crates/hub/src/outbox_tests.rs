//! The queue of one client, without a socket.

use std::pin::pin;

use super::*;
use crate::overflow::OverflowPolicy;
use proptest::prelude::*;

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

fn outbox(bytes_max: usize) -> Outbox {
    Outbox::new(bytes_max, WireForm::Sse, Arc::default())
}

fn entry(text: &str) -> Entry {
    Entry::Message(Rc::new(Bytes::copy_from_slice(text.as_bytes())))
}

#[test]
fn a_full_queue_refuses_and_an_empty_one_takes_anything() {
    let outbox = outbox(100);
    assert_eq!(outbox.push(entry(&"x".repeat(1000))), Ok(()));
    assert_eq!(outbox.push(entry("y")), Err(Overflow));
    assert_eq!(outbox.take().unwrap().len(), 1000);
    assert_eq!(outbox.push(entry("y")), Ok(()));
    assert_eq!(outbox.push(entry("z")), Ok(()));
    assert_eq!(outbox.push(entry("z")), Err(Overflow));
}

#[test]
fn everyone_who_waits_for_room_is_woken() {
    let outbox = outbox(1000);
    outbox.push(entry(&"x".repeat(900))).unwrap();
    let woken: Vec<_> = (0..3).map(|_| Arc::new(Woken::default())).collect();
    let mut waiting: Vec<_> = woken.iter().map(|_| Box::pin(outbox.room(10))).collect();
    for (each, room) in woken.iter().zip(&mut waiting) {
        let waker = Waker::from(Arc::clone(each));
        let mut context = Context::from_waker(&waker);
        assert!(
            room.as_mut().poll(&mut context).is_pending() && room.as_mut().poll(&mut context).is_pending()
        );
    }
    assert_eq!(outbox.inner.borrow().speakers.as_ref().map(|all| all.len()), Some(3));
    outbox.take();
    assert!(woken.iter().all(|each| each.0.load(std::sync::atomic::Ordering::Relaxed)));
    assert!(ready(&outbox, 10_000), "it is empty");
}

#[test]
fn who_waits_for_room_no_more_leaves_nothing_behind() {
    let outbox = outbox(1000);
    outbox.push(entry(&"x".repeat(900))).unwrap();
    assert!((0..1000).all(|_| !ready(&outbox, 10)));
    assert!(outbox.inner.borrow().speakers.as_ref().is_none_or(|all| all.len() == 0));
}

fn ready(outbox: &Outbox, bytes: usize) -> bool {
    pin!(outbox.room(bytes)).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn close_comes_after_what_is_queued_and_abort_instead_of_it() {
    let outbox = outbox(1000);
    outbox.push(entry("a")).unwrap();
    outbox.close(Close::NORMAL);
    assert_eq!(outbox.closing(), None);
    outbox.push(entry("late")).unwrap();
    assert_eq!(outbox.take().unwrap(), "a");
    assert_eq!((outbox.take(), outbox.closing()), (None, Some(Close::NORMAL)));

    let outbox = self::outbox(1000);
    for text in ["abc", "def"] {
        outbox.push(entry(text)).unwrap();
    }
    outbox.write_with(|_| Ok(1)).unwrap();
    outbox.abort(Close::SLOW_CONSUMER);
    assert_eq!(outbox.closing(), None);
    outbox.write_with(|slices| Ok(slices.iter().map(|s| s.len()).sum())).unwrap();
    assert_eq!(outbox.closing(), Some(Close::SLOW_CONSUMER));
    assert_eq!(outbox.stats.sent_bytes.get(), 3);
}

/// In each form that has a word for it, at its place, and once.
#[test]
fn what_was_dropped_is_told_as_the_form_says_it() {
    let expected = [
        (WireForm::WebSocketRaw, "r", ""),
        (WireForm::WebSocketJson, "r", "\u{81}'{\"type\":\"dropped\",\"room\":\"a\",\"count\":9}"),
        (WireForm::Sse, "r", "event: dropped\ndata: {\"room\":\"a\",\"count\":9}\n\n"),
        (WireForm::SseJson, "r", "event: dropped\ndata: {\"room\":\"a\",\"count\":9}\n\n"),
    ];
    for (form, reply, notice) in expected {
        let outbox = Outbox::new(199, form, Arc::default());
        let lane =
            Rc::new(Lane::new(roomcast_protocol::Room::parse("a").unwrap(), OverflowPolicy::DropOldest));
        outbox.push(Entry::Reply(Bytes::from(reply))).unwrap();
        for n in 0..11 {
            let message = Rc::new(Bytes::from(format!("{n};")));
            outbox.push_droppable(&lane, None, message, n).unwrap();
        }
        let mut written = Vec::new();
        while !outbox.is_empty() {
            outbox.write_with(|_| Ok(0)).unwrap();
            outbox
                .write_with(|slices| {
                    let first = slices[0].first().copied().into_iter();
                    written.extend(first);
                    Ok(1)
                })
                .unwrap();
        }
        let written: String = written.into_iter().map(char::from).collect();
        assert_eq!(written, format!("{reply}{notice}9;10;"), "{form:?}");
        assert_eq!(outbox.stats.outbox_bytes.get(), 0);
        assert_eq!(outbox.stats.dropped[OverflowPolicy::DropOldest as usize].get(), 9);
        assert_eq!(outbox.stats.delivered[form as usize].get(), 2);
        assert_eq!(outbox.stats.sent_bytes.get(), written.chars().count() as u64);
    }
}

proptest! {
    #[test]
    fn whatever_the_write_sizes_the_bytes_are_whole(
        texts in proptest::collection::vec("[a-z]{0,9}", 0..90),
        sizes in proptest::collection::vec(1..20_usize, 1..9),
    ) {
        let outbox = outbox(1 << 20);
        for text in &texts {
            outbox.push(entry(text)).unwrap();
        }
        let mut written = Vec::new();
        let mut sizes = sizes.iter().cycle();
        while !outbox.is_empty() {
            outbox.write_with(|slices| {
                let all: Vec<u8> = slices.iter().flat_map(|s| s.to_vec()).collect();
                let n = all.len().min(*sizes.next().unwrap());
                written.extend_from_slice(&all[..n]);
                Ok(n)
            }).unwrap();
        }
        prop_assert_eq!(written, texts.concat().into_bytes());
        prop_assert_eq!(outbox.stats.outbox_bytes.get(), 0);
        prop_assert_eq!(outbox.stats.delivered[WireForm::Sse as usize].get(), texts.len() as u64);
    }
}
