//! The one handle on tokens that all conversations of a node share.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::claims::Identity;
use super::grants::Grants;
use super::keyset::KeySet;
use super::refresh::{COOLDOWN, Fetch, Refresh, Waited};
use super::verifier::{Rules, TokenError, Verifier};

/// Checks tokens, with keys that may be replaced at any time: by the operator, or by the issuer who
/// publishes new ones.
#[derive(Debug)]
pub struct Authenticator {
    /// `None` while no keys are configured: everything is open then.
    checks: ArcSwap<Option<Checks>>,
    refresh: Refresh,
}

#[derive(Debug, Clone)]
struct Checks {
    verifier: Verifier,
    source: Option<Arc<str>>,
}

/// How tokens are checked, as the configuration says.
#[derive(Debug, Clone)]
pub struct Access {
    /// What is asked of a token.
    pub rules: Rules,
    /// Keys of the configuration.
    pub keys: Arc<KeySet>,
    /// Where others are fetched from, if anywhere: the JWKS URL.
    pub source: Option<Arc<str>>,
}

impl Access {
    /// Whether there are no keys at all, so that everything is open.
    pub fn is_open(&self) -> bool {
        self.keys.keys().is_empty() && self.source.is_none()
    }

    fn checks(self, fetched: Arc<KeySet>) -> Option<Checks> {
        if self.is_open() {
            return None;
        }
        let verifier = Verifier { rules: Arc::new(self.rules), keys: self.keys, fetched };
        Some(Checks { verifier, source: self.source })
    }
}

impl Authenticator {
    /// Checks tokens as `access` says.
    pub fn new(access: Access) -> Self {
        Self::with_cooldown(access, COOLDOWN)
    }

    /// As [`new`](Self::new), with another time between fetches that tokens cause.
    pub fn with_cooldown(access: Access, cooldown: Duration) -> Self {
        let refresh = Refresh::new(access.source.is_some(), cooldown);
        Self { checks: ArcSwap::from_pointee(access.checks(Arc::default())), refresh }
    }

    /// From now on tokens are checked as `access` says. Fetched keys stay as long as they are fetched
    /// from the same place. Who is in stays in.
    pub fn replace(&self, access: &Access) {
        let source = (**self.checks.load()).as_ref().and_then(|checks| checks.source.clone());
        let same = source == access.source;
        if !same {
            self.refresh.moved(access.source.is_some());
        }
        self.checks.rcu(|old| {
            let fetched = (**old).as_ref().filter(|_| same).map(|old| Arc::clone(&old.verifier.fetched));
            access.clone().checks(fetched.unwrap_or_default())
        });
    }

    /// Whether no keys are configured, so that everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.checks.load().is_none()
    }

    /// Who a client is that brought this token, or none. While everything is open tokens are not
    /// looked at: there is nothing to check them with. Waits, for seconds at most, where the token's
    /// key has to be fetched first.
    pub async fn admit(&self, token: Option<&str>, now_s: impl Fn() -> u64) -> Result<Identity, TokenError> {
        match token {
            _ if self.is_open() => Ok(Identity::anonymous(Grants::everything())),
            None => Ok(Identity::anonymous(Grants::nothing())),
            Some(token) => self.verify_with_refresh(token, now_s).await,
        }
    }

    /// Who the bearer of `token` is. [`TokenError::UnknownKey`] where nothing is configured.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Identity, TokenError> {
        match &**self.checks.load() {
            Some(checks) => checks.verifier.verify(token, now_s),
            None => Err(TokenError::UnknownKey),
        }
    }

    /// As [`verify`](Self::verify), but a key that is not known is asked for once. `now_s` gives Unix
    /// seconds. [`TokenError::KeysUnavailable`] where that could not be done now.
    pub async fn verify_with_refresh(
        &self,
        token: &str,
        now_s: impl Fn() -> u64,
    ) -> Result<Identity, TokenError> {
        let result = self.verify(token, now_s());
        if result != Err(TokenError::UnknownKey) {
            return result;
        }
        // Unless it is certain that the key is not a good one, the client must not be turned away for
        // good.
        match self.refresh.wait().await {
            Waited::Nowhere => result,
            Waited::InVain => Err(TokenError::KeysUnavailable),
            Waited::Fetched => match self.verify(token, now_s()) {
                Err(TokenError::UnknownKey) if !self.refresh.is_current() => Err(TokenError::KeysUnavailable),
                result => result,
            },
        }
    }

    /// Where the one who fetches keys learns that they are wanted.
    pub fn refresh(&self) -> &Refresh {
        &self.refresh
    }

    /// The fetch was successful: these keys are used from now on, in place of all that were fetched
    /// before. Everyone who waits is answered.
    pub fn fetched(&self, fetch: Fetch<'_>, keys: KeySet) {
        let keys = Arc::new(keys);
        self.checks.rcu(|old| {
            let old = (**old).as_ref()?;
            let verifier = old.verifier.with_fetched(Arc::clone(&keys));
            Some(Checks { verifier, source: old.source.clone() })
        });
        fetch.succeeded();
        drop(fetch);
    }
}

#[cfg(test)]
#[path = "authenticator_tests.rs"]
mod tests;
