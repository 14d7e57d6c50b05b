//! Who asks: the token that a request carries, in its header, its URL or a cookie.

use std::rc::Rc;

use hyper::Request;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap};
use roomcast_session::Refusal;
use roomcast_session::auth::Identity;

use crate::connection::Context;
use crate::query::Query;

/// The client's identity, if its token is good. Without a token it is nobody, or anybody while everything is open.
pub(crate) async fn admit<B>(
    request: &Request<B>,
    query: &Query,
    context: &Context,
) -> Result<Rc<Identity>, Refusal> {
    let token = token(request.headers(), query, &context.http.load().cookie);
    context.core.admit(token.as_deref()).await
}

/// The token of a request. The header is preferred, because URLs end up in logs; a cookie, which browsers send unasked,
/// comes last.
fn token(headers: &HeaderMap, query: &Query, cookie: &str) -> Option<String> {
    bearer(headers)
        .or_else(|| query.token.as_ref().map(|token| token.0.clone()))
        .or_else(|| in_cookie(headers, cookie))
}

/// `Authorization: Bearer …` (RFC 6750, section 2.1). Another scheme is somebody else's business.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_ours = scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty();
    is_ours.then(|| token.trim().to_owned())
}

/// The value of the cookie of this name (RFC 6265, section 4.2.1).
fn in_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(known, _)| *known == name);
    let value = values.next()?.1.trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn found(headers: &[(HeaderName, &'static str)], query: &str, cookie: &str) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        token(&map, &Query::parse(&format!("/sse?{query}").parse().unwrap()).unwrap(), cookie)
    }

    #[test]
    fn header_then_url_then_cookie() {
        let (bearer, cookie) = ((AUTHORIZATION, "Bearer a"), (COOKIE, "x=1; jwt=c; y=2"));
        assert_eq!(found(&[bearer.clone(), cookie.clone()], "token=b", "jwt").as_deref(), Some("a"));
        assert_eq!(found(std::slice::from_ref(&cookie), "token=b", "jwt").as_deref(), Some("b"));
        assert_eq!(found(std::slice::from_ref(&cookie), "", "jwt").as_deref(), Some("c"));
        assert_eq!(found(&[cookie], "token=", ""), None);
        assert_eq!(found(&[(AUTHORIZATION, "bEARER  a ")], "", "").as_deref(), Some("a"));
        assert_eq!(found(&[(COOKIE, "a=b"), (COOKIE, "jwt=\"c\"")], "", "jwt").as_deref(), Some("c"));
        for nothing in ["Basic dTpw", "Bearer", "Bearer  ", "a"] {
            assert_eq!(found(&[(AUTHORIZATION, nothing)], "", "jwt"), None, "{nothing}");
        }
    }
}
