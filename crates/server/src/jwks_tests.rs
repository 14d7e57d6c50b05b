//! Fetching keys from a real server on this machine that rotates, fails, lies and counts requests.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use roomcast_session::auth::{Access, Algorithm, COOLDOWN, ExpiryRule, Rules, SigningKey, TokenError, sign};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, pki_types::PrivateKeyDer};

use super::*;

const NOW_S: u64 = 1_700_000_000;

/// For tests that wait: no test depends on these being short.
const FAST: Pace = Pace {
    age_min: Duration::from_millis(20),
    backoff_min: Duration::from_millis(5),
    backoff_max: Duration::from_millis(40),
};

/// A key of an issuer.
struct Issued {
    id: String,
    pair: KeyPair,
}

impl Issued {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), pair: KeyPair::generate().unwrap() }
    }

    fn jwk(&self) -> serde_json::Value {
        let (x, y) = self.pair.public_key_raw()[1..].split_at(32);
        let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": encode(x), "y": encode(y)})
    }

    fn token(&self) -> String {
        let key = SigningKey::read(Algorithm::ES256, self.pair.serialize_pem().as_bytes()).unwrap();
        sign(&key, Some(&self.id), &json!({"sub": "alice", "exp": NOW_S + 60})).unwrap()
    }
}

fn document(keys: &[&Issued]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// Status, headers and body.
type Answer = (u16, Vec<(&'static str, String)>, String);

/// An issuer's server.
#[derive(Clone)]
struct Issuer {
    requests: Arc<AtomicU64>,
    answer: Arc<Mutex<Answer>>,
    port: u16,
}

impl Issuer {
    async fn start(body: String, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new((200, Vec::new(), body)));
        let issuer = Self { requests: Arc::default(), answer, port };
        let server = issuer.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.serve(socket).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                server.serve(socket).await;
                            }
                        }
                    }
                });
            }
        });
        issuer
    }

    async fn serve(&self, socket: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
        let service = service_fn(|_| async {
            self.requests.fetch_add(1, Ordering::SeqCst);
            let (status, headers, body) = self.answer.lock().unwrap().clone();
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Full::new(Bytes::from(body)))
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
    }

    fn answers(&self, status: u16, headers: Vec<(&'static str, String)>, body: &str) {
        *self.answer.lock().unwrap() = (status, headers, body.to_owned());
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    fn config(&self, scheme: &str) -> JwksConfig {
        let url = format!("{scheme}://localhost:{}/keys?a=b", self.port).parse().unwrap();
        JwksConfig { url, refresh: Duration::from_secs(600), authorities: Vec::new() }
    }
}

fn access(config: Option<&JwksConfig>) -> Access {
    let rules = Rules { issuer: None, audiences: Vec::new(), leeway_s: 0, expiry: ExpiryRule::Required };
    Access { rules, keys: Arc::default(), source: config.map(|config| config.url.to_string().into()) }
}

/// An authenticator whose keys are kept fresh.
fn keep(
    pace: Pace,
    cooldown: Duration,
    config: &JwksConfig,
) -> (Arc<Authenticator>, watch::Sender<Option<JwksConfig>>) {
    let authenticator = Arc::new(Authenticator::with_cooldown(access(Some(config)), cooldown));
    let (sender, receiver) = watch::channel(Some(config.clone()));
    tokio::spawn(run_at(pace, Arc::clone(&authenticator), receiver));
    (authenticator, sender)
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<(), TokenError> {
    authenticator.verify_with_refresh(token, || NOW_S).await.map(|_| ())
}

/// Waits, generously, until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what} within 30 s");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn rotated_keys_are_fetched_when_a_token_needs_them_and_the_old_ones_go() {
    let (old, new) = (Issued::new("old"), Issued::new("new"));
    let issuer = Issuer::start(document(&[&old]), None).await;
    let (authenticator, _configs) = keep(PACE, Duration::from_millis(50), &issuer.config("http"));
    assert_eq!(ask(&authenticator, &old.token()).await, Ok(()), "the first one waits for the keys");
    assert_eq!(issuer.requests(), 1);
    issuer.answers(200, Vec::new(), &document(&[&old, &new]));
    assert_eq!(ask(&authenticator, &old.token()).await, Ok(()));
    assert_eq!(issuer.requests(), 1, "known keys cost nothing");
    assert_eq!(ask(&authenticator, &new.token()).await, Ok(()));
    issuer.answers(200, Vec::new(), &document(&[&new]));
    let third = Issued::new("third");
    assert_eq!(ask(&authenticator, &third.token()).await, Err(TokenError::UnknownKey));
    assert_eq!(ask(&authenticator, &old.token()).await, Err(TokenError::UnknownKey));
    assert_eq!(ask(&authenticator, &new.token()).await, Ok(()));
}

#[tokio::test]
async fn thousands_of_unknown_keys_make_no_storm() {
    let known = Issued::new("known");
    let issuer = Issuer::start(document(&[&known]), None).await;
    let begin = Instant::now();
    let (authenticator, _configs) = keep(PACE, COOLDOWN, &issuer.config("http"));
    assert_eq!(ask(&authenticator, &known.token()).await, Ok(()));
    let mut forged = Issued::new("");
    let asking: Vec<_> = (0..3000)
        .map(|number| {
            forged.id = format!("forged-{number}");
            let (authenticator, token) = (Arc::clone(&authenticator), forged.token());
            tokio::spawn(async move { ask(&authenticator, &token).await })
        })
        .collect();
    for one in asking {
        let refusal = one.await.unwrap().unwrap_err();
        assert!(matches!(refusal, TokenError::UnknownKey | TokenError::KeysUnavailable), "{refusal}");
        assert_eq!(ask(&authenticator, &known.token()).await, Ok(()), "others are not held up");
    }
    let allowed = 1 + begin.elapsed().as_secs() / COOLDOWN.as_secs();
    assert!((1..=allowed).contains(&issuer.requests()), "{} of {allowed}", issuer.requests());
}

#[tokio::test]
async fn every_kind_of_failure_keeps_the_old_keys_and_is_tried_on() {
    let known = Issued::new("known");
    let good = document(&[&known]);
    let issuer = Issuer::start(good.clone(), None).await;
    let elsewhere = ("location", format!("http://127.0.0.1:{}/other", issuer.port));
    let failures = [
        (500, vec![], good.clone()),
        (404, vec![], good.clone()),
        (302, vec![elsewhere], good.clone()),
        (204, vec![], String::new()),
        (200, vec![], "<html>".to_owned()),
        (200, vec![], "[]".to_owned()),
        (200, vec![], " ".repeat((1 << 20) + 1) + &good),
    ];
    // Fetched again every 20 ms.
    let config = JwksConfig { refresh: Duration::ZERO, ..issuer.config("http") };
    let (authenticator, _configs) = keep(FAST, Duration::ZERO, &config);
    for (status, headers, body) in failures {
        issuer.answers(200, vec![], &good);
        until("keys are there", || authenticator.verify(&known.token(), NOW_S).is_ok()).await;
        issuer.answers(status, headers, &body);
        let before = issuer.requests();
        until("it was tried again and again", || issuer.requests() >= before + 4).await;
        assert_eq!(ask(&authenticator, &known.token()).await, Ok(()), "{status}");
        let stranger = ask(&authenticator, &Issued::new("stranger").token()).await;
        assert_eq!(stranger, Err(TokenError::KeysUnavailable), "{status}");
    }
    issuer.answers(200, vec![], &document(&[]));
    until("a set without keys is one", || authenticator.verify(&known.token(), NOW_S).is_err()).await;
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_is_waited_for() {
    let known = Issued::new("known");
    let issuer = Issuer::start("{}".to_owned(), None).await;
    let (authenticator, _configs) = keep(FAST, Duration::ZERO, &issuer.config("http"));
    until("it was tried", || issuer.requests() >= 3).await;
    assert_eq!(authenticator.verify(&known.token(), NOW_S), Err(TokenError::UnknownKey));
    issuer.answers(200, vec![], &document(&[&known]));
    until("keys are there", || authenticator.verify(&known.token(), NOW_S).is_ok()).await;
}

#[test]
fn waits_between_failures_grow_to_a_bound() {
    let url = "http://127.0.0.1:1/".parse().unwrap();
    let config = JwksConfig { url, refresh: Duration::from_secs(600), authorities: Vec::new() };
    let mut source = Source::new(config, PACE);
    let waits: Vec<_> = (0..100).map(|_| source.failed(&anyhow!("away"))).collect();
    assert!(waits[0] <= PACE.backoff_min && waits[0] >= PACE.backoff_min / 2);
    for (place, wait) in waits.iter().enumerate() {
        let step = PACE.backoff_min * 2u32.pow(place.min(6) as u32);
        let step = step.min(PACE.backoff_max);
        assert!((step / 2..=step).contains(wait), "{place}: {wait:?}");
    }
    source.tell(&KeySet::default(), Vec::new());
    assert!(source.failed(&anyhow!("away")) <= PACE.backoff_min);
}

#[tokio::test]
async fn keys_are_used_for_as_long_as_their_server_says() {
    let known = Issued::new("known");
    let issuer = Issuer::start(document(&[&known]), None).await;
    issuer.answers(200, vec![("cache-control", "max-age=0".to_owned())], &document(&[&known]));
    let (_authenticator, _configs) = keep(FAST, COOLDOWN, &issuer.config("http"));
    until("they are fetched every 20 ms", || issuer.requests() >= 5).await;
    // From now on they are good for ten minutes, so what is fetched last stays last.
    issuer.answers(200, vec![("cache-control", "max-age=99999999".to_owned())], &document(&[&known]));
    let before = issuer.requests();
    until("they are fetched once more", || issuer.requests() > before).await;
    sleep(FAST.age_min * 10).await;
    assert!(issuer.requests() <= before + 2, "{} {before}", issuer.requests());
}

#[tokio::test]
async fn another_url_drops_the_old_keys_at_once() {
    let (first_key, second_key) = (Issued::new("first"), Issued::new("second"));
    let first = Issuer::start(document(&[&first_key]), None).await;
    let second = Issuer::start(document(&[&second_key]), None).await;
    let (authenticator, configs) = keep(PACE, COOLDOWN, &first.config("http"));
    assert_eq!(ask(&authenticator, &first_key.token()).await, Ok(()));
    let config = second.config("http");
    authenticator.replace(&access(Some(&config)));
    configs.send_replace(Some(config));
    assert!(authenticator.verify(&first_key.token(), NOW_S).is_err());
    assert_eq!(ask(&authenticator, &second_key.token()).await, Ok(()));
    assert_eq!(first.requests(), 1);
    authenticator.replace(&access(None));
    configs.send_replace(None);
    assert!(authenticator.is_open());
}

#[tokio::test]
async fn https_with_an_authority_of_ones_own_and_not_without() {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let authority = certificate.der().clone();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![authority.clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let known = Issued::new("known");
    let issuer = Issuer::start(document(&[&known]), Some(TlsAcceptor::from(Arc::new(tls)))).await;
    let stranger = Fetcher::new(&issuer.config("https")).unwrap().get().await.unwrap_err();
    assert!(format!("{stranger:#}").contains("no TLS connection"), "{stranger:#}");
    assert_eq!(issuer.requests(), 0);
    let config = JwksConfig { authorities: vec![authority], ..issuer.config("https") };
    let (authenticator, _configs) = keep(PACE, COOLDOWN, &config);
    assert_eq!(ask(&authenticator, &known.token()).await, Ok(()));
    // The name in the certificate counts.
    let url = format!("https://127.0.0.1:{}/", issuer.port).parse().unwrap();
    assert!(Fetcher::new(&JwksConfig { url, ..config }).unwrap().get().await.is_err());
}

/// In virtual time: whatever is waited for, it ends.
#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let config = JwksConfig { url, refresh: Duration::from_secs(600), authorities: Vec::new() };
    let error = Fetcher::new(&config).unwrap().get().await.unwrap_err();
    assert!(format!("{error:#}").contains("no answer within 10s"), "{error:#}");
}
