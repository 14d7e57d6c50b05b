//! `roomcast subscribe ROOM…`: the messages of rooms, one JSON object a line.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use fastwebsockets::{FragmentCollector, OpCode, handshake};
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use roomcast_protocol::Room;
use roomcast_transport::LocalExecutor;
use serde_json::Value;

use super::publish::Gateway;

/// The wait before reconnecting, when the server does not say how long.
const RECONNECT: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The rooms
    #[arg(required = true)]
    rooms: Vec<String>,
    /// Print the data alone, without room and event
    #[arg(long)]
    data: bool,
    /// A gateway
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
}

/// Prints until it is interrupted. Reconnects when the gateway goes away; the first connection has
/// to succeed.
pub(super) async fn run(arguments: Arguments) -> Result<()> {
    let rooms = arguments.rooms.iter().map(|name| Room::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let gateway = Gateway::parse(&arguments.url)?;
    let mut socket = connect(&gateway, &rooms).await?;
    loop {
        let reason = print(&mut socket, arguments.data).await?;
        eprintln!("disconnected: {reason}; reconnecting");
        socket = loop {
            tokio::time::sleep(RECONNECT.mul_f64(0.5 + fastrand::f64())).await;
            if let Ok(socket) = connect(&gateway, &rooms).await {
                break socket;
            }
        };
    }
}

type Socket = FragmentCollector<TokioIo<Upgraded>>;

async fn connect(gateway: &Gateway, rooms: &[Room]) -> Result<Socket> {
    let query: Vec<_> = rooms.iter().map(|room| format!("room={room}")).collect();
    let request = Request::get(format!("/ws?{}", query.join("&")))
        .header(HOST, &gateway.authority)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_KEY, handshake::generate_key())
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_PROTOCOL, "roomcast.v1")
        .body(Empty::<Bytes>::new())?;
    let stream = gateway.connect().await?;
    let (socket, _) = handshake::client(&LocalExecutor, request, stream)
        .await
        .with_context(|| format!("the gateway at {} refused the subscription", gateway.authority))?;
    Ok(FragmentCollector::new(socket))
}

/// Prints messages until the connection ends; gives the reason.
async fn print(socket: &mut Socket, data_only: bool) -> Result<String> {
    loop {
        let frame = match socket.read_frame().await {
            Ok(frame) => frame,
            Err(error) => return Ok(error.to_string()),
        };
        match frame.opcode {
            OpCode::Text => line(&frame.payload, data_only)?,
            OpCode::Close => {
                return Ok(String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default()).into_owned());
            }
            _ => {}
        }
    }
}

fn line(payload: &[u8], data_only: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let push: Value =
        serde_json::from_slice(payload).context("the gateway sent something that is not JSON")?;
    match push["type"].as_str() {
        Some("message") if data_only => writeln!(out, "{}", data(&push))?,
        Some("message" | "reset") => {
            out.write_all(payload)?;
            out.write_all(b"\n")?;
        }
        Some("subscribed") => eprintln!("subscribed to {}", push["room"].as_str().unwrap_or_default()),
        Some("error") => bail!("{}", push["message"].as_str().unwrap_or("the gateway refused")),
        _ => {}
    }
    Ok(out.flush()?)
}

/// Text as it is, JSON as JSON, bytes in base64.
fn data(push: &Value) -> String {
    let data = push.get("base64").unwrap_or(&push["data"]);
    data.as_str().map_or_else(|| data.to_string(), str::to_owned)
}
