//! Keys that an issuer publishes (a JWKS URL): fetched at the start, when they get old, and when a
//! token names one that is not known.

mod fetch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use roomcast_session::auth::{Authenticator, KeySet, Skipped};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::config::JwksConfig;
use fetch::{Fetched, Fetcher};

/// How fast things happen.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The shortest time that keys are used for, whatever the issuer's `max-age` says: nodes do not
    /// ask more often than this without a reason.
    age_min: Duration,
    /// The wait after a first failure, doubled for each further one.
    backoff_min: Duration,
    /// The longest wait: so soon after an outage of any length keys are there again.
    backoff_max: Duration,
}

const PACE: Pace = Pace {
    age_min: Duration::from_secs(60),
    backoff_min: Duration::from_secs(1),
    backoff_max: Duration::from_secs(60),
};

/// Keeps the authenticator's keys fresh, as the configuration says that is there at the time; ends
/// with the sender of configurations.
pub(crate) async fn run(authenticator: Arc<Authenticator>, configs: watch::Receiver<Option<JwksConfig>>) {
    run_at(PACE, authenticator, configs).await;
}

async fn run_at(
    pace: Pace,
    authenticator: Arc<Authenticator>,
    mut configs: watch::Receiver<Option<JwksConfig>>,
) {
    loop {
        let config = configs.borrow_and_update().clone();
        let keep_fresh = async {
            match config {
                Some(config) => Source::new(config, pace).keep_fresh(&authenticator).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Before anything from the old place is put to use.
            biased;
            changed = configs.changed() => if changed.is_err() {
                return;
            },
            () = keep_fresh => {}
        }
    }
}

/// One place, and what was last heard from it. Only changes are logged.
struct Source {
    config: JwksConfig,
    pace: Pace,
    failures: u32,
    /// The keys' names and what was left out, as last told.
    told: Option<(Vec<String>, Vec<Skipped>)>,
}

impl Source {
    fn new(config: JwksConfig, pace: Pace) -> Self {
        Self { config, pace, failures: 0, told: None }
    }

    /// Without end.
    async fn keep_fresh(mut self, authenticator: &Authenticator) {
        let fetcher = Fetcher::new(&self.config);
        loop {
            let fetch = authenticator.refresh().begin();
            let fetched = match &fetcher {
                Ok(fetcher) => fetcher.get().await.and_then(|fetched| read(&fetched)),
                Err(error) => Err(anyhow!("{error:#}")),
            };
            let wait = match fetched {
                Ok((keys, skipped, age)) => {
                    self.tell(&keys, skipped);
                    authenticator.fetched(fetch, keys);
                    let age_max = self.config.refresh.max(self.pace.age_min);
                    age.unwrap_or(age_max).clamp(self.pace.age_min, age_max)
                }
                Err(error) => {
                    fetch.failed();
                    self.failed(&error)
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = authenticator.refresh().wanted() => {}
            }
        }
    }

    /// Keeps the old keys, says so once, and gives the time until the next attempt: longer each time,
    /// with jitter, so that nodes do not come back in step.
    fn failed(&mut self, error: &anyhow::Error) -> Duration {
        let (url, kept) =
            (self.url(), if self.told.is_some() { "the old ones stay in use" } else { "there are none yet" });
        if self.failures == 0 {
            warn!(%url, error = format!("{error:#}"), "cannot fetch the keys of tokens; {kept}, trying on");
        }
        let step = self.pace.backoff_min.saturating_mul(2u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        step.min(self.pace.backoff_max).mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    fn tell(&mut self, keys: &KeySet, skipped: Vec<Skipped>) {
        let url = self.url();
        if self.failures > 0 && self.told.is_some() {
            info!(%url, "the keys of tokens can be fetched again");
        }
        self.failures = 0;
        let name =
            |key: &roomcast_session::auth::Key| format!("{} {:?}", key.algorithm(), key.id().unwrap_or("-"));
        let news = (keys.keys().iter().map(name).collect::<Vec<_>>(), skipped);
        if self.told.as_ref() == Some(&news) {
            return;
        }
        for Skipped { id, reason } in &news.1 {
            warn!(%url, kid = ?id, %reason, "a published key is not used");
        }
        match &*news.0 {
            [] => warn!(%url, "no key is published that could be used, so no token is accepted by one"),
            names => info!(%url, keys = names.join(", "), "fetched the keys of tokens"),
        }
        self.told = Some(news);
    }

    /// Without the query, which may hold what should not be in a log.
    fn url(&self) -> String {
        let url = &self.config.url;
        format!("{}://{}{}", url.scheme_str().unwrap_or_default(), url.host().unwrap_or_default(), url.path())
    }
}

type News = (KeySet, Vec<Skipped>, Option<Duration>);

fn read(fetched: &Fetched) -> Result<News> {
    let (keys, skipped) = KeySet::from_jwks(&fetched.body).context("what is there cannot be used")?;
    Ok((keys, skipped, fetched.max_age))
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
