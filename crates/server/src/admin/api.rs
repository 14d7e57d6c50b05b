//! `/api` and `/drain`: what operators and their programs ask of a node. Described in
//! `openapi.json`, which a test holds to what is here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use roomcast_broker::{Broker, BrokerError, KEY_BYTES_MAX, NodeInfo, PAGE_MESSAGES_MAX};
use roomcast_protocol::{
    ConnectionId, Control, EventName, NodeId, Payload, PayloadKind, Position, Publication, Room, reply,
};
use roomcast_session::{ConnectionReport, Core};
use roomcast_transport::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Source, access, response, status};
use crate::cores::Errands;
use crate::share::Share;

/// Longest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Most rooms that one publish names.
const PUBLISH_ROOMS_MAX: usize = 1000;
/// Most rows of a list.
const ROWS_MAX: usize = 1000;

const OPENAPI: &str = include_str!("openapi.json");

/// What the answers are made from.
pub(crate) struct Api {
    pub(crate) node: NodeId,
    /// What its operator calls it.
    pub(crate) name: String,
    pub(crate) source: Arc<Source>,
    /// Where Redis is; none where the broker is embedded.
    pub(crate) redis: Option<String>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) share: Arc<Share>,
    pub(crate) errands: Errands,
    pub(crate) drain: Arc<Notify>,
    /// Empty: only this machine may ask.
    pub(crate) key: String,
}

type Answer = Result<Response<Full<Bytes>>, Problem>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    rooms: Vec<String>,
    #[serde(default)]
    event: String,
    data: Box<RawValue>,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Disconnect {
    Connection { connection: String },
    User { user: String },
}

impl Api {
    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        access::check(request.headers(), peer, &self.key)?;
        let (path, query) =
            (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method(), &parts[..]) {
            (&Method::GET, ["api", "openapi.json"]) => Ok(response("application/json", OPENAPI.to_owned())),
            (&Method::GET, ["api", "status"]) => Ok(ok(&status::of(self))),
            (&Method::GET, ["api", "nodes"]) => self.nodes().await,
            (&Method::GET, ["api", "rooms"]) => self.rooms(&query).await,
            (&Method::GET, ["api", "connections"]) => self.connections(&query).await,
            (&Method::GET, ["api", "rooms", room, "history"]) => self.history(room, &query).await,
            (&Method::GET, ["api", "rooms", room, "presence"]) => self.members(room).await,
            (&Method::POST, ["api", "publish"]) => self.publish(body(request).await?).await,
            (&Method::POST, ["api", "disconnect"]) => self.disconnect(body(request).await?).await,
            (&Method::POST, ["drain"]) => {
                self.drain.notify_one();
                Ok(accepted(&json!({ "draining": true })))
            }
            (_, ["drain"] | ["api", "publish" | "disconnect"]) => Err(Problem::method_not_allowed("POST")),
            (
                _,
                ["api", "openapi.json" | "status" | "nodes" | "rooms" | "connections"]
                | ["api", "rooms", _, "history" | "presence"],
            ) => Err(Problem::method_not_allowed("GET")),
            _ => Err(Problem::not_found("nothing is here; /api/openapi.json lists what there is")),
        }
    }

    async fn nodes(&self) -> Answer {
        let nodes = self.broker.nodes().await.map_err(|error| unavailable(&error))?;
        let total = self.share.total();
        let row = |node: NodeInfo| {
            let told = self.share.of(node.id);
            let connections = told.as_ref().map(|told| told.connections);
            let share = connections.filter(|_| total > 0).map(|own| own as f64 / total as f64);
            let version = told.as_ref().map(|told| &*told.version).filter(|version| !version.is_empty());
            json!({
                "id": node.id.to_string(), "name": node.name, "self": node.id == self.node,
                "connections": connections, "share": share, "version": version,
                "draining": told.as_ref().map(|told| told.draining),
            })
        };
        let rows: Vec<_> = nodes.into_iter().map(row).collect();
        Ok(ok(&json!({ "connections": total, "nodes": rows })))
    }

    async fn rooms(&self, query: &str) -> Answer {
        let prefix = parameter(query, "prefix").unwrap_or_default();
        let limit = rows(query)?;
        // Members of a room may be on several cores.
        let mut sums: HashMap<Room, usize> = HashMap::new();
        for (room, members) in self.errands.ask(move |core| core.rooms(&prefix)).await.into_iter().flatten() {
            *sums.entry(room).or_default() += members;
        }
        let mut all: Vec<_> = sums.into_iter().collect();
        let total = all.len();
        all.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        let rows: Vec<_> = all
            .iter()
            .take(limit)
            .map(|(room, members)| json!({ "room": room.as_str(), "members": members }))
            .collect();
        Ok(ok(&json!({ "node": self.node.to_string(), "total": total, "rooms": rows })))
    }

    async fn connections(&self, query: &str) -> Answer {
        let room = parameter(query, "room").map(|name| parse_room(&name)).transpose()?;
        let (user, limit) = (parameter(query, "user"), rows(query)?);
        let question = move |core: &Core| core.connections(room.as_ref(), user.as_deref(), limit);
        let reports = self.errands.ask(question).await;
        let row = |report: ConnectionReport| {
            let rooms: Vec<_> = report.rooms.iter().map(Room::as_str).collect();
            json!({
                "id": report.id.to_string(), "transport": report.form.as_str(), "user": report.user.as_deref(),
                "rooms": rooms, "queued_bytes": report.queued_bytes,
            })
        };
        let rows: Vec<_> = reports.into_iter().flatten().take(limit).map(row).collect();
        Ok(ok(&json!({ "node": self.node.to_string(), "connections": rows })))
    }

    async fn history(&self, room: &str, query: &str) -> Answer {
        let room = parse_room(&percent_decode_str(room).decode_utf8_lossy())?;
        let limit = limit(query, 100, PAGE_MESSAGES_MAX)?;
        let after = match parameter(query, "after") {
            None => None,
            Some(after) => Some(
                after
                    .parse::<Position>()
                    .map_err(|_| Problem::bad_request("after must be the id of a message"))?,
            ),
        };
        let page =
            self.broker.history(room.clone(), after, limit).await.map_err(|error| unavailable(&error))?;
        let answer = reply::history(&room, page.top, &page.messages, None);
        Ok(response("application/json", String::from_utf8_lossy(&answer).into_owned()))
    }

    async fn members(&self, room: &str) -> Answer {
        let room = parse_room(&percent_decode_str(room).decode_utf8_lossy())?;
        let mut read = self.broker.members(room.clone()).await.map_err(|error| unavailable(&error))?;
        read.members.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let answer = reply::members(&room, &read.members, None);
        Ok(response("application/json", String::from_utf8_lossy(&answer).into_owned()))
    }

    /// Publishes to each room for itself: what fails for one does not concern the others.
    async fn publish(&self, body: Bytes) -> Answer {
        let request: Publish = parse(&body)?;
        if request.rooms.is_empty() || request.rooms.len() > PUBLISH_ROOMS_MAX {
            return Err(Problem::bad_request(format!("rooms must name 1 to {PUBLISH_ROOMS_MAX} rooms")));
        }
        if request.key.as_ref().is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return Err(Problem::bad_request(format!("key may have {KEY_BYTES_MAX} bytes at most")));
        }
        let event =
            EventName::parse(&request.event).map_err(|error| Problem::bad_request(error.to_string()))?;
        let rooms = request.rooms.iter().map(|name| parse_room(name)).collect::<Result<Vec<_>, _>>()?;
        let payload = Payload::new(PayloadKind::Json, request.data.get().to_owned());
        let mut results = Vec::with_capacity(rooms.len());
        for room in rooms {
            let mut publication = Publication::plain(room.clone(), payload.clone());
            publication.event.clone_from(&event);
            publication.published_us = Some(now_us());
            results.push(match self.broker.publish(publication, request.key.clone()).await {
                Ok(id) => json!({ "room": room.as_str(), "id": id.map(|id| id.to_string()) }),
                Err(error) => json!({ "room": room.as_str(), "error": error.to_string() }),
            });
        }
        Ok(accepted(&json!({ "results": results })))
    }

    async fn disconnect(&self, body: Bytes) -> Answer {
        let connection = match parse(&body)? {
            Disconnect::Connection { connection } => connection,
            Disconnect::User { user } => return self.disconnect_user(user).await,
        };
        let id: ConnectionId = connection
            .parse()
            .map_err(|_| Problem::bad_request("connection must be the id of a connection"))?;
        if id.node != self.node {
            return Err(Problem::not_found("the connection is on another node; ask that one"));
        }
        let found = self.errands.ask(move |core| core.disconnect(id)).await;
        if found.contains(&true) {
            Ok(ok(&json!({ "disconnected": 1 })))
        } else {
            Err(Problem::not_found("there is no such connection"))
        }
    }
}

impl Api {
    /// Every node hears it; how many connections there are nobody counts.
    async fn disconnect_user(&self, user: String) -> Answer {
        let wish = Control::Disconnect { user: user.into() };
        self.broker.control(wish).await.map_err(|error| unavailable(&error))?;
        Ok(accepted(&json!({ "nodes": "all" })))
    }
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let whole = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    whole.map(http_body_util::Collected::to_bytes).map_err(|_| {
        let detail = format!("the body may have {BODY_BYTES_MAX} bytes at most");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!("the body is not what /api/openapi.json says: {error}"))
    })
}

fn parse_room(name: &str) -> Result<Room, Problem> {
    Room::parse(name).map_err(|error| Problem::bad_request(error.to_string()))
}

/// How many rows a list may have.
fn rows(query: &str) -> Result<usize, Problem> {
    limit(query, ROWS_MAX, ROWS_MAX)
}

fn limit(query: &str, default: usize, most: usize) -> Result<usize, Problem> {
    let Some(limit) = parameter(query, "limit") else { return Ok(default) };
    let limit = limit.parse().map_err(|_| Problem::bad_request("limit must be a whole number"))?;
    if !(1..=most).contains(&limit) {
        return Err(Problem::bad_request(format!("limit may be from 1 to {most}")));
    }
    Ok(limit)
}

/// A query parameter that is there and not empty.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned()).filter(|value| !value.is_empty())
}

fn ok(body: &Value) -> Response<Full<Bytes>> {
    response("application/json", body.to_string())
}

fn accepted(body: &Value) -> Response<Full<Bytes>> {
    let mut response = ok(body);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn unavailable(error: &BrokerError) -> Problem {
    Problem::unavailable(error.to_string())
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        assert_eq!(parameter("a=1&prefix=chat%3A", "prefix").as_deref(), Some("chat:"));
        assert_eq!(parameter("prefixed=1&prefix=", "prefix"), None);
    }
}
