//! The lines of the access log, and what of a request may stand in them.

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderMap;
use http::header::{SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use tidegate_config::ObjectKey;

use super::{Handshake, Stage, Who};
use crate::head::RequestHead;
use crate::metrics::{HandshakeResult, Phase};
use crate::refusal::Refusal;
use crate::relay::Outcome;

/// Longest text from a client in a line; more says nothing more.
const LONGEST_TEXT: usize = 1024;

/// What a line says of a request.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Version.
    http: Option<&'static str>,
    method: String,
    host: String,
    path: String,
    /// Names kept, values masked.
    query: Option<String>,
    user_agent: Option<String>,
}

impl Handshake {
    pub(super) fn accept(&self, answer: &HeaderMap) {
        self.count(HandshakeResult::Accepted, "");
        self.end_span(HandshakeResult::Accepted, None);
        let subprotocol = answer
            .get(SEC_WEBSOCKET_PROTOCOL)
            .map(|value| text(value.as_bytes()));
        tracing::info!(
            target: "tidegate::access",
            event = "handshake",
            name = Stage::Established.as_str(),
            from = Stage::Established.source(),
            to = Stage::Established.destination(),
            id = self.id,
            result = HandshakeResult::Accepted.as_str(),
            status = if self.seen.http == Some("2") { 200 } else { 101 },
            http = self.seen.http,
            api = self.api_key().map(tracing::field::display),
            product = self.product_key().map(tracing::field::display),
            subscription = self.subscription_key().map(tracing::field::display),
            listener = self.listener,
            client = %self.client,
            peer = %self.peer,
            tls = self.tls_version(),
            host = self.seen.host,
            path = self.seen.path,
            query = self.seen.query,
            user_agent = self.seen.user_agent,
            subprotocol,
            backend = self.backend,
            duration_ms = millis(self.started.elapsed()),
        );
    }

    pub(super) fn refuse(&self, refusal: &Refusal) {
        let result = if refusal.reason.is_failure() {
            HandshakeResult::Failed
        } else {
            HandshakeResult::Refused
        };
        self.count(result, refusal.reason.as_str());
        self.end_span(result, Some(refusal));
        let stage = Stage::of_refusal(refusal);
        tracing::info!(
            target: "tidegate::access",
            event = "handshake",
            name = stage.as_str(),
            from = stage.source(),
            to = stage.destination(),
            id = self.id,
            result = result.as_str(),
            status = refusal.status,
            reason = refusal.reason.as_str(),
            source = refusal.origin.as_str(),
            step = refusal.step,
            message = refusal.message,
            detail = refusal.detail,
            api = self.api_key().map(tracing::field::display),
            product = self.product_key().map(tracing::field::display),
            subscription = self.subscription_key().map(tracing::field::display),
            listener = self.listener,
            client = %self.client,
            peer = %self.peer,
            tls = self.tls_version(),
            http = self.seen.http,
            method = self.seen.method,
            host = self.seen.host,
            path = self.seen.path,
            query = self.seen.query,
            user_agent = self.seen.user_agent,
            backend = self.backend,
            duration_ms = millis(self.started.elapsed()),
        );
    }

    fn count(&self, result: HandshakeResult, reason: &'static str) {
        self.metrics.handshake(self.api_key(), result, reason);
        self.metrics
            .handshake_phase(Phase::Total, self.started.elapsed());
    }

    pub(super) fn api_key(&self) -> Option<&ObjectKey> {
        self.api.as_ref().map(|api| &api.config.key)
    }

    pub(super) fn product_key(&self) -> Option<&ObjectKey> {
        self.product.as_ref().map(|product| &product.key)
    }

    pub(super) fn subscription_key(&self) -> Option<&ObjectKey> {
        self.subscription
            .as_ref()
            .map(|subscription| &subscription.key)
    }

    fn tls_version(&self) -> Option<&'static str> {
        self.tls.as_ref().map(|tls| tls.version)
    }
}

impl Who {
    pub(super) fn close(&self, outcome: &Outcome) {
        let initiator = outcome.initiator.as_str();
        self.api
            .metrics
            .closed(initiator, outcome.client_code, outcome.duration);
        self.end_span(outcome);
        let stage = Stage::of_close(outcome.cause);
        let (up, down) = (&outcome.from_client, &outcome.from_backend);
        tracing::info!(
            target: "tidegate::access",
            event = "close",
            name = stage.as_str(),
            from = stage.source(),
            to = stage.destination(),
            id = %self.id,
            api = %self.api.config.key,
            product = self.product.as_ref().map(|product| tracing::field::display(&product.key)),
            subscription = self.subscription.as_ref().map(|s| tracing::field::display(&s.key)),
            client = %self.client,
            initiator,
            cause = outcome.cause.as_str(),
            client_code = outcome.client_code,
            backend_code = outcome.backend_code,
            close_reason = outcome.reason,
            duration_ms = millis(outcome.duration),
            from_client_messages = up.text + up.binary,
            from_client_bytes = up.bytes,
            from_backend_messages = down.text + down.binary,
            from_backend_bytes = down.bytes,
        );
    }
}

impl Seen {
    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn of(head: &RequestHead) -> Self {
        let user_agent = head.headers.get(USER_AGENT);
        Self {
            http: Some(head.version.as_str()),
            method: head.method.as_str().to_owned(),
            host: text(head.host.as_bytes()),
            path: text(head.path.as_bytes()),
            query: head.raw_query.as_deref().map(masked),
            user_agent: user_agent.map(|value| text(value.as_bytes())),
        }
    }
}

/// A query with `***` for each value.
fn masked(query: &str) -> String {
    let mut out = String::new();
    for part in query.split('&') {
        if out.len() > LONGEST_TEXT {
            break;
        }
        if !out.is_empty() {
            out.push('&');
        }
        // A part without `=` may be a value as well as a name.
        match part.split_once('=') {
            Some((name, _)) => {
                out.push_str(&text(name.as_bytes()));
                out.push_str("=***");
            }
            None if part.is_empty() => {}
            None => out.push_str("***"),
        }
    }
    out
}

/// What a client sent, as text of bounded length.
fn text(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(LONGEST_TEXT)];
    String::from_utf8_lossy(cut).into_owned()
}

/// Milliseconds with microseconds behind the point.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
