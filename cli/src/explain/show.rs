//! Formats a trace for people. Pure.

use std::fmt::Write as _;

use tidegate_gateway::trace::{
    Access, Action, Answer, By, Change, Field, Outcome, Route, Step, StepResult, Target, Trace,
};

/// The whole trace as text, several lines.
pub(super) fn text(trace: &Trace) -> String {
    let mut out = Lines(String::new());
    let Trace {
        id,
        gateway,
        request,
        route,
        access,
        steps,
        backend,
        outcome,
    } = trace;
    let from = format!("{} from {}", request.url, request.client);
    out.line("request", &from);
    out.line("id", id);
    out.line("gateway", gateway);
    if let Some(route) = route {
        out.line("route", &route_text(route));
    }
    if let Some(access) = access {
        out.line("access", &access_text(access));
    }
    out.steps(steps);
    if let Some(backend) = backend {
        out.line("backend", &backend.url);
        if let Some(host) = &backend.host {
            out.more(&format!("host: {host}"));
        }
        out.fields(&backend.headers);
    }
    out.outcome(outcome);
    out.0
}

struct Lines(String);

impl Lines {
    fn line(&mut self, title: &str, text: &str) {
        let line = format!("{title:<9} {text}");
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{}", line.trim_end());
    }

    fn more(&mut self, text: &str) {
        let _ = writeln!(self.0, "{:<9} {text}", "");
    }

    fn fields(&mut self, fields: &[Field]) {
        for Field { name, value } in fields {
            self.more(&format!("{name}: {value}"));
        }
    }

    /// Each section's steps below its name.
    fn steps(&mut self, steps: &[Step]) {
        let mut section = "";
        for step in steps {
            if step.section != section {
                section = &step.section;
                self.line(section, "");
            }
            self.step(step);
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::WouldDial => {
                self.line("outcome", "the backend would be called (--dial calls it)");
            }
            Outcome::Accepted { headers } => {
                self.line("outcome", "accepted: 101");
                self.fields(headers);
            }
            Outcome::Refused(answer) => self.answer(answer),
        }
    }

    fn step(&mut self, step: &Step) {
        let result = match step.result {
            StepResult::Ran => "ran",
            StepResult::Skipped => "skipped: its condition (when) is false",
            StepResult::Refused => "refused",
            StepResult::Failed => "failed",
        };
        let fragment = step.fragment.as_ref();
        let fragment = fragment.map_or(String::new(), |name| format!(", fragment {name}"));
        let _ = writeln!(
            self.0,
            "  {} {} ({}{fragment}): {result}",
            step.step, step.policy, step.scope
        );
        for change in &step.changes {
            let _ = writeln!(self.0, "      {}", change_text(change));
        }
        if let Some(answer) = &step.answer {
            let _ = writeln!(self.0, "      {}", answer_text(answer));
        }
    }

    fn answer(&mut self, answer: &Answer) {
        self.line("outcome", &format!("refused: {}", answer_text(answer)));
        if let Some(step) = &answer.step {
            self.more(&format!("by step {step}"));
        }
        self.fields(&answer.headers);
    }
}

fn route_text(route: &Route) -> String {
    let mut text = format!(
        "WebSocketApi {}, path {}, listener {}",
        route.api, route.path, route.listener
    );
    for Field { name, value } in &route.params {
        let _ = write!(text, ", {name} = {value}");
    }
    text
}

fn access_text(access: &Access) -> String {
    let mut text = match access.by {
        By::SubscriptionKey => "by subscription key".to_owned(),
        By::OpenProduct => "by an open product".to_owned(),
        By::NoKeyNeeded => "no key needed".to_owned(),
    };
    if let Some(subscription) = &access.subscription {
        let _ = write!(text, ", Subscription {subscription}");
    }
    if let Some(product) = &access.product {
        let _ = write!(text, ", Product {product}");
    }
    text
}

fn answer_text(answer: &Answer) -> String {
    let Answer {
        status,
        reason,
        source,
        message,
        ..
    } = answer;
    let mut text = format!("{status} {message} ({reason}, by the {source})");
    if let Some(detail) = &answer.detail {
        let _ = write!(text, ": {detail}");
    }
    text
}

fn change_text(change: &Change) -> String {
    let target = match change.target {
        Target::Header => "header",
        Target::Query => "query parameter",
        Target::Path => "path",
        Target::Backend => "backend",
        Target::Host => "host",
        Target::AnswerHeader => "response header",
        Target::Status => "status",
        Target::Variable => "variable",
        Target::Expiry => "end of the tunnel",
        Target::Limit => "limit",
        Target::Note => "note",
    };
    let name = change.name.as_ref().map(|name| format!(" {name}"));
    let subject = format!("{target}{}", name.unwrap_or_default());
    let after = change.after.as_deref().unwrap_or_default();
    let was = match &change.before {
        Some(before) => format!(" (was {before})"),
        None => String::new(),
    };
    match change.action {
        Action::Set => format!("{subject} = {after}{was}"),
        Action::Append => format!("{subject} += {after}"),
        Action::SetIfAbsent => format!("{subject} = {after}, if there is none"),
        Action::Remove => format!("{subject} removed{was}"),
        Action::Count => format!("{subject} counts it"),
        Action::CountLater => format!("{subject} counts it when the response is known"),
        Action::Reserve => format!("{subject} reserves a place for the tunnel"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trace_reads_from_the_request_to_the_outcome() {
        let trace: Trace = serde_json::from_value(json!({
            "id": "7f", "gateway": "harbour/edge",
            "request": {"url": "ws://edge/rooms/9?key=***", "client": "192.0.2.7"},
            "route": {"listener": "plain", "api": "harbour/chat", "path": "/rooms/{room}",
                "params": [{"name": "room", "value": "9"}]},
            "access": {"by": "subscriptionKey", "subscription": "harbour/ahab", "product": "harbour/gold"},
            "steps": [
                {"section": "inbound", "scope": "gateway", "step": "gateway.inbound[0]",
                 "policy": "setHeader", "result": "ran", "micros": 3, "changes": [
                    {"target": "header", "action": "set", "name": "x-a", "before": "1", "after": "2"},
                    {"target": "header", "action": "remove", "name": "x-b", "before": "1"},
                    {"target": "limit", "action": "count"}]},
                {"section": "inbound", "scope": "api", "fragment": "trial", "step": "beta",
                 "policy": "setVariable", "result": "skipped", "micros": 1},
                {"section": "inbound", "scope": "api", "step": "closed", "policy": "returnResponse",
                 "result": "refused", "micros": 1, "answer": {"status": 418, "message": "no",
                    "reason": "return_response", "source": "policy"}}],
            "outcome": {"result": "refused", "status": 418, "message": "no", "step": "closed",
                "reason": "return_response", "source": "policy",
                "headers": [{"name": "x-c", "value": "3"}]},
        }))
        .unwrap();
        let expected = "\
request   ws://edge/rooms/9?key=*** from 192.0.2.7
id        7f
gateway   harbour/edge
route     WebSocketApi harbour/chat, path /rooms/{room}, listener plain, room = 9
access    by subscription key, Subscription harbour/ahab, Product harbour/gold
inbound
  gateway.inbound[0] setHeader (gateway): ran
      header x-a = 2 (was 1)
      header x-b removed (was 1)
      limit counts it
  beta setVariable (api, fragment trial): skipped: its condition (when) is false
  closed returnResponse (api): refused
      418 no (return_response, by the policy)
outcome   refused: 418 no (return_response, by the policy)
          by step closed
          x-c: 3
";
        assert_eq!(text(&trace), expected);
    }
}
