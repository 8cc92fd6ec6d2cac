//! Lines as text. What clients have sent cannot end a line or a quotation in it.

use std::fmt::Write as _;

use tidegate_config::{LineField, LinePiece, LineTemplate};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::Line;

/// Stands for what has no value.
const NOTHING: &str = "-";

/// The line.
pub(in crate::telemetry::record) fn render(template: &LineTemplate, line: &impl Line) -> String {
    let mut out = String::new();
    for piece in template.pieces() {
        match piece {
            LinePiece::Literal(text) => out.push_str(text),
            LinePiece::Field(LineField::Timestamp) => push_time(&mut out),
            LinePiece::Field(field) => match line.value(*field) {
                Some(value) => push_escaped(&mut out, &value.to_string()),
                None => out.push_str(NOTHING),
            },
        }
    }
    out
}

/// As it stands in JSON lines.
fn push_time(out: &mut String) {
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(out));
}

/// Quotation marks, backslashes and everything that a reader may take for the end of a line become
/// `\xXX`, byte by byte, as nginx writes them.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() || matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "\\x{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_config::LineKind;

    use super::super::Value;
    use super::*;
    use crate::telemetry::record::access_log::Selected;

    struct Fake;

    impl Line for Fake {
        fn value(&self, field: LineField) -> Option<Value<'_>> {
            match field {
                LineField::Path => Some(Value::Text("/a\"b\\c\r\nd é\u{2028}")),
                LineField::Status => Some(Value::Number(101)),
                LineField::DurationMs => {
                    Some(Value::Millis(std::time::Duration::from_micros(1500)))
                }
                LineField::Api => Some(Value::Shown(&"shop/chat")),
                _ => None,
            }
        }

        fn json(&self, _selected: Selected) {}

        fn is_close(&self) -> bool {
            false
        }

        fn is_refusal(&self) -> bool {
            false
        }
    }

    #[test]
    fn values_stand_in_the_line_and_cannot_end_it() {
        let text = "\"${path}\" ${status} ${reason} ${duration_ms}ms ${api}$${id}";
        let template = LineTemplate::parse(LineKind::Handshake, text).unwrap();
        let expected = r#""/a\x22b\x5Cc\x0D\x0Ad é\xE2\x80\xA8" 101 - 1.5ms shop/chat${id}"#;
        assert_eq!(render(&template, &Fake), expected);
        let template = LineTemplate::parse(LineKind::Close, "${timestamp}").unwrap();
        let time = render(&template, &Fake);
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
}
