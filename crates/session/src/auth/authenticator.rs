//! The one handle on tokens that all conversations of a node share.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::claims::Identity;
use super::grants::Grants;
use super::keyset::KeySet;
use super::refresh::{Fetch, Refresh};
use super::verifier::{Rules, TokenError, Verifier};

/// Checks tokens, with keys that may be replaced at any time: by the operator, or by the issuer who
/// publishes new ones.
#[derive(Debug)]
pub struct Authenticator {
    /// `None` while no keys are configured: everything is open then.
    verifier: ArcSwap<Option<Verifier>>,
    refresh: Refresh,
}

/// How tokens are checked, as the configuration says.
#[derive(Debug, Clone)]
pub struct Access {
    /// What is asked of a token.
    pub rules: Rules,
    /// Keys of the configuration.
    pub keys: Arc<KeySet>,
    /// Whether others are fetched from a JWKS URL.
    pub fetches: bool,
}

impl Access {
    fn is_open(&self) -> bool {
        self.keys.keys().is_empty() && !self.fetches
    }

    fn verifier(self, fetched: Arc<KeySet>) -> Option<Verifier> {
        if self.is_open() {
            return None;
        }
        Some(Verifier { rules: Arc::new(self.rules), keys: self.keys, fetched })
    }
}

impl Authenticator {
    /// Checks tokens as `access` says.
    pub fn new(access: Access) -> Self {
        let refresh = Refresh::new(access.fetches);
        Self { verifier: ArcSwap::from_pointee(access.verifier(Arc::default())), refresh }
    }

    /// From now on tokens are checked as `access` says. Fetched keys stay until others come, unless
    /// none are to be fetched any more. Who is in stays in.
    pub fn replace(&self, access: &Access) {
        self.refresh.set_possible(access.fetches);
        self.verifier.rcu(|old| {
            let fetched = (**old).as_ref().filter(|_| access.fetches).map(|v| Arc::clone(&v.fetched));
            access.clone().verifier(fetched.unwrap_or_default())
        });
    }

    /// Whether no keys are configured, so that everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.verifier.load().is_none()
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
        match &**self.verifier.load() {
            Some(verifier) => verifier.verify(token, now_s),
            None => Err(TokenError::UnknownKey),
        }
    }

    /// As [`verify`](Self::verify), but a key that is not known is asked for once. `now_s` gives Unix
    /// seconds.
    pub async fn verify_with_refresh(
        &self,
        token: &str,
        now_s: impl Fn() -> u64,
    ) -> Result<Identity, TokenError> {
        let mut result = self.verify(token, now_s());
        if result == Err(TokenError::UnknownKey) && self.refresh.wait().await {
            result = self.verify(token, now_s());
        }
        match result {
            // The key may well be a good one, so the client must not be turned away for good.
            Err(TokenError::UnknownKey) if !self.refresh.is_current() => Err(TokenError::KeysUnavailable),
            result => result,
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
        self.verifier.rcu(|old| (**old).as_ref().map(|verifier| verifier.with_fetched(Arc::clone(&keys))));
        fetch.succeeded();
        drop(fetch);
    }
}

#[cfg(test)]
#[path = "authenticator_tests.rs"]
mod tests;
