//! Query parameters of the streams, the same for each.

use std::collections::HashSet;
use std::str::FromStr;

use hyper::Uri;
use hyper::header::HeaderMap;
use roomcast_protocol::Room;
use roomcast_protocol::command::Token;

use crate::problem::Problem;

/// Where an EventSource says what it has.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a client asks for in its URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Query {
    /// `room=`, each once, in the order of the URL.
    pub(crate) rooms: Vec<Room>,
    /// `after=`: the cursor where the client had stopped.
    pub(crate) after: Option<String>,
    /// `echo=`: whether the client gets its own messages.
    pub(crate) echo: Option<bool>,
    /// `format=json` on SSE.
    pub(crate) json: bool,
    /// `event=` of a publish.
    pub(crate) event: String,
    /// `limit=` of a history.
    pub(crate) limit: Option<usize>,
    /// `wait=` of a poll, in seconds.
    pub(crate) wait_s: Option<u64>,
    /// `token=`: browsers cannot set headers on streams.
    pub(crate) token: Option<Token>,
}

impl Query {
    /// Where the client had stopped: what it remembers (`Last-Event-ID`) is newer than what its page once put into the URL.
    pub(crate) fn after<'a>(&'a self, headers: &'a HeaderMap) -> Option<&'a str> {
        let remembered = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default());
        remembered.filter(|id| !id.is_empty()).or(self.after.as_deref())
    }

    /// Reads the parameters. Unknown ones are left alone: clients add their own against caches.
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Problem> {
        let mut query = Self::default();
        let mut known = HashSet::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "room" => {
                    let room =
                        Room::parse(&value).map_err(|error| Problem::bad_request(error.to_string()))?;
                    if known.insert(room.clone()) {
                        query.rooms.push(room);
                    }
                }
                "after" if !value.is_empty() => query.after = Some(value.into_owned()),
                "token" if !value.is_empty() => query.token = Some(Token(value.into_owned())),
                "echo" => query.echo = Some(boolean("echo", &value)?),
                "format" => query.json = format(&value)?,
                "limit" => query.limit = Some(number("limit", &value)?),
                "wait" => query.wait_s = Some(number("wait", &value)?),
                "event" => query.event = value.into_owned(),
                _ => {}
            }
        }
        Ok(query)
    }
}

fn boolean(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Problem::bad_request(format!("{name} must be true or false"))),
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, Problem> {
    value.parse().map_err(|_| Problem::bad_request(format!("{name} must be a whole number")))
}

fn format(value: &str) -> Result<bool, Problem> {
    match value {
        "json" => Ok(true),
        "" | "plain" => Ok(false),
        _ => Err(Problem::bad_request("format must be json or plain")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Query, Problem> {
        Query::parse(&format!("/sse?{query}").parse().unwrap())
    }

    #[test]
    fn parameters() {
        let query = parse("room=a&room=b%3A1&room=a&echo=true&format=json&after=1-2&_=123").unwrap();
        let names: Vec<_> = query.rooms.iter().map(Room::as_str).collect();
        assert_eq!(names, ["a", "b:1"]);
        assert_eq!((query.echo, query.json, query.after.as_deref()), (Some(true), true, Some("1-2")));
        assert_eq!(parse("").unwrap(), Query::default());
        for wrong in
            ["room=", "room=a+b", "room=%00", "room=%ff", "echo=yes", "format=xml", "limit=x", "wait=-1"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_header_counts_where_a_cursor_is_given_twice() {
        let header = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LAST_EVENT_ID, id.parse().unwrap());
            headers
        };
        let both = parse("after=1-2").unwrap();
        assert_eq!(both.after(&HeaderMap::new()), Some("1-2"));
        assert_eq!(both.after(&header("1-3")), Some("1-3"));
        assert_eq!(both.after(&header("")), Some("1-2"));
        assert_eq!(Query::default().after(&header("1-3")), Some("1-3"));
    }
}
