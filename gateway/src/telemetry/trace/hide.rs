//! Masks traces: secrets that the handshake met, and values whose names suggest a secret. Texts are masked before
//! they are cut, so that no part of a secret remains.

use serde_json::Value as Json;
use tidegate_config::KeyNames;
use tidegate_expr::mask_beginning;

use super::report::{Backend, Outcome, Trace};
use crate::exchange::steps::{Answer, Change, Field, Step, Target};
use crate::exchange::{Exchange, decoded_pairs};

const HIDDEN: &str = "***";

/// Longest text of a trace; more says nothing more.
const LONGEST_TEXT: usize = 1024;

/// A name that contains one of these suggests a secret.
const TELLING_PARTS: [&str; 14] = [
    "apikey",
    "api-key",
    "api_key",
    "authorization",
    "cookie",
    "credential",
    "passwd",
    "password",
    "secret",
    "session",
    "signature",
    "subscription-key",
    "token",
    "x-amz-security",
];

/// So does a name that equals one of these.
const TELLING_NAMES: [&str; 7] = ["auth", "code", "key", "pass", "pwd", "sas", "sig"];

/// What a trace must not show.
pub(super) struct Secrets {
    texts: Vec<String>,
    keys: KeyNames,
}

impl Secrets {
    /// All that this handshake has met so far.
    pub(super) fn of(exchange: &mut Exchange) -> Self {
        exchange.add_credentials();
        let texts = exchange.evaluation.secrets().to_vec();
        Self {
            texts,
            keys: exchange.api.subscription_key.clone(),
        }
    }

    /// The trace as it may be shown.
    pub(super) fn hide(mut self, mut trace: Trace) -> Trace {
        for step in &trace.steps {
            self.learn(step);
        }
        trace.request.url = self.url(&trace.request.url);
        for field in trace.route.iter_mut().flat_map(|route| &mut route.params) {
            self.field(field);
        }
        for step in &mut trace.steps {
            step.changes
                .iter_mut()
                .for_each(|change| self.change(change));
            step.answer
                .iter_mut()
                .for_each(|answer| self.answer(answer));
        }
        if let Some(Backend { url, host, headers }) = &mut trace.backend {
            *url = self.url(url);
            *host = host.take().map(|host| self.text(&host));
            headers.iter_mut().for_each(|field| self.field(field));
        }
        match &mut trace.outcome {
            Outcome::Accepted { headers } => {
                headers.iter_mut().for_each(|field| self.field(field));
            }
            Outcome::Refused(answer) => self.answer(answer),
            Outcome::WouldDial => {}
        }
        trace
    }

    /// Collects secrets from a step's values: a value whose name suggests a secret is masked everywhere.
    fn learn(&mut self, step: &Step) {
        let variables = step.changes.iter().filter(|c| c.target == Target::Variable);
        for text in variables.filter_map(|change| change.after.as_deref()) {
            if text.starts_with(['{', '['])
                && let Ok(json) = serde_json::from_str(text)
            {
                self.learn_from(&json);
            }
        }
        let headers = step.changes.iter().filter(|c| c.target != Target::Variable);
        for change in headers {
            if let (Some(name), Some(value)) = (&change.name, &change.after)
                && self.is_telling(name)
            {
                self.texts.push(value.clone());
            }
        }
    }

    fn learn_from(&mut self, json: &Json) {
        match json {
            Json::Array(items) => items.iter().for_each(|item| self.learn_from(item)),
            Json::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Json::String(text) if self.is_telling(name) => {
                            self.texts.push(text.clone());
                        }
                        value => self.learn_from(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn is_telling(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        name == self.keys.header.to_ascii_lowercase()
            || name == self.keys.query.to_ascii_lowercase()
            || TELLING_NAMES.contains(&name.as_str())
            || TELLING_PARTS.iter().any(|part| name.contains(part))
    }

    fn text(&self, text: &str) -> String {
        let masked = without_tokens(&mask_beginning(text, &self.texts, LONGEST_TEXT));
        if masked.len() <= LONGEST_TEXT {
            return masked;
        }
        let end = masked.floor_char_boundary(LONGEST_TEXT);
        format!("{}… ({} bytes)", &masked[..end], text.len())
    }

    fn named(&self, name: &str, text: &str) -> String {
        if self.is_telling(name) {
            return HIDDEN.to_owned();
        }
        self.text(text)
    }

    fn field(&self, field: &mut Field) {
        field.value = self.named(&field.name, &field.value);
    }

    fn answer(&self, answer: &mut Answer) {
        answer.message = self.text(&answer.message);
        answer.detail = answer.detail.take().map(|detail| self.text(&detail));
        answer
            .headers
            .iter_mut()
            .for_each(|field| self.field(field));
    }

    fn change(&self, change: &mut Change) {
        let name = change.name.clone().unwrap_or_default();
        // `token` may be the claims of a token, which should be visible.
        let is_object = |text: &str| change.target == Target::Variable && text.starts_with('{');
        let shown = |text: String| {
            if is_object(&text) {
                self.text(&text)
            } else {
                self.named(&name, &text)
            }
        };
        (change.before, change.after) = (
            change.before.clone().map(shown),
            change.after.clone().map(shown),
        );
    }

    /// A URL with `***` for the values of its query that may be secret.
    fn url(&self, url: &str) -> String {
        let Some((rest, query)) = url.split_once('?') else {
            return self.text(url);
        };
        let parts = query.split('&').map(|part| {
            let Some((name, value)) = part.split_once('=') else {
                return self.text(part);
            };
            let decoded = decoded_pairs(part).next();
            let hides = decoded.is_some_and(|(name, value)| {
                self.is_telling(&name) || self.text(&value).contains(HIDDEN)
            });
            let value = if hides { HIDDEN } else { value };
            format!("{name}={value}")
        });
        let parts: Vec<String> = parts.collect();
        self.text(&format!("{}?{}", self.text(rest), parts.join("&")))
    }
}

/// The text without anything that looks like a JSON Web Token.
fn without_tokens(text: &str) -> String {
    /// `{"` in base64, with which every header of a token begins.
    const BEGINNING: &str = "eyJ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGINNING) {
        let (before, token) = rest.split_at(at);
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let end = token.find(|c| !is_part(c)).unwrap_or(token.len());
        out.push_str(before);
        let (token, behind) = token.split_at(end);
        out.push_str(if token.contains('.') { HIDDEN } else { token });
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets {
            texts: vec!["p@ss word".to_owned()],
            keys: KeyNames {
                header: "X-Harbour".to_owned(),
                query: "harbour".to_owned(),
                subprotocol: None,
                keep: false,
            },
        }
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let secrets = secrets();
        for (text, shown) in [
            ("a p@ss word b", "a *** b"),
            ("token eyJhbGciOi.eyJzdWIi.c2ln!", "token ***!"),
            ("eyJust a word", "eyJust a word"),
            ("plain", "plain"),
            ("Basic dXNlcjpwQHNzIHdvcmQ=", "Basic dXNlcj***"),
            (
                "704073732077f6 70407373 20776f7264",
                "704073732077f6 70407373 20776f7264",
            ),
            ("7040737320776f7264", "***"),
            (r#"{"a":"p\u0040ss word"}"#, r#"{"a":"***"}"#),
        ] {
            assert_eq!(secrets.text(text), shown);
        }
        for (url, shown) in [
            ("ws://h/a?b=1&c", "ws://h/a?b=1&c"),
            ("ws://h/a?harbour=1&b=2", "ws://h/a?harbour=***&b=2"),
            ("ws://h/a?access_token=1", "ws://h/a?access_token=***"),
            ("ws://h/a?b=p%40ss+word", "ws://h/a?b=***"),
            ("ws://h/p%40ss%20word", "ws://h/***"),
        ] {
            assert_eq!(secrets.url(url), shown);
        }
    }

    #[test]
    fn values_under_telling_names_are_hidden() {
        let secrets = secrets();
        for (name, hidden) in [
            ("Authorization", true),
            ("x-harbour", true),
            ("Set-Cookie", true),
            ("code", true),
            ("barcode", false),
            ("x-user", false),
        ] {
            assert_eq!(secrets.named(name, "value") == HIDDEN, hidden, "{name}");
        }
    }

    #[test]
    fn a_long_text_is_cut_behind_the_masks() {
        let text = format!("{}p@ss word", "x".repeat(LONGEST_TEXT - 3));
        let shown = secrets().text(&text);
        assert!(shown.ends_with("x***"), "{shown}");
        let shown = secrets().text(&"é".repeat(LONGEST_TEXT));
        assert!(shown.ends_with("é… (2048 bytes)"), "{shown}");
    }
}
