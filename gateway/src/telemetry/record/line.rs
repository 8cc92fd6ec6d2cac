//! The lines of the access log: what each field holds, and the events that carry them.

mod close;
mod handshake;
mod request_summary;
pub(super) mod text;

use std::fmt;
use std::time::Duration;

use tidegate_config::LineField;
use tracing::field::{DisplayValue, display};

use super::access_log::Selected;

pub(super) use request_summary::RequestSummary;

/// A line: the value of each field, and the event that carries them.
pub(super) trait Line {
    /// What the field holds; `None`: nothing.
    fn value(&self, field: LineField) -> Option<Value<'_>>;

    /// Writes the event.
    fn json(&self, selected: Selected);

    /// Is it one of a tunnel's end?
    fn is_close(&self) -> bool;

    /// Is it one of a handshake that was not accepted?
    fn is_refusal(&self) -> bool;
}

/// What a field holds.
pub(super) enum Value<'a> {
    Text(&'a str),
    Shown(&'a dyn fmt::Display),
    Number(u64),
    Millis(Duration),
}

impl<'a> Value<'a> {
    /// Text that is there.
    fn of_text(text: &'a str) -> Option<Self> {
        (!text.is_empty()).then_some(Self::Text(text))
    }

    fn of_object(object: Option<&'a impl fmt::Display>) -> Option<Self> {
        object.map(|object| Self::Shown(object))
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Shown(shown) => shown.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Millis(duration) => millis(*duration).fmt(f),
        }
    }
}

/// The values that stand in an event.
struct Fields<'a, L> {
    line: &'a L,
    selected: Selected,
}

impl<'a, L: Line> Fields<'a, L> {
    fn value(&self, field: LineField) -> Option<Value<'a>> {
        let selected = self.selected.has(field);
        selected.then(|| self.line.value(field)).flatten()
    }

    fn text(&self, field: LineField) -> Option<&'a str> {
        match self.value(field)? {
            Value::Text(text) => Some(text),
            Value::Shown(_) | Value::Number(_) | Value::Millis(_) => None,
        }
    }

    fn shown(&self, field: LineField) -> Option<DisplayValue<Value<'a>>> {
        self.value(field).map(display)
    }

    fn number(&self, field: LineField) -> Option<u64> {
        match self.value(field)? {
            Value::Number(number) => Some(number),
            Value::Text(_) | Value::Shown(_) | Value::Millis(_) => None,
        }
    }

    fn millis(&self, field: LineField) -> Option<f64> {
        match self.value(field)? {
            Value::Millis(duration) => Some(millis(duration)),
            Value::Text(_) | Value::Shown(_) | Value::Number(_) => None,
        }
    }
}

/// Milliseconds with microseconds behind the point.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
