//! `roomcast doctor`: what usually goes wrong, each with its remedy. Exit codes: 0 where nothing is bad, 1 where
//! something is, 2 where it was asked wrongly.

mod finding;
mod machine;
mod public;
mod redis;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::Settings;
use crate::config::Config;
use finding::{Grade, good};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Where clients reach the service, such as `https://rt.example`: opens a stream and a WebSocket through whatever
    /// proxies are in front, publishes, and measures whether messages are held back
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The room that is used for that
    #[arg(long, value_name = "ROOM", default_value = "roomcast-doctor")]
    room: String,
    /// A token that may subscribe to the room, and publish to it if that is to be tried
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Print one JSON object: {"good":…,"findings":[{"check":…,"state":"ok|warn|fail","message":…,"remedy":…}]}
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Whether the URL is one; a sentence if it is not.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.url {
            Some(url) if crate::config::web_url(url).is_none() => {
                Err(format!("{url:?} is not a URL such as https://rt.example; correct --url"))
            }
            _ => Ok(()),
        }
    }

    /// Prints what was found; true if nothing is bad.
    pub(super) async fn run(self, config: Config) -> Result<bool> {
        let mut findings = machine::findings(&config);
        match &config.redis {
            Some(redis) => findings.extend(redis::findings(redis, redis::Needs::of(&config)).await),
            None => {
                findings.push(good("redis", "no broker.url: the broker is embedded, one node only"));
            }
        }
        if let Some(url) = self.url.as_deref().and_then(crate::config::web_url) {
            let heartbeat = config.session.heartbeat;
            findings.extend(public::findings(&url, &self.room, self.token.as_deref(), heartbeat).await);
        }
        let all_good = findings.iter().all(|finding| finding.grade != Grade::Fail);
        if self.json {
            println!("{}", json!({ "good": all_good, "findings": findings }));
        } else {
            findings.iter().for_each(|finding| println!("{finding}"));
        }
        Ok(all_good)
    }
}
