//! The log on standard error: which lines, and as text for people or JSON for programs.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use clap::ValueEnum;
use tidegate_gateway::{LogFormat, leaves_out_accepted};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::finding::escaped;

/// What is logged unless the user says otherwise: warnings, and handshakes that were not accepted.
const DEFAULT_FILTER: &str = "warn,tidegate::access=info";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Sentences for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log. `filter` is a level or a list of targets with their levels.
///
/// # Errors
///
/// When the filter is not valid, or a log was started before.
pub fn start(filter: Option<&str>, format: Option<Format>) -> anyhow::Result<()> {
    let selected = EnvFilter::try_new(filter.unwrap_or(DEFAULT_FILTER))?;
    let is_chosen = filter.is_some();
    let selected = selected.and(filter_fn(move |line| {
        is_chosen || leaves_out_accepted(line)
    }));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    match format.unwrap_or_else(default_format) {
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            let lines = lines.with_span_list(false);
            let lines = lines.map_event_format(LogFormat::around);
            registry.with(lines.with_filter(selected)).try_init()?;
        }
        Format::Text => {
            let lines = lines.event_format(LogFormat::around(Sentences));
            registry.with(lines.with_filter(selected)).try_init()?;
        }
    }
    Ok(())
}

fn default_format() -> Format {
    match std::io::stderr().is_terminal() {
        true => Format::Text,
        false => Format::Json,
    }
}

/// Writes events as sentences, each with its time.
struct Sentences;

impl<S, N> FormatEvent<S, N> for Sentences
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_lowercase();
        let line = match (event.metadata().target(), fields.get("event")) {
            ("tidegate::access", Some("handshake")) => fields.handshake(),
            ("tidegate::access", Some("close")) => fields.close(),
            _ => format!("{level}: {}", fields.any()),
        };
        let time = jiff::Zoned::now().strftime("%H:%M:%S");
        writeln!(writer, "{time} {}", escaped(&line))
    }
}

/// The fields of an event, as text.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }
}

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let (_, value) = fields.find(|(other, _)| *other == name)?;
        Some(value)
    }

    fn or_empty(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The fields that have a value, each behind its title.
    fn each(&self, titles: &[(&str, &str)]) -> String {
        let mut text = String::new();
        for (title, name) in titles {
            if let Some(value) = self.get(name) {
                // Writing to a String cannot fail.
                let _ = write!(text, ", {title} {value}");
            }
        }
        text
    }

    /// `handshake failed: 502 backend_connect_failed (connection refused): /chat from 127.0.0.1, …`.
    fn handshake(&self) -> String {
        let mut line = format!("handshake {}:", self.or_empty("result"));
        for name in ["status", "reason"] {
            if let Some(value) = self.get(name) {
                let _ = write!(line, " {value}");
            }
        }
        if let Some(why) = self.get("detail").or_else(|| self.get("message")) {
            let _ = write!(line, " ({why})");
        }
        let _ = write!(
            line,
            ": {} from {}",
            self.or_empty("path"),
            self.or_empty("client")
        );
        line + &self.each(&[
            ("WebSocketApi", "api"),
            ("Subscription", "subscription"),
            ("step", "step"),
            ("backend", "backend"),
            ("id", "id"),
        ])
    }

    fn close(&self) -> String {
        let line = format!(
            "tunnel closed: {} from {}",
            self.or_empty("cause"),
            self.or_empty("client")
        );
        line + &self.each(&[
            ("WebSocketApi", "api"),
            ("Subscription", "subscription"),
            ("code", "client_code"),
            ("id", "id"),
        ])
    }

    /// The message, then the other fields.
    fn any(&self) -> String {
        let mut text = self.or_empty("message").to_owned();
        for (name, value) in self.0.iter().filter(|(name, _)| *name != "message") {
            let _ = write!(text, " {name}={value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(values: &[(&'static str, &str)]) -> Fields {
        let owned = values
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Fields(owned.collect())
    }

    #[test]
    fn a_handshake_is_one_sentence_with_its_cause() {
        for (values, sentence) in [
            (
                &[
                    ("result", "failed"),
                    ("status", "502"),
                    ("reason", "backend_connect_failed"),
                    ("message", "backend is not reachable"),
                    ("detail", "connection refused"),
                    ("path", "/chat"),
                    ("client", "127.0.0.1"),
                    ("api", "default/chat"),
                    ("backend", "127.0.0.1:9000"),
                ][..],
                "handshake failed: 502 backend_connect_failed (connection refused): /chat from 127.0.0.1, \
                 WebSocketApi default/chat, backend 127.0.0.1:9000",
            ),
            (
                &[
                    ("result", "refused"),
                    ("status", "404"),
                    ("reason", "route_not_found"),
                    ("path", "/x"),
                    ("client", "::1"),
                ],
                "handshake refused: 404 route_not_found: /x from ::1",
            ),
        ] {
            assert_eq!(fields(values).handshake(), sentence);
        }
    }

    #[test]
    fn another_line_begins_with_its_message() {
        let values = fields(&[("file", "a"), ("message", "quotas start anew")]);
        assert_eq!(values.any(), "quotas start anew file=a");
    }
}
