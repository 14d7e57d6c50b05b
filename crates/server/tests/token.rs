//! `roomcast token`: what it prints is taken by a checker with the same configuration, and by an
//! implementation that shares nothing with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roomcast_protocol::Room;
use roomcast_session::auth::{Algorithm, ExpiryRule, Identity, Key, KeySet, Rules, TokenError, Verifier};
use rustix::process::Signal;
use xtask::Node;
use xtask::process::{free_port, scratch_folder, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn run(arguments: &[&str], keys: Option<&str>) -> Output {
    let folder = scratch_folder("cli").unwrap();
    let mut command = Command::new(BINARY);
    command.arg("token").args(arguments).env("JWT_SECRET", SECRET).current_dir(&*folder);
    if let Some(keys) = keys {
        command.env("ROOMCAST_AUTH__KEYS", keys);
    }
    command.output().unwrap()
}

#[track_caller]
fn token(arguments: &[&str], keys: Option<&str>) -> String {
    let output = run(arguments, keys);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "nothing but the token: {text}");
    text.trim_end().to_owned()
}

#[track_caller]
fn refusal(arguments: &[&str], keys: Option<&str>, code: i32) -> String {
    let output = run(arguments, keys);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(code), &b""[..]), "{text}");
    assert!(!text.contains(SECRET), "{text}");
    text
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn verify(token: &str, key: Key, now_s: u64) -> Result<Identity, TokenError> {
    let rules = Rules { issuer: None, audiences: Vec::new(), leeway_s: 0, expiry: ExpiryRule::Required };
    Verifier::new(rules, KeySet::new(vec![key])).verify(token, now_s)
}

fn secret(id: Option<&str>) -> Key {
    Key::read(Algorithm::HS256, id, SECRET.as_bytes()).unwrap()
}

const KEYS: Option<&str> = Some("HS256/k1:env:JWT_SECRET");

#[test]
fn everything_that_is_asked_for_is_in_the_token() {
    let arguments = [
        "--sub",
        "alice",
        "--subscribe",
        "chat:*",
        "--subscribe",
        "user:{sub}",
        "--publish",
        "chat:1",
        "--presence",
        "chat:2",
        "--history",
        "chat:3",
        "--info",
        "{\"name\": \"A\"}",
        "--expires",
        "15m",
    ];
    let before = now_s();
    let token = token(&arguments, KEYS);
    let identity = verify(&token, secret(Some("k1")), now_s()).unwrap();
    assert_eq!(identity.user, Some(Arc::from("alice")));
    assert_eq!(identity.info.as_deref(), Some(r#"{"name":"A"}"#));
    let end = identity.expires_at.unwrap();
    assert!((before + 900..=now_s() + 900).contains(&end));
    let room = |name| Room::parse(name).unwrap();
    let grants = &identity.grants;
    assert!(grants.may_subscribe(&room("chat:9")) && grants.may_subscribe(&room("user:alice")));
    assert!(grants.may_publish(&room("chat:1")) && !grants.may_publish(&room("chat:2")));
    assert!(grants.may_see_presence(&room("chat:2")) && !grants.may_see_presence(&room("chat:1")));
    assert!(grants.may_read_history(&room("chat:3")) && !grants.may_read_history(&room("chat:1")));
    assert_eq!(verify(&token, secret(None), end), Err(TokenError::Expired));
    let other = Key::read(Algorithm::HS256, None, &[7; 32]).unwrap();
    assert_eq!(verify(&token, other, before), Err(TokenError::UnknownKey));
}

#[test]
fn issuer_and_audience_are_those_of_the_configuration_or_those_that_are_said() {
    let settings = ["--set", "auth.issuer=https://a.example", "--set", "auth.audience=[\"x\", \"y\"]"];
    let of = |token: &str, issuer: &str, audience: &str| {
        let rules = Rules {
            issuer: Some(issuer.to_owned()),
            audiences: vec![audience.to_owned()],
            leeway_s: 0,
            expiry: ExpiryRule::Required,
        };
        Verifier::new(rules, KeySet::new(vec![secret(None)])).verify(token, now_s()).map(|_| ())
    };
    let token = token(&[&["--sub", "a"], &settings[..2], &["--set", "auth.audience=x,y"]].concat(), KEYS);
    assert_eq!(of(&token, "https://a.example", "y"), Ok(()));
    assert_eq!(of(&token, "https://b.example", "y"), Err(TokenError::WrongIssuer));
    assert_eq!(of(&token, "https://a.example", "z"), Err(TokenError::WrongAudience));
    let said = self::token(&["--issuer", "i", "--audience", "a", "--kid", "k1"], KEYS);
    assert_eq!(of(&said, "i", "a"), Ok(()));
    // What the gateway would refuse is not handed out.
    let error = refusal(&["--issuer", "i", "--set", "auth.issuer=j"], KEYS, 1);
    assert!(error.contains("would not take such a token: the token's iss claim"), "{error}");
    let error = refusal(&["--subscribe", "{user}"], KEYS, 1);
    assert!(error.contains("braces that are not {sub}"), "{error}");
}

#[test]
fn whoever_has_no_key_is_told_how_to_get_one() {
    let error = refusal(&["--sub", "a"], None, 1);
    assert!(error.contains("no configured key can sign") && error.contains("openssl rand"), "{error}");
    let pem = include_str!("keys/es256.pem");
    let folder = scratch_folder("token").unwrap();
    let file = folder.join("public.pem");
    std::fs::write(&file, pem).unwrap();
    let public = format!("ES256:file:{}", file.display());
    assert!(refusal(&["--sub", "a"], Some(&public), 1).contains("--key ES256:file:private.pem"));
    assert!(
        refusal(&["--key", &public], None, 1).contains("it is a public key, and signing takes the private")
    );
    assert!(refusal(&["--key", SECRET], None, 1).contains("--key must be ALG:SOURCE:VALUE"));
    assert!(refusal(&["--expires", "soon"], KEYS, 1).contains("30s, 15m or 1h"));
    assert!(refusal(&["--info", "{"], KEYS, 1).contains("--info must be JSON"));
    assert!(
        refusal(&[], Some("HS256:text:short"), 2).contains("auth.keys, entry 1: cannot be used for HS256")
    );
}

/// Keys made by OpenSSL's command as the document says, tokens checked by Node's own `crypto`.
#[test]
fn private_keys_sign_what_others_can_check() {
    let folder = scratch_folder("token").unwrap();
    let check = "const [t,p,h,e]=process.argv.slice(1),[a,b,s]=t.split('.');\
        const key={key:require('fs').readFileSync(p),dsaEncoding:'ieee-p1363'};\
        const ok=require('crypto').verify(h||null,a+'.'+b,key,Buffer.from(s,'base64url'));\
        const {alg,kid}=JSON.parse(Buffer.from(a,'base64url'));\
        process.exit(ok&&alg===e&&kid==='k'?0:1)";
    let cases = [
        ("RS256", "RSA", "sha256"),
        ("ES256", "EC -pkeyopt ec_paramgen_curve:P-256", "sha256"),
        ("ES384", "EC -pkeyopt ec_paramgen_curve:P-384", "sha384"),
        ("ES512", "EC -pkeyopt ec_paramgen_curve:P-521", "sha512"),
        ("EdDSA", "ed25519", ""),
    ];
    for (algorithm, kind, hash) in cases {
        let shell = format!(
            "openssl genpkey -algorithm {kind} -out {algorithm}.pem && openssl pkey -in {algorithm}.pem -pubout -out {algorithm}.pub"
        );
        let made = Command::new("sh").args(["-c", &shell]).current_dir(&*folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let private = format!("{algorithm}/k:file:{}", folder.join(format!("{algorithm}.pem")).display());
        let public = folder.join(format!("{algorithm}.pub"));
        let token = token(&["--sub", "a", "--key", &private], None);
        let key =
            Key::read(Algorithm::parse(algorithm).unwrap(), None, &std::fs::read(&public).unwrap()).unwrap();
        assert!(verify(&token, key, now_s()).is_ok(), "{algorithm}");
        let status = Command::new("node")
            .args(["-e", check, &token, public.to_str().unwrap(), hash, algorithm])
            .status()
            .unwrap();
        assert!(status.success(), "{algorithm}");
    }
}

/// The programs of docs/tokens.md make tokens that are taken.
#[test]
fn the_documented_programs_make_good_tokens() {
    let document = std::fs::read_to_string(xtask::project_root().join("docs/tokens.md")).unwrap();
    let programs: [(&str, &str, &[&str]); 2] =
        [("js", "node", &["--input-type=module", "-e"]), ("python", "python3", &["-c"])];
    for (language, program, flags) in programs {
        let code = document.split(&format!("```{language}\n")).nth(1).unwrap().split("```").next().unwrap();
        let output = Command::new(program).args(flags).arg(code).env("JWT_SECRET", SECRET).output().unwrap();
        let token = String::from_utf8(output.stdout).unwrap();
        let identity = verify(token.trim_end(), secret(None), now_s()).unwrap();
        assert_eq!(identity.user.as_deref(), Some("alice"), "{language}");
        assert!(identity.grants.may_publish(&Room::parse("chat:1").unwrap()), "{language}");
    }
}

#[test]
fn an_issuer_that_is_away_is_said_once_and_keeps_nobody_from_starting() {
    let url = format!("auth.jwks_url=http://127.0.0.1:{}/keys?key=zebra", free_port());
    let node = Node::start(BINARY, &["--set", &url]).unwrap();
    wait_until("the log says so", || node.output().contains("cannot fetch the keys of tokens"));
    // The first attempts come within seconds; whichever of them were made, they are not told.
    node.wait_until_ready();
    assert_eq!(node.output().matches("cannot fetch the keys of tokens").count(), 1, "{}", node.output());
    assert!(!node.output().contains("zebra"), "a query may hold what should not be in a log");
}

/// Takes one request and gives its first line.
fn request_line(listener: &TcpListener) -> String {
    listener.set_nonblocking(true).unwrap();
    let mut accepted = None;
    wait_until("somebody connects", || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (socket, _) = accepted.unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn sighup_takes_another_issuer_and_refuses_a_bad_key() {
    let (first, second) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = |listener: &TcpListener| format!("http://{}/keys", listener.local_addr().unwrap());
    let folder = scratch_folder("token").unwrap();
    let file = folder.join("roomcast.toml");
    let write = |rest: &str| std::fs::write(&file, format!("[auth]\n{rest}\n")).unwrap();
    write(&format!("jwks_url = {:?}", url(&first)));
    let node = Node::start(BINARY, &["--config", file.to_str().unwrap()]).unwrap();
    assert_eq!(request_line(&first), "GET /keys HTTP/1.1");
    write("keys = [\"HS256:text:short\"]");
    node.signal(Signal::HUP).unwrap();
    wait_until("the bad key is told", || {
        node.output().contains("auth.keys, entry 1: cannot be used for HS256")
    });
    assert!(node.output().contains("the old one stays"), "{}", node.output());
    write(&format!("jwks_url = {:?}", url(&second)));
    node.signal(Signal::HUP).unwrap();
    assert_eq!(request_line(&second), "GET /keys HTTP/1.1");
}
