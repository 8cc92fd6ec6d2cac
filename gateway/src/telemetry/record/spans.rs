//! Attributes of a connection's spans. As in the log, without secrets.

use opentelemetry::KeyValue;

use super::{Handshake, TunnelInfo};
use crate::refusal::Refusal;
use crate::telemetry::metrics::HandshakeResult;
use crate::telemetry::span::FinishedSpan;
use tidegate_tunnel::close_cause::CloseCause;
use tidegate_tunnel::relay::Outcome;

impl Handshake {
    /// Ends the span of the handshake, if it has one; `refusal` unless it was accepted.
    pub(super) fn end_span(&self, result: HandshakeResult, refusal: Option<&Refusal>) {
        let Some(spans) = &self.spans else { return };
        let status = refusal.map_or(101, |refusal| refusal.status);
        let text = |name: &'static str, value: Option<String>| {
            value.map(|value| KeyValue::new(name, value))
        };
        let optional = [
            text("tidegate.api", self.api_key().map(ToString::to_string)),
            text(
                "tidegate.product",
                self.product_key().map(ToString::to_string),
            ),
            text(
                "tidegate.subscription",
                self.subscription_key().map(ToString::to_string),
            ),
            text("tidegate.listener", self.listener.clone()),
            text("tidegate.backend", self.backend.clone()),
            text(
                "tidegate.step",
                refusal.and_then(|refusal| refusal.step.clone()),
            ),
            text(
                "tidegate.reason",
                refusal.map(|refusal| refusal.reason.as_str().to_owned()),
            ),
        ];
        let mut attributes = vec![
            KeyValue::new("tidegate.connection", self.id.clone()),
            KeyValue::new("tidegate.result", result.as_str()),
            KeyValue::new("http.request.method", self.request.method().to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("server.address", self.request.host().to_owned()),
            KeyValue::new("url.path", self.request.path().to_owned()),
            KeyValue::new("client.address", self.client.to_string()),
        ];
        attributes.extend(optional.into_iter().flatten());
        let failed = refusal.filter(|refusal| refusal.reason.is_failure());
        spans.handshake(FinishedSpan {
            name: "websocket handshake",
            took: self.started.elapsed(),
            attributes,
            failure: failed.map(|refusal| refusal.reason.as_str()),
        });
    }
}

impl TunnelInfo {
    /// Tells the span of the tunnel, if it has one.
    pub(super) fn end_span(&self, outcome: &Outcome) {
        let Some(spans) = &self.spans else { return };
        let number = |name: &'static str, count: u64| {
            KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX))
        };
        let (up, down) = (&outcome.from_client, &outcome.from_backend);
        let mut attributes = vec![
            KeyValue::new("tidegate.connection", self.id.to_string()),
            KeyValue::new("tidegate.api", self.api.key.to_string()),
            KeyValue::new("tidegate.initiator", outcome.initiator.as_str()),
            KeyValue::new("tidegate.cause", outcome.cause.as_str()),
            number("tidegate.from_client.messages", up.messages()),
            number("tidegate.from_client.bytes", up.bytes.sum()),
            number("tidegate.from_backend.messages", down.messages()),
            number("tidegate.from_backend.bytes", down.bytes.sum()),
        ];
        let code = outcome.client_code.map(i64::from);
        attributes.extend(code.map(|code| KeyValue::new("tidegate.client_code", code)));
        let failed = matches!(outcome.cause, CloseCause::Cut | CloseCause::Fault);
        spans.tunnel(FinishedSpan {
            name: "websocket tunnel",
            took: outcome.duration,
            attributes,
            failure: failed.then(|| outcome.cause.as_str()),
        });
    }
}
