//! What came of requests by clients that want to stay, for metrics.

use hyper::{Response, StatusCode};
use roomcast_session::{Connect, Endpoint};

use crate::connection::Context;

/// Which of the resources that clients stay at is asked for, if any.
pub(crate) fn endpoint(path: &str) -> Option<Endpoint> {
    match path {
        "/ws" => Some(Endpoint::WebSocket),
        "/sse" => Some(Endpoint::Sse),
        "/poll" => Some(Endpoint::Poll),
        _ => None,
    }
}

/// An extension of the answer to a handshake that is accepted only to tell the client why it is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnedAway;

/// Counts the answer to such a request.
pub(crate) fn count<B>(endpoint: Endpoint, response: &Response<B>, context: &Context) {
    let turned_away = response.extensions().get::<TurnedAway>().is_some();
    let outcome = outcome(response.status(), turned_away, context.draining.is_cancelled());
    context.core.stats().connect(endpoint, outcome);
}

fn outcome(status: StatusCode, turned_away: bool, draining: bool) -> Connect {
    match status {
        _ if turned_away => Connect::Refused,
        StatusCode::SERVICE_UNAVAILABLE if draining => Connect::Draining,
        StatusCode::SERVICE_UNAVAILABLE => Connect::Unavailable,
        status if status.is_server_error() => Connect::Internal,
        status if status.is_client_error() => Connect::Refused,
        _ => Connect::Accepted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes() {
        let cases = [
            (200, false, false, Connect::Accepted),
            (101, false, true, Connect::Accepted),
            (101, true, false, Connect::Refused),
            (401, false, false, Connect::Refused),
            (429, false, true, Connect::Refused),
            (503, false, true, Connect::Draining),
            (503, false, false, Connect::Unavailable),
            (500, false, false, Connect::Internal),
        ];
        for (status, turned_away, draining, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(outcome(status, turned_away, draining), expected, "{status}");
        }
        assert_eq!(endpoint("/rooms/a/messages"), None);
    }
}
