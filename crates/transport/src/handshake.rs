//! The opening handshake of a WebSocket (RFC 6455, section 4.2; over HTTP/2 RFC 8441).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::{Body as _, Incoming};
use hyper::ext::Protocol;
use hyper::header::{
    HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use roomcast_protocol::wire::deflate::DeflateSettings;
use roomcast_protocol::wire::deflate_offer::{Agreement, Malformed, agree};

use crate::body::Body;
use crate::problem::Problem;

/// The subprotocol of JSON mode.
const JSON_PROTOCOL: &str = "roomcast.v1";

/// Whether the client asks for JSON mode. One that asks for other subprotocols only would not understand what it got,
/// and a browser would close at once.
pub(crate) fn wants_json<B>(request: &Request<B>) -> Result<bool, Problem> {
    let values = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut asked =
        values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).peekable();
    let asks = asked.peek().is_some();
    let json = asked.any(|protocol| protocol.trim() == JSON_PROTOCOL);
    if asks && !json {
        let detail = "the only subprotocol is roomcast.v1; ask for that, or for none to use raw mode";
        return Err(Problem::bad_request(detail));
    }
    Ok(json)
}

/// Checks that the request is a handshake, and gives the answer that accepts it, with what is agreed on compression.
pub(crate) fn accept(
    request: &mut Request<Incoming>,
    json: bool,
    deflate: Option<DeflateSettings>,
) -> Result<(Response<Body>, Option<Agreement>), Problem> {
    let mut response =
        if request.method() == Method::CONNECT { accept_http2(request)? } else { accept_http1(request)? };
    let headers = response.headers_mut();
    if json {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(JSON_PROTOCOL));
    }
    let Some(settings) = deflate else { return Ok((response, None)) };
    let agreement = extensions(request.headers(), settings)
        .map_err(|malformed| Problem::bad_request(malformed.to_string()))?;
    if let Some(answer) = agreement.and_then(|agreement| HeaderValue::try_from(agreement.answer()).ok()) {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, answer);
    }
    Ok((response, agreement))
}

/// What the client offers that can be agreed on. Where nothing can be, the header is not looked at.
fn extensions(headers: &HeaderMap, settings: DeflateSettings) -> Result<Option<Agreement>, Malformed> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    let values: Vec<_> =
        values.map(|value| value.to_str().map_err(|_| Malformed)).collect::<Result<_, _>>()?;
    agree(values, settings)
}

fn accept_http1(request: &mut Request<Incoming>) -> Result<Response<Body>, Problem> {
    if !fastwebsockets::upgrade::is_upgrade_request(request) {
        return Err(Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "/ws is for WebSocket clients: send Connection: Upgrade and Upgrade: websocket",
        ));
    }
    // HTTP/1.0 has no upgrades (RFC 9110, section 7.8): the server would say 101 and go on with HTTP.
    if request.version() != Version::HTTP_11 {
        return Err(Problem::bad_request(
            "a WebSocket begins with HTTP/1.1; this request says another version",
        ));
    }
    check_version(request.headers())?;
    check_key(request.headers())?;
    if !request.body().is_end_stream() {
        // Whether what follows is this body or the first frame, two servers could see differently.
        return Err(Problem::bad_request("a WebSocket handshake must not have a body"));
    }
    let (response, _) = fastwebsockets::upgrade::upgrade(request)
        .map_err(|error| Problem::bad_request(format!("not a WebSocket handshake: {error}")))?;
    Ok(response.map(|_| Body::Full(None)))
}

fn accept_http2(request: &Request<Incoming>) -> Result<Response<Body>, Problem> {
    if request.extensions().get::<Protocol>().map(AsRef::as_ref) != Some(&b"websocket"[..]) {
        return Err(Problem::bad_request("CONNECT is for :protocol = websocket only"));
    }
    check_version(request.headers())?;
    Ok(Response::new(Body::Full(None)))
}

fn check_version(headers: &HeaderMap) -> Result<(), Problem> {
    match only(headers, &SEC_WEBSOCKET_VERSION)?.map(HeaderValue::as_bytes) {
        Some(b"13") => Ok(()),
        _ => Err(Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "send Sec-WebSocket-Version: 13, the only version there is",
        )),
    }
}

/// Sixteen bytes in base64 (section 4.1, item 7).
fn check_key(headers: &HeaderMap) -> Result<(), Problem> {
    let key = only(headers, &SEC_WEBSOCKET_KEY)?.and_then(|key| STANDARD.decode(key.as_bytes()).ok());
    if key.is_some_and(|key| key.len() == 16) {
        return Ok(());
    }
    Err(Problem::bad_request("Sec-WebSocket-Key must be 16 random bytes in base64"))
}

/// A header that must not appear more than once (sections 11.3.1 and 11.3.5): of two, a proxy may have looked at the other.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Problem::bad_request(
            "Sec-WebSocket-Key and Sec-WebSocket-Version must not be there more than once",
        )),
    }
}

/// What a client needs to know to ask again, on answers with 426.
pub(crate) fn add_upgrade_headers(headers: &mut HeaderMap) {
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
}
