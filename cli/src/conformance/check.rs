//! Compares what happened in a step with what the case expects. Pure.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;
use tidegate_wire::frame::PONG;
use tidegate_wire::{Frame, Head};

use super::case::{Call, CloseText, Expect, Step, Text};
use super::frame::FrameText;

/// What happened in a step.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The head of the response.
    pub(super) head: Head,
    /// Its body, unless it is a 101.
    pub(super) body: String,
    /// Whether Sec-WebSocket-Accept matches the key.
    pub(super) accepted: bool,
    /// What the client received before a Close.
    pub(super) frames: Vec<Frame>,
    /// Code and reason of the Close that the client received.
    pub(super) close: Option<(u16, String)>,
    /// The backend's handshake.
    pub(super) asked: Option<Head>,
    /// Code of the Close that the backend received.
    pub(super) backend_close: Option<u16>,
    /// Calls of HTTP services.
    pub(super) calls: Vec<SeenCall>,
}

/// A call of an HTTP service.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenCall {
    /// Method and header lines.
    pub(super) head: Head,
    /// Path and query below the case's.
    pub(super) path: String,
    /// Its body.
    pub(super) body: String,
}

/// What the client sends once the tunnel is open.
pub(super) fn sent(step: &Step) -> Vec<Frame> {
    match &step.send {
        Some(frames) => frames.iter().map(FrameText::frame).collect(),
        None if step.backend.abandon || !step.backend.send.is_empty() => Vec::new(),
        None => vec![FrameText::text("hello").frame()],
    }
}

/// Frames that the client must receive before a Close; `None`: any frames.
pub(super) fn wanted(step: &Step) -> Option<Vec<Frame>> {
    if let Some(frames) = &step.expect.frames {
        return Some(frames.iter().map(FrameText::frame).collect());
    }
    if step.expect.close.is_some() {
        return None;
    }
    let from_backend = step.backend.send.iter().map(FrameText::frame);
    let sent = sent(step).into_iter();
    let echoed = sent
        .filter(|frame| frame.opcode != PONG && frame.closing().is_none())
        .map(Frame::echoed);
    Some(from_backend.chain(echoed).collect())
}

/// One line for each difference; empty if everything is as expected.
pub(super) fn differences(step: &Step, seen: &Seen) -> Vec<String> {
    let mut found = Differences::default();
    let expect = &step.expect;
    let status = expect.status.unwrap_or(101);
    if seen.head.status() != status {
        let (got, body) = (seen.head.status(), &seen.body);
        found.say(format!("expected status {status}, got {got} {body}"));
        return found.0;
    }
    found.answer(expect, seen, status);
    found.backend(expect, seen, status);
    if status == 101 {
        found.tunnel(step, seen);
    }
    if let Some(calls) = &expect.calls {
        found.calls(calls, &seen.calls);
    }
    found.0
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn say(&mut self, what: String) {
        self.0.push(what);
    }

    fn answer(&mut self, expect: &Expect, seen: &Seen, status: u16) {
        if status == 101 && !seen.accepted {
            self.say("Sec-WebSocket-Accept does not match the key".to_owned());
        }
        if let Some(message) = &expect.message {
            let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
            if body["statusCode"] != status {
                self.say(format!("expected statusCode {status} in {}", seen.body));
            }
            self.text("message", Some(message), body["message"].as_str());
        }
        self.text_if_wanted("body", expect.body.as_ref(), &seen.body);
        self.headers("header", &expect.headers, &seen.head);
    }

    fn backend(&mut self, expect: &Expect, seen: &Seen, status: u16) {
        let wanted = match expect.asked {
            None if status == 101 => Some(true),
            wanted => wanted,
        };
        if wanted.is_some_and(|wanted| wanted != seen.asked.is_some()) {
            let not = if wanted == Some(true) {
                "was not"
            } else {
                "was"
            };
            self.say(format!("the backend {not} asked"));
        }
        if let Some(head) = &seen.asked {
            if let Some(target) = &expect.target {
                self.text("target at the backend", Some(target), Some(head.target()));
            }
            self.headers("backend's header", &expect.backend_headers, head);
        } else if expect.target.is_some() || !expect.backend_headers.is_empty() {
            self.say("the backend was not asked".to_owned());
        }
    }

    fn tunnel(&mut self, step: &Step, seen: &Seen) {
        if let Some(wanted) = wanted(step)
            && seen.frames != wanted
        {
            let got = &seen.frames;
            self.say(format!("expected frames {wanted:?}, got {got:?}"));
        }
        if let Some(CloseText { code, reason }) = &step.expect.close {
            match &seen.close {
                None => self.say(format!("expected close code {code}, got no Close")),
                Some((got, said)) if got != code => {
                    self.say(format!("expected close code {code}, got {got} {said:?}"));
                }
                Some((_, said)) => self.text_if_wanted("close reason", reason.as_ref(), said),
            }
        }
        if let Some(code) = step.expect.backend_close
            && seen.backend_close != Some(code)
        {
            let got = seen.backend_close;
            self.say(format!(
                "expected close code {code} at the backend, got {got:?}"
            ));
        }
    }

    fn headers(&mut self, what: &str, wanted: &BTreeMap<String, Option<Text>>, head: &Head) {
        for (name, wanted) in wanted {
            let got = head.joined(name);
            self.text(&format!("{what} {name}"), wanted.as_ref(), got.as_deref());
        }
    }

    fn calls(&mut self, wanted: &[Call], got: &[SeenCall]) {
        if wanted.len() != got.len() {
            let paths: Vec<_> = got.iter().map(|call| &call.path).collect();
            let wanted = wanted.len();
            self.say(format!(
                "expected {wanted} calls of services, got {paths:?}"
            ));
            return;
        }
        for (wanted, got) in wanted.iter().zip(got) {
            self.text("called path", Some(&wanted.path), Some(&got.path));
            if let Some(method) = &wanted.method {
                let method = Text::Exactly(method.clone());
                self.text("called method", Some(&method), Some(got.head.method()));
            }
            self.headers("called with", &wanted.headers, &got.head);
            self.text_if_wanted("called with body", wanted.body.as_ref(), &got.body);
        }
    }

    fn text_if_wanted(&mut self, what: &str, wanted: Option<&Text>, got: &str) {
        if wanted.is_some() {
            self.text(what, wanted, Some(got));
        }
    }

    fn text(&mut self, what: &str, wanted: Option<&Text>, got: Option<&str>) {
        let fits = match (wanted, got) {
            (None, None) => true,
            (Some(Text::Exactly(wanted)), Some(got)) => wanted == got,
            (Some(Text::Matching(wanted)), Some(got)) => matches(&wanted.matches, got),
            _ => false,
        };
        if fits {
            return;
        }
        let wanted = match wanted {
            None => "none".to_owned(),
            Some(Text::Exactly(text)) => format!("{text:?}"),
            Some(Text::Matching(text)) => format!("/{}/", text.matches),
        };
        let got = got.map_or_else(|| "none".to_owned(), |got| format!("{got:?}"));
        self.say(format!("{what}: expected {wanted}, got {got}"));
    }
}

/// An invalid pattern matches nothing, so that the case fails and shows it.
fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?s:{pattern})$")).is_ok_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests;
