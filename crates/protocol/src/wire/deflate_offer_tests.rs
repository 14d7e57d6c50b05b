//! Offers of real clients and of bad ones.

use super::*;

fn agreed(window_bits: u8, values: &[&str]) -> String {
    let settings = DeflateSettings { level: 1, threshold: 0, window_bits };
    match agree(values.iter().copied(), settings) {
        Ok(Some(agreement)) => {
            let answer = agreement.answer();
            let parameters = answer
                .strip_prefix("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
            format!("{:?}{}", agreement.window, parameters.expect("nothing is remembered"))
        }
        Ok(None) => "none".to_owned(),
        Err(Malformed) => "malformed".to_owned(),
    }
}

#[test]
fn offers() {
    let long = format!("permessage-deflate; {}=1", "x".repeat(10_000));
    let cases = [
        // What clients send: a browser, npm `ws`, Python `websockets`, an old one.
        ("permessage-deflate; client_max_window_bits", "Configured"),
        ("permessage-deflate", "Configured"),
        (
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            "Small; server_max_window_bits=12",
        ),
        ("x-webkit-deflate-frame", "none"),
        // Every parameter.
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", "Configured"),
        ("permessage-deflate;server_max_window_bits=15", "Configured; server_max_window_bits=15"),
        ("permessage-deflate;server_max_window_bits=14", "Small; server_max_window_bits=12"),
        ("permessage-deflate;server_max_window_bits=11", "Smallest; server_max_window_bits=9"),
        ("permessage-deflate;server_max_window_bits=9", "Smallest; server_max_window_bits=9"),
        ("permessage-deflate;server_max_window_bits=8", "none"),
        ("permessage-deflate;client_max_window_bits=8", "Configured"),
        ("permessage-deflate;client_max_window_bits=15", "Configured"),
        (r#"permessage-deflate; server_max_window_bits="15""#, "Configured; server_max_window_bits=15"),
        (r#"permessage-deflate; server_max_window_bits="1\5""#, "Configured; server_max_window_bits=15"),
        // Out of range, without a value, with one too many, unknown, in capitals: declined.
        ("permessage-deflate; server_max_window_bits", "none"),
        ("permessage-deflate; server_max_window_bits=7", "none"),
        ("permessage-deflate; server_max_window_bits=16", "none"),
        ("permessage-deflate; server_max_window_bits=015", "none"),
        ("permessage-deflate; server_max_window_bits=+15", "none"),
        ("permessage-deflate; server_max_window_bits=15.0", "none"),
        ("permessage-deflate; client_max_window_bits=7", "none"),
        ("permessage-deflate; client_max_window_bits=16", "none"),
        ("permessage-deflate; client_max_window_bits=08", "none"),
        ("permessage-deflate; server_no_context_takeover=1", "none"),
        ("permessage-deflate; client_no_context_takeover=true", "none"),
        ("permessage-deflate; mux", "none"),
        ("permessage-deflate; Client_Max_Window_Bits", "none"),
        ("PerMessage-Deflate", "none"),
        (&long, "none"),
        // Twice: declined.
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", "none"),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", "none"),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=15", "none"),
        ("permessage-deflate; server_max_window_bits=15; server_max_window_bits=15", "none"),
        // The first that can be accepted, whatever comes with it.
        ("permessage-deflate; mux, permessage-deflate; client_max_window_bits", "Configured"),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10, permessage-deflate",
            "Smallest; server_max_window_bits=9",
        ),
        ("permessage-deflate, permessage-deflate; server_max_window_bits=10", "Configured"),
        ("permessage-bzip2; level=9, permessage-deflate, foo", "Configured"),
        // Space and empty elements.
        ("", "none"),
        (
            " , ,\t, permessage-deflate\t;\tserver_max_window_bits = 15 , ",
            "Configured; server_max_window_bits=15",
        ),
        // Not a list of extensions.
        ("permessage-deflate;", "malformed"),
        ("permessage-deflate; =1", "malformed"),
        ("permessage-deflate; server_max_window_bits=", "malformed"),
        (r#"permessage-deflate; server_max_window_bits="15"#, "malformed"),
        (r#"permessage-deflate; server_max_window_bits="""#, "malformed"),
        (r#"permessage-deflate; server_max_window_bits="1 5""#, "malformed"),
        (r#"permessage-deflate; server_max_window_bits="15\"#, "malformed"),
        ("permessage-deflate client_max_window_bits", "malformed"),
        ("permessage-deflate; a=b=c", "malformed"),
        ("permessage/deflate", "malformed"),
        ("permessage-deflate, ;", "malformed"),
        ("permessage-deflate; gr\u{fc}n", "malformed"),
    ];
    for (value, expected) in cases {
        assert_eq!(agreed(15, &[value]), expected, "{value}");
    }
}

#[test]
fn several_headers_are_one_list() {
    assert_eq!(agreed(15, &[]), "none");
    assert_eq!(agreed(15, &["permessage-deflate; mux", "foo", "permessage-deflate"]), "Configured");
    assert_eq!(agreed(15, &["permessage-deflate", "foo;"]), "malformed");
}

/// A smaller window is told, also unasked; it is never larger than what the client allows.
#[test]
fn smaller_windows() {
    let cases = [
        (12, "permessage-deflate", "Configured; server_max_window_bits=12"),
        (12, "permessage-deflate; server_max_window_bits=15", "Configured; server_max_window_bits=12"),
        (12, "permessage-deflate; server_max_window_bits=12", "Configured; server_max_window_bits=12"),
        (12, "permessage-deflate; server_max_window_bits=11", "Smallest; server_max_window_bits=9"),
        (9, "permessage-deflate; server_max_window_bits=9", "Configured; server_max_window_bits=9"),
        (9, "permessage-deflate; server_max_window_bits=8", "none"),
    ];
    for (window_bits, value, expected) in cases {
        assert_eq!(agreed(window_bits, &[value]), expected, "{window_bits}: {value}");
    }
}
