//! Frames as cases write them.

use serde::Deserialize;
use tidegate_wire::Frame;
use tidegate_wire::frame::{BINARY, CONTINUATION, PING, PONG, TEXT};

/// A frame as cases write it, with exactly one kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrameText {
    text: Option<String>,
    binary: Option<String>,
    continuation: Option<String>,
    ping: Option<String>,
    pong: Option<String>,
    close: Option<u16>,
    reason: Option<String>,
    #[serde(default = "yes")]
    fin: bool,
    #[serde(default)]
    rsv1: bool,
    /// How often the payload is repeated.
    #[serde(default = "once")]
    times: usize,
}

impl FrameText {
    /// A whole text message.
    pub(super) fn text(text: &str) -> Self {
        Self {
            text: Some(text.to_owned()),
            fin: true,
            times: 1,
            ..Self::default()
        }
    }

    /// The frame.
    pub(super) fn frame(&self) -> Frame {
        let kinds = [
            (CONTINUATION, &self.continuation),
            (BINARY, &self.binary),
            (PING, &self.ping),
            (PONG, &self.pong),
            (TEXT, &self.text),
        ];
        let found = kinds
            .into_iter()
            .find_map(|(kind, text)| Some((kind, text.as_ref()?)));
        let frame = match (self.close, found) {
            (Some(code), _) => Frame::close(code, self.reason.as_deref().unwrap_or_default()),
            (None, Some((opcode, text))) => Frame::new(opcode, text.repeat(self.times)),
            (None, None) => Frame::new(TEXT, []),
        };
        Frame {
            fin: self.fin,
            rsv1: self.rsv1,
            ..frame
        }
    }
}

fn yes() -> bool {
    true
}

fn once() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_has_its_code_and_reason() {
        let close: FrameText =
            serde_json::from_value(serde_json::json!({"close": 4001, "reason": "bye"})).unwrap();
        assert_eq!(close.frame(), Frame::close(4001, "bye"));
    }
}
