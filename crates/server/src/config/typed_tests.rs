//! From texts to the configuration or to all errors at once.

use super::*;
use crate::config::default_file;

fn read(toml: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let mut raw = Raw::default();
    raw.toml("roomcast.toml", toml);
    raw.environment(environment.iter().map(|(k, v)| (k.to_string(), v.to_string())));
    let lookup = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, v)| v.to_string());
    Config::from_raw(raw, &lookup).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn the_default_file_is_the_default() {
    let (empty, full) = (read("", &[]).unwrap(), read(&default_file(), &[]).unwrap());
    assert_eq!(format!("{empty:?}"), format!("{full:?}"));
    for key in KEYS.iter().chain(NAMESPACE_KEYS) {
        assert!(default_file().contains(key.default), "{}", key.path);
    }
    assert_eq!(empty.session.namespaces.default, Namespace::default());
}

#[test]
fn the_environment_comes_before_the_file() {
    let toml = "[server]\nlisten = \"127.0.0.1:1\"\n[drain]\nwindow = \"1s\"\n";
    let environment = [
        ("ROOMCAST_SERVER__LISTEN", "127.0.0.1:2"),
        ("ROOMCAST_NAMESPACES__CHAT__ECHO", "never"),
        ("ROOMCAST_CORS__ORIGINS", "https://a.example,https://b.example"),
        ("ROOMCAST_PORT", "tcp://10.0.0.1:8080"),
        ("ROOMCAST_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("OTHER__THING", "x"),
    ];
    let config = read(toml, &environment).unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.drain_window, Duration::from_secs(1));
    assert_eq!(config.session.namespaces.named["chat"].echo, Some(false));
    assert_eq!(config.http.origins.len(), 2);
}

#[test]
fn compression_is_off_unless_it_is_turned_on() {
    let deflate = |toml: &str| read(toml, &[]).map(|config| config.session.deflate);
    assert_eq!(deflate("[websocket]\ndeflate.level = 6"), Ok(None));
    let settings = |level, threshold, window_bits| Some(DeflateSettings { level, threshold, window_bits });
    assert_eq!(deflate("[websocket.deflate]\nenabled = true"), Ok(settings(1, 256, 15)));
    let toml = "[websocket]\ndeflate = { enabled = true, level = 9, threshold = \"1KiB\", window_bits = 9 }";
    assert_eq!(deflate(toml), Ok(settings(9, 1024, 9)));
    for wrong in ["level = 0", "level = 10", "window_bits = 8", "window_bits = 16", "threshold = \"1MiB\""] {
        let errors = deflate(&format!("[websocket.deflate]\n{wrong}")).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains("websocket.deflate."), "{wrong}: {errors:?}");
    }
}

#[test]
fn namespaces_inherit_from_the_default() {
    let toml =
        "[namespaces.default]\nmax_message_bytes = \"1KiB\"\n[namespaces.news]\npublish = \"server\"\n";
    let namespaces = read(toml, &[]).unwrap().session.namespaces;
    assert_eq!(namespaces.named["news"].max_message_bytes, 1024);
    assert_eq!(namespaces.named["news"].publish, PublishRule::Server);
    assert_eq!(namespaces.default.publish, PublishRule::Token);
}

#[test]
fn all_errors_are_reported_at_once_with_place_and_remedy() {
    let toml = "\
[broker]
ulr = \"redis://x\"
url = \"http://x\"
[server]
listen = \"0.0.0.0:80\"
heartbeat = 30
[limits]
outbox_bytes = \"4KiB\"
[namespaces.chat]
ecko = \"never\"
[drian]
window = \"1s\"
";
    let errors = read(toml, &[("ROOMCAST_LOG__FORMAT", "xml")]).unwrap_err();
    let expected = [
        "roomcast.toml:2: there is no setting broker.ulr; did you mean broker.url?",
        "roomcast.toml:10: there is no setting namespaces.chat.ecko; did you mean namespaces.chat.echo?",
        "roomcast.toml:11: there is no setting drian; did you mean drain.window?",
        "ROOMCAST_LOG__FORMAT: log.format must be \"text\" or \"json\"",
        "roomcast.toml:6: server.heartbeat must be a time with its unit",
        "roomcast.toml:3: broker.url: ",
        "roomcast.toml:8: limits.outbox_bytes must be at least",
        "roomcast.toml:5: server.listen = 0.0.0.0:80 would open every room",
    ];
    for text in expected {
        assert!(errors.iter().any(|error| error.contains(text)), "{text} is missing in {errors:#?}");
    }
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
}

#[test]
fn broken_toml_is_one_error_with_its_line() {
    let errors = read("[server]\nlisten = \n", &[]).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("roomcast.toml:2: is not TOML"), "{errors:?}");
}

#[test]
fn openness_beyond_loopback_has_to_be_said() {
    assert!(read("server.listen = \"0.0.0.0:80\"\nauth.mode = \"open\"\n", &[]).is_ok());
    assert!(read("server.listen = \"[::1]:80\"\n", &[]).is_ok());
    assert!(read("server.listen = \"[::]:80\"\n", &[]).is_err());
    let keys = "server.listen = \"0.0.0.0:80\"\nauth.keys = [\"HS256:env:S\"]\n";
    assert!(read(keys, &[("S", &"x".repeat(32))]).is_ok());
    assert!(read("server.listen = \"0.0.0.0:80\"\nauth.jwks_url = \"https://a.example/\"\n", &[]).is_ok());
}

#[test]
fn cookies_are_for_pages_of_known_origins() {
    let said = |cookie, origin| {
        read(
            &format!("auth.cookie = \"{cookie}\"\ncors.origins = [\"https://a.example\", \"{origin}\"]\n"),
            &[],
        )
    };
    for origin in ["*", "https://*", "https://app.*"] {
        let errors = said("jwt", origin).unwrap_err();
        assert!(errors[0].starts_with("roomcast.toml:2: cors.origins lets in every page"), "{errors:?}");
        assert!(said("", origin).is_ok());
    }
    assert!(said("jwt", "https://*.a.example").is_ok());
}

#[test]
fn files_are_looked_at_before_anything_starts() {
    let cases = [
        ("[tls]\ncertificates = [\"a.pem:\"]", "roomcast.toml:2: tls.certificates: write"),
        (
            "[tls]\ncertificates = [\"/nowhere.pem\"]",
            "roomcast.toml:2: tls.certificates: /nowhere.pem cannot be read",
        ),
        (
            "[broker]\nurl = \"redis://h\"\ntls.ca = \"/nowhere.pem\"",
            "roomcast.toml:3: broker.tls.ca: broker.tls has no effect",
        ),
        (
            "[broker]\nurl = \"rediss://h\"\n[broker.tls]\nca = \"/nowhere.pem\"",
            "roomcast.toml:4: broker.tls.ca: ",
        ),
        ("[broker]\nurl = \"rediss://h\"\ntls.certificate = \"/a.pem\"", "set both or none"),
        (
            "[broker]\nurl = \"redis://h\"\npassword_file = \"/nowhere\"",
            "roomcast.toml:3: broker.password_file: ",
        ),
        ("[admin.tls]\nclient_ca = \"/ca.pem\"", "roomcast.toml:2: admin.tls.client_ca has no effect"),
        ("[broker]\nurl = \"rediss://h/#insecure\"", "roomcast.toml:2: broker.url: #insecure"),
    ];
    for (toml, expected) in cases {
        let errors = read(toml, &[]).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains(expected), "{expected:?} is not in {errors:#?}");
    }
    let environment = [("ROOMCAST_BROKER__TLS__CA", "/nowhere.pem"), ("ROOMCAST_BROKER__URL", "rediss://h")];
    assert!(read("", &environment).unwrap_err()[0].starts_with("ROOMCAST_BROKER__TLS__CA: "));
}

#[test]
fn proxies_are_addresses_or_networks() {
    let toml = "server.trusted_proxies = [\"10.0.0.0/8\", \"::1\", \"::ffff:192.0.2.1\"]\nserver.proxy_protocol = \"required\"";
    let gate = read(toml, &[]).unwrap().http.gate;
    let networks: Vec<_> = gate.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128", "192.0.2.1/32"]);
    assert!(gate.proxy_protocol);
    let errors = read("server.trusted_proxies = [\"proxy.example\", \"10.0.0.0/33\"]", &[]).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    let errors = read("server.proxy_protocol = \"required\"", &[]).unwrap_err();
    assert!(errors[0].contains("lets in nobody"), "{errors:#?}");
}
