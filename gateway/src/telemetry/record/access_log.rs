//! Which lines are written, and in which form: the Gateway's `telemetry.accessLog`, compiled.

use std::fmt;

use tidegate_config::{
    AccessLog as Config, InvalidLineTemplate, LineField, LineTemplate, LogFormat, LogSampling,
};
use tracing::Level;
use uuid::Uuid;

use super::line::Line;
use super::line::text::render;

/// Name of events whose message is a whole line; [`crate::LogFormat`] writes nothing around them.
pub(crate) const TEXT_LINE: &str = "line of the access log";
/// The same, for handshakes that were not accepted.
pub(crate) const REFUSAL_TEXT_LINE: &str = "line of the access log: not accepted";
/// Name of events of handshakes that were not accepted; their fields are the line.
pub(crate) const REFUSAL_LINE: &str = "handshake that was not accepted";

/// The log of connections.
#[derive(Debug, Default)]
pub(crate) struct AccessLog {
    form: Form,
    sampling: LogSampling,
}

/// A line as it is written.
enum Form {
    Off,
    Json(Selected),
    Text {
        handshake: LineTemplate,
        close: LineTemplate,
    },
}

/// Which fields stand in JSON lines: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Selected(u64);

/// The sampling class of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// A failure: always logged.
    Always,
    Accepted,
    Refused,
}

impl AccessLog {
    /// Compiles the Gateway's settings; the default is every line, as JSON.
    ///
    /// # Errors
    /// [`InvalidLineTemplate`]: a template of a text line is not valid.
    pub(crate) fn compile(config: Option<&Config>) -> Result<Self, InvalidLineTemplate> {
        let Some(config) = config else {
            return Ok(Self::default());
        };
        let form = match config.format {
            LogFormat::Off => Form::Off,
            LogFormat::Json => Form::Json(Selected::of(config.fields.as_deref())),
            LogFormat::Text => {
                let text = config.text.clone().unwrap_or_default();
                Form::Text {
                    handshake: text.handshake_line()?,
                    close: text.close_line()?,
                }
            }
        };
        Ok(Self {
            form,
            sampling: config.sample_percent,
        })
    }

    /// Writes the line, if it is one of those that are wanted.
    pub(super) fn tell(&self, id: Uuid, share: Share, line: &impl Line) {
        if !tracing::enabled!(target: "tidegate::access", Level::INFO) || !self.has(id, share) {
            return;
        }
        let (template, closes) = match &self.form {
            Form::Off => return,
            Form::Json(selected) => return line.json(*selected),
            Form::Text { handshake, close } => (handshake, close),
        };
        let template = if line.is_close() { closes } else { template };
        let text = render(template, line);
        if line.is_refusal() {
            tracing::info!(name: REFUSAL_TEXT_LINE, target: "tidegate::access", message = text);
        } else {
            tracing::info!(name: TEXT_LINE, target: "tidegate::access", message = text);
        }
    }

    /// Sampled by the id, so that a connection has both lines or none.
    fn has(&self, id: Uuid, share: Share) -> bool {
        let percent = match share {
            Share::Always => return true,
            Share::Accepted => self.sampling.accepted,
            Share::Refused => self.sampling.refused,
        };
        // Ids are version 4 UUIDs: what stands in front is random.
        id.as_fields().0 % 100 < u32::from(percent)
    }
}

impl Selected {
    const ALL: Self = Self(u64::MAX);

    fn of(fields: Option<&[LineField]>) -> Self {
        let Some(fields) = fields else {
            return Self::ALL;
        };
        let bit = |field: &LineField| 1 << *field as u32;
        Self(fields.iter().map(bit).fold(0, |all, bit: u64| all | bit))
    }

    pub(super) fn has(self, field: LineField) -> bool {
        self.0 & (1 << field as u32) != 0
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::Json(Selected::ALL)
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Json(_) => "Json",
            Self::Text { .. } => "Text",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_connections_is_told_and_what_failed_always() {
        let log = |accepted, refused| AccessLog {
            sampling: LogSampling { accepted, refused },
            ..AccessLog::default()
        };
        let ids: Vec<Uuid> = (0..20_000)
            .map(|_| crate::telemetry::record::random_id())
            .collect();
        for (percent, range) in [(0, 0..1), (25, 4500..5500), (100, 20_000..20_001)] {
            let accepted = log(percent, 0);
            let refused = log(0, percent);
            let count =
                |log: &AccessLog, share| ids.iter().filter(|id| log.has(**id, share)).count();
            assert!(
                range.contains(&count(&accepted, Share::Accepted)),
                "{percent}"
            );
            assert!(
                range.contains(&count(&refused, Share::Refused)),
                "{percent}"
            );
            assert_eq!(count(&accepted, Share::Refused), 0);
            assert_eq!(count(&accepted, Share::Always), ids.len());
        }
    }

    #[test]
    fn each_field_has_a_bit_of_its_own() {
        for field in LineField::ALL {
            let selected = Selected::of(Some(&[field]));
            let has = LineField::ALL.map(|other| selected.has(other));
            assert_eq!(has.iter().filter(|has| **has).count(), 1, "{field:?}");
            assert!(selected.has(field) && Selected::ALL.has(field));
        }
    }
}
