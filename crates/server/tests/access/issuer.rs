//! An issuer of keys on this machine, which rotates them, goes away and counts what it is asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::KeyPair;
use roomcast_session::auth::{Algorithm, SigningKey, sign};
use serde_json::{Value, json};

use crate::{everywhere, now_s};

/// A key of the issuer.
pub(crate) struct Issued {
    id: String,
    pair: KeyPair,
}

impl Issued {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), pair: KeyPair::generate().unwrap() }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key_raw()[1..].split_at(32);
        let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": encode(x), "y": encode(y)})
    }

    /// A token of a user, for this time, that says to be signed with the key of this id.
    pub(crate) fn token_named(&self, user: &str, seconds: u64, id: &str) -> String {
        let key = SigningKey::read(Algorithm::ES256, self.pair.serialize_pem().as_bytes()).unwrap();
        let claims = json!({"sub": user, "rooms": everywhere(), "exp": now_s() + seconds});
        sign(&key, Some(id), &claims).unwrap()
    }

    pub(crate) fn token(&self, user: &str, seconds: u64) -> String {
        self.token_named(user, seconds, &self.id)
    }
}

#[derive(Default)]
struct State {
    requests: AtomicUsize,
    document: Mutex<String>,
    ended: AtomicBool,
}

/// The issuer's server.
pub(crate) struct Issuer {
    port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Issuer {
    /// Publishes these keys on this port.
    pub(crate) fn start(port: u16, keys: &[&Issued]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::<State>::default();
        let server = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            while !server.ended.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((socket, _)) => drop(serve(socket, &server)),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        let issuer = Self { port, state, thread: Some(thread) };
        issuer.publishes(keys);
        issuer
    }

    pub(crate) fn publishes(&self, keys: &[&Issued]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        *self.state.document.lock().unwrap() = json!({ "keys": keys }).to_string();
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// The setting that leads here.
    pub(crate) fn setting(&self) -> String {
        setting(self.port)
    }
}

pub(crate) fn setting(port: u16) -> String {
    format!("auth.jwks_url=http://127.0.0.1:{port}/keys")
}

/// Reads one request and answers it.
fn serve(socket: std::net::TcpStream, state: &State) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    state.requests.fetch_add(1, Ordering::SeqCst);
    let document = state.document.lock().unwrap().clone();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", document.len());
    reader.get_mut().write_all((head + &document).as_bytes())
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}
