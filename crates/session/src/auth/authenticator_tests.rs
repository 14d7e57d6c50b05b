//! Waiting for keys, in virtual time: who waits, how long, and what it costs the issuer.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::super::algorithm::Algorithm::{ES256, HS256};
use super::super::fixtures::{self, NOW_S, rules, token, token_with_kid};
use super::super::refresh::COOLDOWN;
use super::super::sign::{SigningKey, sign};
use super::*;

fn access(keys: Vec<super::super::key::Key>, fetches: bool) -> Access {
    let source = fetches.then(|| "https://issuer.example/keys".into());
    Access { rules: rules(), keys: Arc::new(KeySet::new(keys)), source }
}

fn fetching() -> Rc<Authenticator> {
    Rc::new(Authenticator::new(access(Vec::new(), true)))
}

fn key_set() -> KeySet {
    KeySet::new(vec![fixtures::key(ES256, Some("key-1"))])
}

/// Fetches whenever it is asked to, which takes a second; `work` says what comes of it. Gives the count.
fn fetcher(authenticator: &Rc<Authenticator>, work: impl Fn() -> Option<KeySet> + 'static) -> Rc<Cell<u32>> {
    let (count, authenticator) = (Rc::new(Cell::new(0)), Rc::clone(authenticator));
    let counted = Rc::clone(&count);
    tokio::task::spawn_local(async move {
        loop {
            authenticator.refresh().wanted().await;
            let fetch = authenticator.refresh().begin();
            counted.set(counted.get() + 1);
            sleep(Duration::from_secs(1)).await;
            match work() {
                Some(keys) => authenticator.fetched(fetch, keys),
                None => fetch.failed(),
            }
        }
    });
    count
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<(), TokenError> {
    authenticator.verify_with_refresh(token, || NOW_S).await.map(|_| ())
}

#[tokio::test]
async fn open_without_keys_and_closed_with_them() {
    let room = roomcast_protocol::Room::parse("chat:1").unwrap();
    let open = Authenticator::new(access(Vec::new(), false));
    assert!(open.is_open());
    for token in [None, Some("junk"), Some(token(HS256))] {
        let identity = open.admit(token, || NOW_S).await.unwrap();
        assert!(identity.grants.may_publish(&room) && identity.user.is_none());
    }
    open.replace(&access(vec![fixtures::key(HS256, None)], false));
    assert!(!open.is_open());
    assert!(!open.admit(None, || NOW_S).await.unwrap().grants.may_subscribe(&room));
    let alice = open.admit(Some(token(HS256)), || NOW_S).await.unwrap();
    assert_eq!(alice.user.as_deref(), Some("alice"));
    assert_eq!(open.admit(Some("junk"), || NOW_S).await, Err(TokenError::Malformed));
    // Nobody fetches keys here, so nobody waits.
    assert_eq!(ask(&open, token_with_kid(ES256)).await, Err(TokenError::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn everyone_who_waits_is_answered_by_one_fetch() {
    LocalSet::new()
        .run_until(async {
            let authenticator = fetching();
            let count = fetcher(&authenticator, || Some(key_set()));
            let asking: Vec<_> = (0..1000)
                .map(|_| {
                    let authenticator = Rc::clone(&authenticator);
                    tokio::task::spawn_local(async move { ask(&authenticator, token_with_kid(ES256)).await })
                })
                .collect();
            for one in asking {
                assert_eq!(one.await.unwrap(), Ok(()));
            }
            assert_eq!(count.get(), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_cost_one_fetch_a_cooldown() {
    LocalSet::new()
        .run_until(async {
            let authenticator = fetching();
            let count = fetcher(&authenticator, || Some(key_set()));
            let begin = Instant::now();
            for number in 0..2000 {
                let asked = Instant::now();
                let refusal = ask(&authenticator, &made_up(number)).await.unwrap_err();
                let expected = [TokenError::UnknownKey, TokenError::KeysUnavailable];
                assert!(expected.contains(&refusal), "{refusal}");
                assert!(asked.elapsed() <= Duration::from_secs(5));
                sleep(Duration::from_millis(20)).await;
            }
            let cooldowns = begin.elapsed().as_secs() / COOLDOWN.as_secs() + 1;
            assert!(count.get() >= 3 && u64::from(count.get()) <= cooldowns, "{} {cooldowns}", count.get());
        })
        .await;
}

/// A token with a key id that nobody has heard of.
fn made_up(number: u32) -> String {
    let key = SigningKey::read(HS256, &[7; 32]).unwrap();
    sign(&key, Some(&format!("made-up-{number}")), &serde_json::json!({"exp": NOW_S + 60})).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wish_during_the_cooldown_is_fulfilled_after_it() {
    LocalSet::new()
        .run_until(async {
            let authenticator = fetching();
            let rotated = Rc::new(Cell::new(false));
            let published = Rc::clone(&rotated);
            let count = fetcher(&authenticator, move || {
                Some(if published.get() { key_set() } else { KeySet::default() })
            });
            let wanted = token_with_kid(ES256);
            assert_eq!(ask(&authenticator, wanted).await, Err(TokenError::UnknownKey));
            rotated.set(true);
            let begin = Instant::now();
            assert_eq!(ask(&authenticator, wanted).await, Err(TokenError::KeysUnavailable));
            assert_eq!(begin.elapsed(), Duration::ZERO, "nobody waits for as long as this cooldown lasts");
            sleep(Duration::from_secs(5)).await;
            assert_eq!(
                ask(&authenticator, wanted).await,
                Err(TokenError::KeysUnavailable),
                "it waited for 5 s"
            );
            assert_eq!(count.get(), 2, "but the wish was kept");
            assert_eq!(ask(&authenticator, wanted).await, Ok(()));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_keys_to_be_had_nobody_is_turned_away_for_good() {
    LocalSet::new()
        .run_until(async {
            let authenticator = fetching();
            let works = Rc::new(Cell::new(false));
            let work = Rc::clone(&works);
            fetcher(&authenticator, move || work.get().then(key_set));
            let wanted = token_with_kid(ES256);
            assert_eq!(ask(&authenticator, wanted).await, Err(TokenError::KeysUnavailable));
            works.set(true);
            sleep(COOLDOWN).await;
            assert_eq!(ask(&authenticator, wanted).await, Ok(()));
            // Keys that were fetched stay in use while their issuer is away.
            works.set(false);
            sleep(COOLDOWN).await;
            assert_eq!(ask(&authenticator, &made_up(1)).await, Err(TokenError::KeysUnavailable));
            assert_eq!(ask(&authenticator, wanted).await, Ok(()));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_fetcher_that_is_gone() {
    let authenticator = fetching();
    let begin = Instant::now();
    assert_eq!(ask(&authenticator, token_with_kid(ES256)).await, Err(TokenError::KeysUnavailable));
    assert_eq!(begin.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn replacing_keeps_fetched_keys_as_long_as_keys_are_fetched() {
    let authenticator = fetching();
    authenticator.fetched(authenticator.refresh().begin(), key_set());
    let good = |authenticator: &Authenticator| authenticator.verify(token_with_kid(ES256), NOW_S).is_ok();
    assert!(good(&authenticator));
    authenticator.replace(&access(vec![fixtures::key(HS256, None)], true));
    assert!(good(&authenticator));
    let elsewhere = Access { source: Some("https://other.example/keys".into()), ..access(Vec::new(), true) };
    authenticator.replace(&elsewhere);
    assert!(!good(&authenticator), "the keys of an issuer go with the issuer");
    authenticator.fetched(authenticator.refresh().begin(), key_set());
    assert!(good(&authenticator));
    authenticator.replace(&access(vec![fixtures::key(HS256, None)], false));
    assert!(!good(&authenticator));
    assert!(authenticator.verify(token(HS256), NOW_S).is_ok());
}
