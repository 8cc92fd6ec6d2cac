//! `/tunnels` and `/tunnels/close`, behind the token.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Serialize;
use tidegate_config::CloseCode;
use url::form_urlencoded;

use super::{JSON, TEXT, heavy, is_json, not_this_method, reply};
use crate::gateway::GatewayState;
use crate::gateway::tunnels::{CloseTunnels, ClosedTunnels, TunnelPage, TunnelQuery};

/// GET of a page of live tunnels.
pub(super) const LIST: &str = "/tunnels";

/// POST of what is to be closed.
pub(super) const CLOSE: &str = "/tunnels/close";

/// Largest request to close in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Tunnels of a page when nobody says how many.
const DEFAULT_LIMIT: usize = 100;

/// Tunnels of a page at most: some 400 KiB.
const MAX_LIMIT: usize = 1000;

/// What a request for a page asks for.
#[derive(Debug, PartialEq, Eq)]
struct PageRequest {
    query: TunnelQuery,
    from: u64,
    limit: usize,
}

pub(super) async fn answer(
    request: Request<Incoming>,
    state: &Arc<GatewayState>,
) -> Response<Full<Bytes>> {
    let is_list = request.uri().path() == LIST;
    match *request.method() {
        Method::GET if is_list => list(request.uri().query().unwrap_or_default(), state).await,
        _ if is_list => not_this_method("only GET\n"),
        Method::POST if !is_json(request.headers()) => {
            let text = "Content-Type must be application/json\n".to_owned();
            reply(StatusCode::UNSUPPORTED_MEDIA_TYPE, TEXT, text)
        }
        Method::POST => close(request, state).await,
        _ => not_this_method("only POST\n"),
    }
}

async fn list(query: &str, state: &Arc<GatewayState>) -> Response<Full<Bytes>> {
    let request = match parse(query) {
        Ok(request) => request,
        Err(text) => return bad(&text),
    };
    let filter = match request.query.filter() {
        Ok(filter) => filter,
        Err(error) => return bad(&error.to_string()),
    };
    let sessions = Arc::clone(&state.sessions);
    heavy(JSON, move || {
        let page = sessions.page(&filter, request.from, request.limit);
        json(&TunnelPage::of(page, Timestamp::now()))
    })
    .await
}

async fn close(request: Request<Incoming>, state: &GatewayState) -> Response<Full<Bytes>> {
    let body = match Limited::new(request.into_body(), MAX_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return bad(&error.to_string()),
    };
    let request: CloseTunnels = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return bad(&error.to_string()),
    };
    let filter = match request.filter() {
        Ok(filter) => filter,
        Err(error) => return bad(&error.to_string()),
    };
    let code = request.code.unwrap_or(CloseCode::GOING_AWAY);
    let closed = state
        .sessions
        .close(&filter, code, request.reason.as_deref());
    tracing::info!(closed, code = code.get(), "an administrator closes tunnels");
    reply(StatusCode::OK, JSON, json(&ClosedTunnels { closed }))
}

/// Reads the query of a URL. What is misspelt is an error: it must not show more than was asked for.
fn parse(query: &str) -> Result<PageRequest, String> {
    let mut request = PageRequest {
        query: TunnelQuery::default(),
        from: 0,
        limit: DEFAULT_LIMIT,
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let invalid = || format!("{name}={value} is not valid");
        let text = Some(value.to_string());
        match &*name {
            "id" => request.query.id = text,
            "api" => request.query.api = text,
            "product" => request.query.product = text,
            "subscription" => request.query.subscription = text,
            "listener" => request.query.listener = text,
            "client" => request.query.client = Some(value.parse().map_err(|_| invalid())?),
            "from" => request.from = value.parse().map_err(|_| invalid())?,
            "limit" => {
                let limit = value.parse().ok();
                let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
                request.limit = limit.ok_or_else(|| format!("limit must be 1 to {MAX_LIMIT}"))?;
            }
            _ => {
                let known = "id, api, product, subscription, listener, client, from, limit";
                return Err(format!("{name} is unknown: use {known}"));
            }
        }
    }
    Ok(request)
}

fn bad(text: &str) -> Response<Full<Bytes>> {
    reply(StatusCode::BAD_REQUEST, TEXT, format!("{text}\n"))
}

fn json(value: &impl Serialize) -> String {
    // Names and numbers can always be written.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_chooses_tunnels_and_a_page() {
        let found = parse("api=shop%2Fchat&client=192.0.2.7&from=9&limit=5").unwrap();
        assert_eq!(found.query.api.as_deref(), Some("shop/chat"));
        assert_eq!(found.query.client.unwrap().to_string(), "192.0.2.7");
        assert_eq!((found.from, found.limit), (9, 5));
        let found = parse("").unwrap();
        assert!(found.query.is_empty());
        assert_eq!((found.from, found.limit), (0, DEFAULT_LIMIT));
    }

    #[test]
    fn a_query_that_is_misspelt_is_an_error() {
        for (query, expected) in [
            ("apis=shop/chat", "apis is unknown: use id, api"),
            ("client=somebody", "client=somebody is not valid"),
            ("from=-1", "from=-1 is not valid"),
            ("limit=0", "limit must be 1 to 1000"),
            ("limit=1001", "limit must be 1 to 1000"),
        ] {
            let error = parse(query).unwrap_err();
            assert!(error.contains(expected), "{query}: {error}");
        }
    }
}
