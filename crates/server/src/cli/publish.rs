//! `roomcast publish ROOM DATA`: one message through a running gateway.

use std::io::Read as _;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use roomcast_protocol::Room;
use tokio::net::TcpStream;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The room
    room: String,
    /// The message: JSON or text; "-" reads standard input
    data: String,
    /// The message's event name
    #[arg(long, default_value = "")]
    event: String,
    /// Idempotency key: the same key again publishes nothing and answers the first id
    #[arg(long)]
    key: Option<String>,
    /// What the message is, such as application/json, text/plain or application/octet-stream;
    /// without it the gateway finds out
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A gateway
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
}

pub(super) async fn run(arguments: Arguments) -> Result<()> {
    let room = Room::parse(&arguments.room)?;
    let data = match &*arguments.data {
        "-" => {
            let mut all = Vec::new();
            std::io::stdin().read_to_end(&mut all).context("cannot read standard input")?;
            Bytes::from(all)
        }
        data => Bytes::copy_from_slice(data.as_bytes()),
    };
    let gateway = Gateway::parse(&arguments.url)?;
    let event = utf8_percent_encode(&arguments.event, NON_ALPHANUMERIC);
    let mut request =
        Request::post(format!("/rooms/{room}/messages?event={event}")).header(HOST, &gateway.authority);
    if let Some(content_type) = &arguments.content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    if let Some(key) = &arguments.key {
        request = request.header("idempotency-key", key);
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(gateway.connect().await?)).await?;
    let _connection = tokio::task::spawn_local(connection);
    let response = sender.send_request(request.body(Full::new(data))?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body);
    if !status.is_success() {
        let detail = serde_json::from_str::<serde_json::Value>(&body).ok();
        let detail = detail.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or(&body);
        bail!("the gateway refused with {status}: {detail}");
    }
    println!("{body}");
    Ok(())
}

/// Where a gateway is.
pub(super) struct Gateway {
    pub(super) authority: String,
}

impl Gateway {
    pub(super) fn parse(url: &str) -> Result<Self> {
        if url.starts_with("https://") {
            bail!("this command does not speak TLS; use curl, or the address of a gateway without TLS");
        }
        let rest = url
            .strip_prefix("http://")
            .with_context(|| format!("{url:?} is not a URL such as http://127.0.0.1:8080"))?;
        let authority = rest.trim_end_matches('/').to_owned();
        if authority.is_empty() || authority.contains('/') {
            bail!("{url:?} is not a URL such as http://127.0.0.1:8080");
        }
        Ok(Self { authority })
    }

    pub(super) async fn connect(&self) -> Result<TcpStream> {
        let with_port = if self.authority.contains(':') {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        };
        TcpStream::connect(&with_port).await.with_context(|| {
            format!("cannot reach a gateway at {}; is it running? see --url", self.authority)
        })
    }
}
