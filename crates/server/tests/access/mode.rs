//! Open or not has to be said, and only one of them.

use std::process::{Command, Output};

use serde_json::json;
use xtask::Node;
use xtask::process::scratch_folder;

use crate::{BINARY, Json, KEYS, get, http, node};

fn check(settings: &[&str]) -> Output {
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let folder = scratch_folder("mode").unwrap();
    let mut command = Command::new(BINARY);
    command.args(["config", "check"]).args(settings).current_dir(&*folder);
    command.output().unwrap()
}

#[test]
fn a_node_that_others_reach_needs_keys_or_the_word_open() {
    const ANYWHERE: &str = "server.listen=0.0.0.0:0";
    let cases: [(&[&str], Option<&str>); 9] = [
        (&[], None),
        (&[ANYWHERE], Some("would open every room to whoever can connect")),
        (&["server.listen=[::]:0"], Some("would open every room")),
        (&["server.listen=192.0.2.1:80"], Some("would open every room")),
        (&[ANYWHERE, "auth.mode=open"], None),
        (&[ANYWHERE, KEYS], None),
        (&[ANYWHERE, "auth.jwks_url=https://issuer.example/keys"], None),
        (&[KEYS, "auth.mode=open"], Some("lets everybody in")),
        (&["auth.jwks_url=https://issuer.example/keys", "auth.mode=open"], Some("lets everybody in")),
    ];
    for (settings, error) in cases {
        let output = check(settings);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), error.is_none(), "{settings:?}: {said}");
        assert!(said.contains(error.unwrap_or_default()), "{settings:?}: {said}");
        assert!(!said.contains(crate::SECRET), "{said}");
    }
    // What does not pass the check does not start either.
    let refused = Command::new(BINARY).args(["--listen", "0.0.0.0:0"]).output().unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty());
}

#[test]
fn without_keys_tokens_are_not_looked_at() {
    let node = Node::start(BINARY, &["--set", "namespaces.default.history=1"]).unwrap();
    let port = node.port();
    for token in [None, Some("junk")] {
        assert_eq!(http(port, "POST", "/rooms/r/messages", token, b"1").status, 202);
        assert_eq!(get(port, "/rooms/r/history", token).status, 200);
        let mut client = Json::connect(port, "/ws?room=r", token).unwrap();
        assert!(client.welcome["user"].is_null());
        assert_eq!(client.ask(json!({"type": "auth", "token": "junk"}))["type"], "ok");
        // A personal room is nobody's.
        assert_eq!(get(port, "/poll?room=@alice&wait=0", token).status, 403);
        assert_eq!(client.ask(json!({"type": "subscribe", "room": "@alice"}))["code"], "forbidden");
    }
    assert!(node.output().contains("curl -N"), "{}", node.output());
}

#[test]
fn with_keys_a_newcomer_is_told_how_to_get_a_token() {
    let node = node(&[]);
    let said = node.output();
    let line = said.lines().find(|line| line.contains("roomcast token")).expect("the command is named");
    assert!(said.contains("Authorization: Bearer"), "{said}");
    // The command as it is printed, with the program of this test and its settings.
    let arguments = line.split_once("roomcast token ").unwrap().1.trim_end_matches(')');
    let shell = format!("{BINARY} token --set {KEYS} {arguments}");
    let output = Command::new("sh").args(["-c", &shell]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).unwrap();
    let (port, token) = (node.port(), Some(token.trim()));
    assert_eq!(http(port, "POST", "/rooms/hello/messages", token, b"hi there").status, 202);
    // Whether the message is in it is chance: it may be still on its way.
    assert_eq!(get(port, "/poll?room=hello&wait=0", token).status, 200);
    let welcome = get(port, "/", None).text();
    assert!(welcome.contains("token"), "{welcome}");
}
