//! The line at the end of a tunnel.

use tidegate_config::LineField;

use super::{Fields, Line, Value};
use crate::telemetry::record::TunnelInfo;
use crate::telemetry::record::access_log::{Selected, Share};
use crate::telemetry::record::lifecycle::Stage;
use tidegate_tunnel::relay::{Counts, Outcome};

/// The line.
struct CloseLine<'a> {
    tunnel: &'a TunnelInfo,
    stage: Stage,
    outcome: &'a Outcome,
}

impl TunnelInfo {
    /// Tells that the tunnel ended, in every way.
    pub(in crate::telemetry::record) fn close(&self, outcome: &Outcome) {
        let initiator = outcome.initiator.as_str();
        self.api
            .closed(initiator, outcome.client_code, outcome.duration);
        self.end_span(outcome);
        let stage = Stage::of_close(outcome.cause);
        let share = match stage {
            Stage::Error => Share::Always,
            _ => Share::Accepted,
        };
        let line = CloseLine {
            tunnel: self,
            stage,
            outcome,
        };
        self.recorder.log.load().tell(self.id, share, &line);
    }
}

fn messages(counts: &Counts) -> Option<Value<'static>> {
    Some(Value::Number(counts.messages()))
}

impl Line for CloseLine<'_> {
    fn value(&self, field: LineField) -> Option<Value<'_>> {
        use LineField as F;
        let Self {
            tunnel,
            stage,
            outcome,
        } = self;
        let code = |code: Option<u16>| code.map(|code| Value::Number(code.into()));
        match field {
            F::Event => Some(Value::Text("close")),
            F::Name => Some(Value::Text(stage.as_str())),
            F::From => Some(Value::Text(stage.source())),
            F::To => Some(Value::Text(stage.destination())),
            F::Id => Some(Value::Shown(&tunnel.id)),
            F::Api => Some(Value::Shown(&tunnel.api.key)),
            F::Product => Value::of_object(tunnel.product.as_ref().map(|product| &product.key)),
            F::Subscription => Value::of_object(tunnel.subscription.as_ref().map(|s| &s.key)),
            F::Client => Some(Value::Shown(&tunnel.client)),
            F::Initiator => Some(Value::Text(outcome.initiator.as_str())),
            F::Cause => Some(Value::Text(outcome.cause.as_str())),
            F::ClientCode => code(outcome.client_code),
            F::BackendCode => code(outcome.backend_code),
            F::CloseReason => Value::of_text(&outcome.reason),
            F::DurationMs => Some(Value::Millis(outcome.duration)),
            F::FromClientMessages => messages(&outcome.from_client),
            F::FromClientBytes => Some(Value::Number(outcome.from_client.bytes.sum())),
            F::FromBackendMessages => messages(&outcome.from_backend),
            F::FromBackendBytes => Some(Value::Number(outcome.from_backend.bytes.sum())),
            _ => None,
        }
    }

    fn json(&self, selected: Selected) {
        use LineField as F;
        let is = Fields {
            line: self,
            selected,
        };
        tracing::info!(
            target: "tidegate::access",
            event = is.text(F::Event),
            name = is.text(F::Name),
            from = is.text(F::From),
            to = is.text(F::To),
            id = is.shown(F::Id),
            api = is.shown(F::Api),
            product = is.shown(F::Product),
            subscription = is.shown(F::Subscription),
            client = is.shown(F::Client),
            initiator = is.text(F::Initiator),
            cause = is.text(F::Cause),
            client_code = is.number(F::ClientCode),
            backend_code = is.number(F::BackendCode),
            close_reason = is.text(F::CloseReason),
            duration_ms = is.millis(F::DurationMs),
            from_client_messages = is.number(F::FromClientMessages),
            from_client_bytes = is.number(F::FromClientBytes),
            from_backend_messages = is.number(F::FromBackendMessages),
            from_backend_bytes = is.number(F::FromBackendBytes),
        );
    }

    fn is_close(&self) -> bool {
        true
    }

    fn is_refusal(&self) -> bool {
        false
    }
}
