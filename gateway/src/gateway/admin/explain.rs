//! `/explain` and `/traces/ID`, behind the token.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::{JSON, TEXT, is_json, not_this_method, reply};
use crate::gateway::GatewayState;
use crate::handshake::Question;
use tidegate_config::error_chain;

/// POST of a question; the answer is a trace.
pub(super) const PATH: &str = "/explain";

/// Followed by the id of a trace (GET).
pub(super) const TRACES: &str = "/traces/";

/// Largest question in bytes: larger than any head that a listener accepts.
const MAX_BYTES: usize = 256 * 1024;

pub(super) async fn answer(
    request: Request<Incoming>,
    state: &GatewayState,
) -> Response<Full<Bytes>> {
    match request.uri().path().strip_prefix(TRACES) {
        Some(_) if request.method() != Method::GET => not_this_method("only GET\n"),
        Some(id) => trace(state, id),
        None if request.method() != Method::POST => not_this_method("only POST\n"),
        None if !is_json(request.headers()) => {
            let text = "Content-Type must be application/json\n".to_owned();
            reply(StatusCode::UNSUPPORTED_MEDIA_TYPE, TEXT, text)
        }
        None => explain(request, state).await,
    }
}

fn trace(state: &GatewayState, id: &str) -> Response<Full<Bytes>> {
    match state.traces.find(id) {
        Some(json) => reply(StatusCode::OK, JSON, json),
        None => reply(StatusCode::NOT_FOUND, TEXT, format!("no trace {id}\n")),
    }
}

async fn explain(request: Request<Incoming>, state: &GatewayState) -> Response<Full<Bytes>> {
    let bad = |text: String| reply(StatusCode::BAD_REQUEST, TEXT, format!("{text}\n"));
    let Some(explainer) = state.explainer.get() else {
        let text = "waiting for a configuration\n".to_owned();
        return reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
    };
    let body = match Limited::new(request.into_body(), MAX_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return bad(error.to_string()),
    };
    let question: Question = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(error) => return bad(error.to_string()),
    };
    match explainer.explain(&question).await {
        Err(error) => bad(error_chain(&error)),
        Ok(trace) => match serde_json::to_string_pretty(&trace) {
            Ok(json) => reply(StatusCode::OK, JSON, json + "\n"),
            Err(error) => bad(error.to_string()),
        },
    }
}
