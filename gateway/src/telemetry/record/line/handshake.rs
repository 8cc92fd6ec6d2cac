//! The line at the end of a handshake.

use std::time::Duration;

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use tidegate_config::{LineField, ObjectKey};

use super::request_summary::text;
use super::{Fields, Line, Value};
use crate::refusal::Refusal;
use crate::telemetry::metrics::{HandshakeResult, Phase};
use crate::telemetry::record::Handshake;
use crate::telemetry::record::access_log::{REFUSAL_LINE, Selected, Share};
use crate::telemetry::record::lifecycle::Stage;

/// The line.
struct HandshakeLine<'a> {
    known: &'a Handshake,
    stage: Stage,
    result: HandshakeResult,
    status: u16,
    refusal: Option<&'a Refusal>,
    subprotocol: Option<String>,
    took: Duration,
}

impl Handshake {
    /// Tells that there is a tunnel, in every way.
    pub(in crate::telemetry::record) fn accept(&self, answer: &HeaderMap) {
        let result = HandshakeResult::Accepted;
        self.count(result, "");
        self.end_span(result, None);
        let subprotocol = answer.get(SEC_WEBSOCKET_PROTOCOL);
        let line = HandshakeLine {
            known: self,
            stage: Stage::Established,
            result,
            status: if self.request.http == Some("2") {
                200
            } else {
                101
            },
            refusal: None,
            subprotocol: subprotocol.map(|value| text(value.as_bytes())),
            took: self.started.elapsed(),
        };
        let log = self.recorder.log.load();
        log.tell(self.uuid, Share::Accepted, &line);
    }

    /// Tells that there is none.
    pub(in crate::telemetry::record) fn refuse(&self, refusal: &Refusal) {
        let (result, share) = if refusal.reason.is_failure() {
            (HandshakeResult::Failed, Share::Always)
        } else {
            (HandshakeResult::Refused, Share::Refused)
        };
        self.count(result, refusal.reason.as_str());
        self.end_span(result, Some(refusal));
        let line = HandshakeLine {
            known: self,
            stage: Stage::of_refusal(refusal),
            result,
            status: refusal.status,
            refusal: Some(refusal),
            subprotocol: None,
            took: self.started.elapsed(),
        };
        self.recorder.log.load().tell(self.uuid, share, &line);
    }

    fn count(&self, result: HandshakeResult, reason: &'static str) {
        let metrics = &self.recorder.metrics;
        metrics.handshake(self.api_key(), result, reason);
        metrics.handshake_phase(Phase::Total, self.started.elapsed());
    }

    pub(in crate::telemetry::record) fn api_key(&self) -> Option<&ObjectKey> {
        self.api.as_ref().map(|api| &api.key)
    }

    pub(in crate::telemetry::record) fn product_key(&self) -> Option<&ObjectKey> {
        self.product.as_ref().map(|product| &product.key)
    }

    pub(in crate::telemetry::record) fn subscription_key(&self) -> Option<&ObjectKey> {
        self.subscription
            .as_ref()
            .map(|subscription| &subscription.key)
    }
}

fn of_option(text: Option<&String>) -> Option<Value<'_>> {
    text.map(|text| Value::Text(text))
}

/// The event of a line. Its name is known before it is written, and cannot be a value.
macro_rules! event {
    ($name:expr, $is:ident) => {
        tracing::info!(
            name: $name,
            target: "tidegate::access",
            event = $is.text(LineField::Event),
            name = $is.text(LineField::Name),
            from = $is.text(LineField::From),
            to = $is.text(LineField::To),
            id = $is.text(LineField::Id),
            result = $is.text(LineField::Result),
            status = $is.number(LineField::Status),
            reason = $is.text(LineField::Reason),
            source = $is.text(LineField::Source),
            step = $is.text(LineField::Step),
            message = $is.text(LineField::Message),
            detail = $is.text(LineField::Detail),
            api = $is.shown(LineField::Api),
            product = $is.shown(LineField::Product),
            subscription = $is.shown(LineField::Subscription),
            listener = $is.text(LineField::Listener),
            client = $is.shown(LineField::Client),
            peer = $is.shown(LineField::Peer),
            tls = $is.text(LineField::Tls),
            http = $is.text(LineField::Http),
            method = $is.text(LineField::Method),
            host = $is.text(LineField::Host),
            path = $is.text(LineField::Path),
            query = $is.text(LineField::Query),
            user_agent = $is.text(LineField::UserAgent),
            subprotocol = $is.text(LineField::Subprotocol),
            backend = $is.text(LineField::Backend),
            duration_ms = $is.millis(LineField::DurationMs),
        )
    };
}

impl Line for HandshakeLine<'_> {
    fn value(&self, field: LineField) -> Option<Value<'_>> {
        use LineField as F;
        let Self {
            known,
            stage,
            refusal,
            ..
        } = self;
        let request = &known.request;
        match field {
            F::Event => Some(Value::Text("handshake")),
            F::Name => Some(Value::Text(stage.as_str())),
            F::From => Some(Value::Text(stage.source())),
            F::To => Some(Value::Text(stage.destination())),
            F::Id => Some(Value::Text(&known.id)),
            F::Result => Some(Value::Text(self.result.as_str())),
            F::Status => Some(Value::Number(self.status.into())),
            F::Reason => refusal.map(|refusal| Value::Text(refusal.reason.as_str())),
            F::Source => refusal.map(|refusal| Value::Text(refusal.origin.as_str())),
            F::Step => of_option(refusal.and_then(|refusal| refusal.step.as_ref())),
            F::Message => of_option(refusal.map(|refusal| &refusal.message)),
            F::Detail => of_option(refusal.and_then(|refusal| refusal.detail.as_ref())),
            F::Api => Value::of_object(known.api_key()),
            F::Product => Value::of_object(known.product_key()),
            F::Subscription => Value::of_object(known.subscription_key()),
            F::Listener => of_option(known.listener.as_ref()),
            F::Client => Some(Value::Shown(&known.client)),
            F::Peer => Some(Value::Shown(&known.peer)),
            F::Tls => known.tls.as_ref().map(|tls| Value::Text(tls.version)),
            F::Http => request.http.map(Value::Text),
            F::Method => Value::of_text(request.method()),
            F::Host => Value::of_text(request.host()),
            F::Path => Value::of_text(request.path()),
            F::Query => of_option(request.query.as_ref()),
            F::UserAgent => of_option(request.user_agent.as_ref()),
            F::Subprotocol => of_option(self.subprotocol.as_ref()),
            F::Backend => of_option(known.backend.as_ref()),
            F::DurationMs => Some(Value::Millis(self.took)),
            _ => None,
        }
    }

    fn json(&self, selected: Selected) {
        let is = Fields {
            line: self,
            selected,
        };
        match self.refusal {
            None => event!("handshake", is),
            Some(_) => event!(REFUSAL_LINE, is),
        }
    }

    fn is_close(&self) -> bool {
        false
    }

    fn is_refusal(&self) -> bool {
        self.refusal.is_some()
    }
}
