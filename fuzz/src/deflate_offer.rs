//! What clients offer about compression: agreed on is what a plain reading of RFC 7692, section 7.1, allows.

use roomcast_protocol::wire::deflate::{DeflateSettings, Window};
use roomcast_protocol::wire::deflate_offer::agree;

use crate::settings;

/// One byte for the configured window, then the header; lines are several headers.
pub fn run(data: &[u8]) {
    let ([bits], text) = settings(data);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let settings = DeflateSettings { level: 1, threshold: 0, window_bits: 9 + bits % 7 };
    let Ok(agreement) = agree(text.lines(), settings) else { return };
    if let Some(agreement) = agreement {
        let answer = agreement.answer();
        assert!(answer.starts_with("permessage-deflate; server_no_context_takeover; client_no_context_takeover"));
        // An answer is an offer too, which is answered by itself; without a number the window is the largest.
        let again = agree([&*answer], settings).expect("it is well-formed");
        assert_eq!(again.map(|agreement| agreement.answer()), Some(answer));
    }
    // Quoted values may hold what separates others.
    if !text.contains('"') {
        let expected = text.lines().flat_map(|line| line.split(',')).find_map(|offer| window(offer, settings));
        assert_eq!(agreement.map(|agreement| agreement.window), expected);
    }
}

/// The window of an offer that can be accepted.
fn window(offer: &str, settings: DeflateSettings) -> Option<Window> {
    let mut parts = offer.split(';').map(|part| part.trim_matches([' ', '\t']));
    if parts.next() != Some("permessage-deflate") {
        return None;
    }
    let mut seen = Vec::new();
    let mut allowed = 15;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end_matches([' ', '\t']), Some(value.trim_start_matches([' ', '\t']))),
            None => (part, None),
        };
        let bits = value.map(|value| (8..=15).find(|bits: &u8| bits.to_string() == value));
        match (name, bits) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            ("client_max_window_bits", None | Some(Some(_))) => {}
            ("server_max_window_bits", Some(Some(bits))) => allowed = bits,
            _ => return None,
        }
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    Window::ALL.into_iter().find(|window| window.bits(settings) <= allowed)
}
