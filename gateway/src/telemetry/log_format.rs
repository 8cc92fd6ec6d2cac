//! How log lines are written: as JSON, except for lines of the access log in a text format.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::record::{REFUSAL_LINE, REFUSAL_TEXT_LINE, TEXT_LINE};

/// Writes text lines of the access log as they are, and leaves everything else to the format
/// within.
#[derive(Debug)]
pub struct LogFormat<F>(F);

impl<F> LogFormat<F> {
    /// For [`map_event_format`](tracing_subscriber::fmt::SubscriberBuilder::map_event_format).
    pub fn around(other: F) -> Self {
        Self(other)
    }
}

impl<S, N, F> FormatEvent<S, N> for LogFormat<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !matches!(event.metadata().name(), TEXT_LINE | REFUSAL_TEXT_LINE) {
            return self.0.format_event(context, writer, event);
        }
        let mut line = Message(String::new());
        event.record(&mut line);
        writeln!(writer, "{}", line.0)
    }
}

/// For a filter of log lines: leaves out those of the access log about handshakes that were accepted, and about their
/// tunnels.
pub fn leaves_out_accepted(metadata: &Metadata<'_>) -> bool {
    // An event asks for its target before it has a name.
    metadata.target() != "tidegate::access"
        || !metadata.is_event()
        || matches!(metadata.name(), REFUSAL_LINE | REFUSAL_TEXT_LINE)
}

/// The message of an event.
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}
