//! What of an exchange a step may change, and how two looks at it differ.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::Value as Json;
use tidegate_config::policy::IfExists;
use tidegate_expr::{Value, to_json};

use crate::exchange::steps::{Action, Change, Target};
use crate::exchange::{AnswerHeaders, Exchange, Upstream};

/// A step that changes more is described well enough by so many.
const MAX_CHANGES: usize = 64;

/// A longer text is told by its size: it is cut for showing later, when all secrets are known, and
/// half a secret would not be found then.
const LONGEST_KEPT: usize = 16 * 1024;

/// One look at an exchange.
pub(super) struct Observed {
    upstream: Upstream,
    answer: AnswerHeaders,
    status: Option<(u16, Option<String>)>,
    vars: Value,
    jwt: Value,
    expiry: Option<i64>,
    counted: usize,
    deferred: usize,
    reservations: usize,
    notes: Vec<String>,
}

impl Observed {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let evaluation = &exchange.evaluation;
        let would = evaluation.dry_run.unwrap_or_default();
        let (counted, deferred) = evaluation.counted.limits();
        Self {
            upstream: exchange.upstream.clone(),
            answer: exchange.answer.clone(),
            status: evaluation.status.clone(),
            vars: evaluation.variable("vars"),
            jwt: evaluation.variable("jwt"),
            expiry: exchange.token_expiry,
            counted: counted + would.counted,
            deferred,
            reservations: evaluation.reservations.len() + would.reserved,
            notes: evaluation.notes.clone(),
        }
    }

    /// What is different in `now`.
    pub(super) fn changes(&self, now: &Self) -> Vec<Change> {
        let mut changes = Changes(Vec::new());
        self.upstream_changes(now, &mut changes);
        self.answer_changes(now, &mut changes);
        self.variable_changes(now, &mut changes);
        let text = |seconds: Option<i64>| seconds.map(|seconds| seconds.to_string());
        changes.text(Target::Expiry, text(self.expiry), text(now.expiry));
        for (target, before, after) in [
            (Action::Count, self.counted, now.counted),
            (Action::CountLater, self.deferred, now.deferred),
            (Action::Reserve, self.reservations, now.reservations),
        ] {
            if after > before {
                changes.push(Target::Limit, target, None, (None, None));
            }
        }
        for note in now.notes.iter().skip(self.notes.len()) {
            let told = (None, Some(note.clone()));
            changes.push(Target::Note, Action::Set, None, told);
        }
        changes.0
    }

    fn upstream_changes(&self, now: &Self, changes: &mut Changes) {
        let (old, new) = (&self.upstream, &now.upstream);
        changes.text(Target::Backend, Some(old.origin()), Some(new.origin()));
        let path = |upstream: &Upstream| Some(upstream.target.path.clone());
        changes.text(Target::Path, path(old), path(new));
        let host = |upstream: &Upstream| upstream.host_header.clone();
        changes.text(Target::Host, host(old), host(new));
        changes.lists(Target::Query, &parameters(old), &parameters(new));
        changes.lists(Target::Header, &lines(&old.headers), &lines(&new.headers));
    }

    fn answer_changes(&self, now: &Self, changes: &mut Changes) {
        for (name, values, if_exists) in now.answer.since(&self.answer) {
            let action = match if_exists {
                IfExists::Override => Action::Set,
                IfExists::Append => Action::Append,
                IfExists::Skip => Action::SetIfAbsent,
                IfExists::Delete => Action::Remove,
            };
            let values = values.iter();
            let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let texts: Vec<String> = texts.collect();
            let after = (action != Action::Remove).then(|| texts.join(", "));
            changes.push(
                Target::AnswerHeader,
                action,
                Some(name.as_str()),
                (None, after),
            );
        }
        let status = |status: &Option<(u16, Option<String>)>| {
            let (status, message) = status.as_ref()?;
            let message = message.as_deref().unwrap_or_default();
            Some(format!("{status} {message}").trim_end().to_owned())
        };
        changes.text(Target::Status, status(&self.status), status(&now.status));
    }

    fn variable_changes(&self, now: &Self, changes: &mut Changes) {
        let (old, new) = (members(&self.vars), members(&now.vars));
        changes.lists(Target::Variable, &old, &new);
        let jwt = |value: &Value| match value {
            Value::Null => BTreeMap::new(),
            value => BTreeMap::from([("jwt".to_owned(), text_of(value))]),
        };
        changes.lists(Target::Variable, &jwt(&self.jwt), &jwt(&now.jwt));
    }
}

/// Changes as they are found.
struct Changes(Vec<Change>);

impl Changes {
    fn push(
        &mut self,
        target: Target,
        action: Action,
        name: Option<&str>,
        (before, after): (Option<String>, Option<String>),
    ) {
        if self.0.len() < MAX_CHANGES {
            self.0.push(Change {
                target,
                action,
                name: name.map(str::to_owned),
                before: before.map(kept),
                after: after.map(kept),
            });
        }
    }

    fn text(&mut self, target: Target, before: Option<String>, after: Option<String>) {
        if before != after {
            let action = action(after.is_some());
            self.push(target, action, None, (before, after));
        }
    }

    fn lists(
        &mut self,
        target: Target,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) {
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        for name in after.keys().chain(gone) {
            let (old, new) = (before.get(name), after.get(name));
            if old != new {
                let values = (old.cloned(), new.cloned());
                self.push(target, action(new.is_some()), Some(name), values);
            }
        }
    }
}

fn action(is_there: bool) -> Action {
    if is_there {
        Action::Set
    } else {
        Action::Remove
    }
}

fn kept(text: String) -> String {
    if text.len() > LONGEST_KEPT {
        return format!("({} bytes)", text.len());
    }
    text
}

/// Headers by name, several lines as one text.
fn lines(headers: &HeaderMap) -> BTreeMap<String, String> {
    let pairs = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), value.into_owned())
    });
    joined(pairs)
}

fn parameters(upstream: &Upstream) -> BTreeMap<String, String> {
    let raw = upstream.query.raw().unwrap_or_default();
    let pairs = crate::exchange::decoded_pairs(&raw);
    joined(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())))
}

fn joined(pairs: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        all.entry(name)
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(&value);
            })
            .or_insert(value);
    }
    all
}

fn members(vars: &Value) -> BTreeMap<String, String> {
    let Value::Map(map) = vars else {
        return BTreeMap::new();
    };
    let members = map.map.iter();
    members
        .map(|(name, value)| (name.to_string(), text_of(value)))
        .collect()
}

/// A text as it is, everything else as JSON.
fn text_of(value: &Value) -> String {
    match to_json(value) {
        Ok(Json::String(text)) => text,
        Ok(json) => json.to_string(),
        Err(_) => "(no JSON)".to_owned(),
    }
}
