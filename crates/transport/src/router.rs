//! Which request is answered by what.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, ORIGIN, TRANSFER_ENCODING, UPGRADE, VARY};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use roomcast_protocol::Room;

use crate::body::Body;
use crate::client::{Client, Unreadable, forwarded_for, is_trusted};
use crate::connection::{Context, HttpSettings};
use crate::gate::GateSettings;
use crate::held::Held;
use crate::page::{Page, takes_html};
use crate::problem::Problem;
use crate::{connect, history, origin, poll, publish, sse, ws};

/// Where the files of the console are, but for its document.
const CONSOLE_FILES: &str = "/console/";

/// What `GET /` says: where to go on.
const WELCOME: &str = "\
roomcast is running. Open a stream, then publish to it:

  curl -N 'HOST/sse?room=hello'
  curl -d 'hi there' HOST/rooms/hello/messages

In a browser: new EventSource('/sse?room=hello') or new WebSocket('ws://HOST/ws?room=hello')
";

/// The same where clients need a token.
const WELCOME_WITH_TOKEN: &str = "\
roomcast is running. With a token (docs/tokens.md) open a stream, then publish to it:

  curl -N -H 'Authorization: Bearer TOKEN' 'HOST/sse?room=hello'
  curl -H 'Authorization: Bearer TOKEN' -d 'hi there' HOST/rooms/hello/messages

In a browser: new EventSource('/sse?room=hello&token=TOKEN') or new WebSocket('ws://HOST/ws?room=hello&token=TOKEN')
";

/// Answers one request; never fails.
pub(crate) async fn answer(
    request: Request<Incoming>,
    context: Rc<Context>,
) -> Result<Response<Body>, Infallible> {
    let page = request.headers().get(ORIGIN).cloned();
    let preflight = origin::is_preflight(&request);
    let endpoint = connect::endpoint(request.uri().path()).filter(|_| !preflight);
    let headers = request.headers();
    let ambiguous = headers.contains_key(TRANSFER_ENCODING)
        || headers.contains_key(UPGRADE) && !request.body().is_end_stream();
    let mut response = if preflight {
        let mut response = Response::new(Body::Full(None));
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    } else {
        checked(request, &context).await.unwrap_or_else(Problem::into_response)
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        context.core.stats().refused(response.status().as_u16());
    }
    if let Some(endpoint) = endpoint {
        connect::count(endpoint, &response, &context);
    }
    origin::allow(page.as_ref(), &context.http.load().origins, preflight, response.headers_mut());
    if ambiguous {
        // Where this request ends a proxy may see in another way: by a Content-Length besides the coding, which is not
        // shown to us, or by the upgrade. What follows is not taken for a request (RFC 9112, section 6.1).
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Answers who may ask at all.
async fn checked(request: Request<Incoming>, context: &Rc<Context>) -> Result<Response<Body>, Problem> {
    let http = context.http.load_full();
    check_size(&request, &http.gate)?;
    origin::check_host(&request, &http.hosts)?;
    origin::check(&request, &http.origins)?;
    admitted(request, context).await
}

/// Holds a request to the lengths that are configured; hyper's own bounds are rough and for all.
fn check_size(request: &Request<Incoming>, gate: &GateSettings) -> Result<(), Problem> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > gate.target_bytes {
        let detail = format!("path and query may have {} bytes at most", gate.target_bytes);
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail));
    }
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    if fields.sum::<usize>() > gate.header_bytes {
        let detail = format!("headers may have {} bytes at most", gate.header_bytes);
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail));
    }
    Ok(())
}

/// Answers for the client that a trusted proxy speaks for, who is counted as long as that lasts.
async fn admitted(mut request: Request<Incoming>, context: &Rc<Context>) -> Result<Response<Body>, Problem> {
    let Some(held) = forwarded(&mut request, context)? else { return route(request, context).await };
    request.extensions_mut().insert(held.clone());
    let response = route(request, context).await?;
    Ok(response.map(|body| Body::Holding(Box::new((body, held)))))
}

/// Finds out whose a request is that comes through a trusted proxy. Where addresses are limited, gives
/// what counts for it.
fn forwarded(request: &mut Request<Incoming>, context: &Context) -> Result<Option<Held>, Problem> {
    let http = context.http.load();
    let proxies = &http.gate.trusted_proxies;
    let Some(Client(peer)) = request.extensions().get::<Client>().copied() else { return Ok(None) };
    if !is_trusted(peer, proxies) {
        return Ok(None);
    }
    let address = forwarded_for(request.headers(), proxies).map_err(|Unreadable| {
        Problem::bad_request(format!("the proxy {peer} sends an X-Forwarded-For that cannot be read"))
    })?;
    let Some(address) = address else { return Ok(None) };
    request.extensions_mut().insert(Client(address));
    let counted = context.gate.enter(address, &http.gate).map_err(|reason| {
        context.gate.refusals.count(reason);
        let detail = "this address has as many connections as it may have";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
    })?;
    Ok(request.extensions().get::<Held>().zip(counted).map(|(held, counted)| held.counted(counted)))
}

async fn route(request: Request<Incoming>, context: &Rc<Context>) -> Result<Response<Body>, Problem> {
    let method = request.method().clone();
    match request.uri().path() {
        "/ws" if method == Method::GET || method == Method::CONNECT => ws::open(request, context).await,
        "/sse" if method == Method::GET => sse::open(&request, context).await,
        "/poll" if method == Method::GET => poll::answer(&request, context).await,
        "/ws" | "/sse" | "/poll" => Err(Problem::method_not_allowed("GET")),
        "/" if method == Method::GET => Ok(front(&request, context)),
        "/" => Err(Problem::method_not_allowed("GET")),
        path if method == Method::GET && path.starts_with(CONSOLE_FILES) => {
            let page = console(&context.http.load(), context.core.is_open())
                .and_then(|page| page.answer(path, request.headers()));
            page.ok_or_else(|| {
                Problem::not_found("there is no such file of the console, or it is not shown here")
            })
        }
        path => match room_resource(path)? {
            Some((room, "messages")) if method == Method::POST => {
                publish::answer(request, room, context).await
            }
            Some((_, "messages")) => Err(Problem::method_not_allowed("POST")),
            Some((room, "history")) if method == Method::GET => {
                history::answer(&request, room, context).await
            }
            Some((room, "presence")) if method == Method::GET => {
                history::members(&request, room, context).await
            }
            Some((_, "history" | "presence")) => Err(Problem::method_not_allowed("GET")),
            _ => Err(Problem::not_found(
                "nothing is here; there are /ws, /sse, /poll and /rooms/{room}/messages, history or presence",
            )),
        },
    }
}

/// Room and resource in `/rooms/{room}/{resource}`.
pub(crate) fn room_resource(path: &str) -> Result<Option<(Room, &str)>, Problem> {
    let Some((name, resource)) = path.strip_prefix("/rooms/").and_then(|rest| rest.rsplit_once('/')) else {
        return Ok(None);
    };
    if !matches!(resource, "messages" | "history" | "presence") {
        return Ok(None);
    }
    let name = percent_decode_str(name)
        .decode_utf8()
        .map_err(|_| Problem::bad_request("the room's name is not UTF-8"))?;
    let room = Room::parse(&name).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Some((room, resource)))
}

/// The console, if it is shown to who asks.
fn console(http: &HttpSettings, is_open: bool) -> Option<Page> {
    (is_open || http.console.with_tokens).then(|| http.console.page.clone())
}

/// `GET /`: the console for those that can show it, else a few words.
fn front(request: &Request<Incoming>, context: &Context) -> Response<Body> {
    let is_open = context.core.is_open();
    let page = console(&context.http.load(), is_open).filter(|_| takes_html(request.headers()));
    page.and_then(|page| page.answer("/", request.headers())).unwrap_or_else(|| welcome(request, is_open))
}

fn welcome(request: &Request<Incoming>, is_open: bool) -> Response<Body> {
    let text = if is_open { WELCOME } else { WELCOME_WITH_TOKEN };
    let host = request
        .uri()
        .authority()
        .map(ToString::to_string)
        .or_else(|| Some(request.headers().get("host")?.to_str().ok()?.to_owned()))
        .unwrap_or_else(|| "localhost".to_owned());
    let mut response = Response::new(Body::from(Bytes::from(text.replace("HOST", &host))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_in_paths() {
        let room = |path| {
            room_resource(path).map(|found| found.map(|(room, resource)| format!("{room} {resource}")))
        };
        assert_eq!(room("/rooms/a/messages"), Ok(Some("a messages".into())));
        assert_eq!(room("/rooms/chat%3A1/history"), Ok(Some("chat:1 history".into())));
        assert_eq!(room("/rooms/chat:1/messages"), Ok(Some("chat:1 messages".into())));
        for nothing in ["/rooms/a", "/rooms/a/messages/", "/room/a/messages", "/x"] {
            assert_eq!(room(nothing), Ok(None), "{nothing}");
        }
        for wrong in
            ["/rooms//messages", "/rooms/a/b/messages", "/rooms/%ff/messages", "/rooms/a%20b/messages"]
        {
            assert!(room(wrong).is_err(), "{wrong}");
        }
    }
}
