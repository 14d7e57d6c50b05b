//! What the floor sends is what the server would send; and a closed loop stays closed.

use roomcast_protocol::{Payload, Publication, Push, Room, WireForm};

use super::*;

#[test]
fn the_floor_sends_what_the_server_would() {
    let forms = [
        (Transport::WsRaw, WireForm::WebSocketRaw),
        (Transport::WsJson, WireForm::WebSocketJson),
        (Transport::Sse, WireForm::Sse),
    ];
    for (transport, form) in forms {
        for len in [80, 200, 70_000] {
            let payload = format!("{{\"pad\":\"{}\"}}", "x".repeat(len));
            let publication =
                Publication::plain(Room::parse("bench:1").unwrap(), Payload::untyped(payload.clone()));
            let ours = on_the_wire(transport, "bench:1", payload.as_bytes());
            assert_eq!(ours, Push::new(publication).form(form).to_vec(), "{form:?} {len}");
        }
    }
}

#[test]
fn a_closed_loop() {
    let mut flights = Flights::default();
    flights.arrived(0, 0);
    flights.follow(3);
    assert_eq!(std::mem::take(&mut flights.landed), [3], "may begin");
    flights.depart(3, 2);
    flights.depart(3, 2);
    // The second is at everybody first, and waits for the first.
    for number in [1, 1, 0] {
        flights.arrived(3, number);
    }
    assert_eq!((flights.under_way(3), &flights.landed[..]), (2, &[][..]));
    flights.arrived(3, 0);
    assert_eq!((flights.under_way(3), &flights.landed[..]), (0, &[3][..]));
    flights.arrived(3, 0);
    flights.arrived(3, 99);
    flights.depart(3, 1);
    flights.give_up();
    assert_eq!(flights.under_way(3), 0);
    flights.depart(3, 1);
    flights.arrived(3, 3);
    assert_eq!(flights.under_way(3), 0, "numbers go on behind what was given up");
}
