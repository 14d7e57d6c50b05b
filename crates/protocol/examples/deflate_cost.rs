//! What compressing a message costs, which is done once for all members of its room: `deflate_cost [LEVEL]`.

use std::time::Instant;

use roomcast_protocol::wire::deflate::{DeflateSettings, Deflater, Window};
use roomcast_protocol::wire::ws_frame;

/// Members of the room that share the cost.
const MEMBERS: f64 = 1000.0;
const ROUNDS: u32 = 5;

fn main() {
    let level = std::env::args().nth(1).map_or(1, |level| level.parse().expect("a level from 1 to 9"));
    println!("level {level}, JSON; the best of {ROUNDS} rounds");
    for len in [256, 1024, 4096, 65_536] {
        let text: String = (0_u32..)
            .map(|i| {
                format!(
                    "{{\"id\":{},\"user\":\"u{}\",\"x\":{}}},",
                    i.wrapping_mul(7919),
                    i % 97,
                    i * i % 1009
                )
            })
            .flat_map(String::into_bytes)
            .map(char::from)
            .take(len)
            .collect();
        let plain = ws_frame::text(text.as_bytes());
        let mut deflater =
            Deflater::new(DeflateSettings { level, threshold: 0, window_bits: 15 }, Window::Configured);
        let iterations = 20_000_000 / (len as u32 + 4000);
        let mut best_us = f64::MAX;
        let mut compressed = 0;
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            for _ in 0..iterations {
                compressed = deflater.frame(&plain).map_or(plain.len(), |frame| frame.len());
            }
            best_us = best_us.min(begin.elapsed().as_secs_f64() * 1e6 / f64::from(iterations));
        }
        let a_delivery = best_us * 1000.0 / MEMBERS;
        println!(
            "{len} bytes: {best_us:.1} us, {a_delivery:.1} ns a delivery to {MEMBERS} members, {compressed} bytes"
        );
    }
}
