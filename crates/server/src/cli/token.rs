//! `roomcast token`: a token for trying things out.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use roomcast_session::auth::{Access, Authenticator, SigningKey, sign};
use serde_json::{Map, Value, json};

use crate::config::{Config, KeyText, Lookup, span};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The user
    #[arg(long, value_name = "USER")]
    sub: Option<String>,
    /// Rooms to subscribe to, such as 'chat:*'; may be repeated
    #[arg(long, value_name = "PATTERN")]
    subscribe: Vec<String>,
    /// Rooms to publish to; may be repeated
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    /// Rooms whose members may be seen; may be repeated
    #[arg(long, value_name = "PATTERN")]
    presence: Vec<String>,
    /// Rooms whose old messages may be read; may be repeated
    #[arg(long, value_name = "PATTERN")]
    history: Vec<String>,
    /// What others see of the user in presence, as JSON
    #[arg(long, value_name = "JSON")]
    info: Option<String>,
    /// How long the token is good, such as 30s, 15m or 1h
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: String,
    /// Who makes the token [default: auth.issuer]
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// Who it is for; may be repeated [default: auth.audience]
    #[arg(long, value_name = "TEXT")]
    audience: Vec<String>,
    /// The name of the key
    #[arg(long)]
    kid: Option<String>,
    /// The key: ALG:SOURCE:VALUE as in auth.keys, but a private one [default: the first secret there]
    #[arg(long, value_name = "ALG:SOURCE:VALUE")]
    key: Option<String>,
    #[command(flatten)]
    pub(super) settings: super::Settings,
}

impl Arguments {
    /// Prints a token on standard output, and nothing else there.
    pub(super) fn run(&self, config: &Config, environment: Lookup<'_>) -> Result<()> {
        let now_s =
            SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
        let access = &config.auth.access;
        let (key, id) = self.signing_key(access, environment)?;
        let claims = self.claims(access, now_s)?;
        let id = self.kid.as_deref().or(id.as_deref());
        let token = sign(&key, id, &claims).context("the token cannot be signed: no random numbers")?;
        if self.key.is_none()
            && let Err(error) = Authenticator::new(access.clone()).verify(&token, now_s)
        {
            bail!("a gateway with this configuration would not take such a token: {error}");
        }
        println!("{token}");
        Ok(())
    }

    fn signing_key(&self, access: &Access, environment: Lookup<'_>) -> Result<(SigningKey, Option<String>)> {
        if let Some(text) = &self.key {
            let read = KeyText::read(text, environment).and_then(KeyText::signing);
            return read.map_err(|message| anyhow::anyhow!("--key {message}"));
        }
        let able =
            access.keys.keys().iter().find_map(|key| Some((key.signing()?, key.id().map(str::to_owned))));
        able.context(
            "no configured key can sign: auth.keys has no secret (HS256, HS384, HS512). \
             Give the private key with --key, such as --key ES256:file:private.pem; or for a first try, \
             make a secret with `openssl rand -hex 32`, export it as JWT_SECRET, and set \
             auth.keys = [\"HS256:env:JWT_SECRET\"] for the gateway and for this command",
        )
    }

    fn claims(&self, access: &Access, now_s: u64) -> Result<Value> {
        let expires = span(&self.expires).with_context(|| {
            format!("--expires {:?} must be a time with its unit, such as 30s, 15m or 1h", self.expires)
        })?;
        let mut rooms = Map::new();
        let lists = [
            ("subscribe", &self.subscribe),
            ("publish", &self.publish),
            ("presence", &self.presence),
            ("history", &self.history),
        ];
        for (name, patterns) in lists.into_iter().filter(|(_, patterns)| !patterns.is_empty()) {
            rooms.insert(name.to_owned(), json!(patterns));
        }
        let exp = now_s.saturating_add(expires.as_secs());
        let mut claims = json!({"iat": now_s, "exp": exp, "rooms": rooms});
        if let Some(sub) = &self.sub {
            claims["sub"] = json!(sub);
        }
        if let Some(info) = &self.info {
            let Ok(info) = serde_json::from_str::<Value>(info) else {
                bail!("--info must be JSON, such as '{{\"name\": \"Alice\"}}'");
            };
            claims["info"] = info;
        }
        if let Some(issuer) = self.issuer.as_ref().or(access.rules.issuer.as_ref()) {
            claims["iss"] = json!(issuer);
        }
        let audience = if self.audience.is_empty() { &access.rules.audiences } else { &self.audience };
        match &**audience {
            [] => {}
            [one] => claims["aud"] = json!(one),
            many => claims["aud"] = json!(many),
        }
        Ok(claims)
    }
}
