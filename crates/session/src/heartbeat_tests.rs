//! The wheel, second by second.

use super::*;

fn pulse(form: WireForm) -> Rc<Pulse> {
    let id = ConnectionId { node: roomcast_protocol::NodeId(1), serial: 1 };
    Rc::new(Pulse::new(id, Rc::new(Outbox::new(1000, form, Arc::default())), form, 0))
}

fn beats(wheel: &mut Wheel, seconds: usize) -> Vec<Beat> {
    let mut all = Vec::new();
    for _ in 0..seconds {
        wheel.tick(Instant::now(), None, |beat| all.push(beat));
    }
    all
}

#[test]
fn everyone_is_pinged_once_a_heartbeat_and_evenly() {
    let mut wheel = Wheel::new(Duration::from_secs(10));
    let pulses: Vec<_> = (0..100).map(|_| pulse(WireForm::WebSocketRaw)).collect();
    pulses.iter().for_each(|pulse| wheel.add(pulse));
    for _ in 0..10 {
        assert_eq!(beats(&mut wheel, 1).len(), 10);
    }
    assert!(pulses.iter().all(|pulse| pulse.outbox.take().unwrap() == ws_frame::EMPTY_PING));
}

#[test]
fn two_silent_heartbeats_end_a_connection_and_one_does_not() {
    let mut wheel = Wheel::new(Duration::from_secs(1));
    let pulse = pulse(WireForm::WebSocketJson);
    wheel.add(&pulse);
    assert_eq!(beats(&mut wheel, 2), [Beat::Pinged, Beat::Pinged]);
    pulse.seen();
    assert_eq!(beats(&mut wheel, 4), [Beat::Pinged, Beat::Pinged, Beat::Silent, Beat::Closing]);
    assert_eq!(pulse.outbox.closing(), Some(Close::SILENT));
}

#[test]
fn nothing_is_kept_for_long_for_who_was_told_to_go() {
    let mut wheel = Wheel::new(Duration::from_secs(1));
    let pulse = pulse(WireForm::Sse);
    wheel.add(&pulse);
    pulse.outbox.push(Entry::Reply(Bytes::from_static(b"waits"))).unwrap();
    pulse.disconnect();
    assert_eq!(beats(&mut wheel, 2), [Beat::Closing, Beat::Closing]);
    assert_eq!((pulse.queued_bytes() > 0, pulse.outbox.closing()), (true, None));
    assert_eq!(beats(&mut wheel, 1), [Beat::Closing]);
    assert_eq!((pulse.queued_bytes(), pulse.outbox.closing()), (0, Some(Close::DISCONNECTED)));
}

#[test]
fn an_sse_client_lives_as_long_as_it_takes_what_is_written() {
    let mut wheel = Wheel::new(Duration::from_secs(1));
    let pulse = pulse(WireForm::Sse);
    wheel.add(&pulse);
    for _ in 0..5 {
        assert_eq!(beats(&mut wheel, 1), [Beat::Pinged]);
        assert_eq!(pulse.outbox.take().unwrap(), sse::PING);
    }
    assert_eq!(beats(&mut wheel, 3), [Beat::Pinged, Beat::Pinged, Beat::Silent]);
}

#[test]
fn a_connection_ends_when_its_time_is_over_unless_it_was_given_more() {
    let (mut wheel, now) = (Wheel::new(Duration::from_secs(10)), Instant::now());
    let pulses: Vec<_> = (0..4).map(|_| pulse(WireForm::WebSocketJson)).collect();
    pulses.iter().for_each(|pulse| wheel.add(pulse));
    let close = || Close::new(4401, "over");
    for (pulse, seconds) in pulses.iter().zip([3, 1000, 3, 3]) {
        wheel.ends(pulse, Some(now + Duration::from_secs(seconds)), close());
    }
    // One is given more time, one all the time there is.
    wheel.ends(&pulses[2], Some(now + Duration::from_secs(1000)), close());
    wheel.ends(&pulses[3], None, close());
    let mut ended_at = Vec::new();
    for second in 0..1010 {
        pulses.iter().for_each(|pulse| pulse.seen());
        wheel.tick(now + Duration::from_secs(second), None, |beat| {
            if beat == Beat::Expired {
                ended_at.push(second);
            }
        });
        pulses.iter().for_each(|pulse| while pulse.outbox.take().is_some() {});
    }
    assert_eq!(ended_at, [3, 1000, 1000]);
    assert_eq!(pulses[3].outbox.closing(), None);
    assert_eq!(pulses[0].outbox.closing(), Some(close()));
    assert!(wheel.ending.is_empty());
}

#[test]
fn the_old_are_asked_to_leave_and_not_all_at_once() {
    let (mut wheel, began) = (Wheel::new(Duration::from_secs(1)), Instant::now());
    let max_age = Some(MaxAge { limit: Duration::from_secs(100), jitter_percent: 50 });
    let pulses: Vec<_> = (0..1000).map(|_| pulse(WireForm::WebSocketJson)).collect();
    pulses.iter().for_each(|pulse| wheel.add(pulse));
    pulses.iter().for_each(|pulse| pulse.greeted());
    let mut left = Vec::new();
    for second in 1..=102 {
        pulses.iter().for_each(|pulse| pulse.seen());
        wheel.tick(began + Duration::from_secs(second), max_age, |beat| {
            if beat == Beat::Aged {
                left.push(second);
            }
        });
        pulses.iter().for_each(|pulse| while pulse.outbox.take().is_some() {});
    }
    assert_eq!(left.len(), 1000, "each is asked once");
    assert!(left.iter().all(|second| (50..=101).contains(second)), "{left:?}");
    let early = left.iter().filter(|second| **second < 75).count();
    assert!((300..700).contains(&early), "{early} in the first half");
    assert_eq!(pulses[0].outbox.closing().unwrap().code, 1012);
}

#[test]
fn those_who_are_gone_are_forgotten() {
    let mut wheel = Wheel::new(Duration::from_secs(3));
    for _ in 0..1000 {
        wheel.add(&pulse(WireForm::Sse));
    }
    assert!(beats(&mut wheel, 3).is_empty());
    assert!(wheel.slots.iter().all(|slot| slot.capacity() == 0));
}
