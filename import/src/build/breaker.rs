//! Circuit breakers of backend entities.

use serde_json::{Map, Value, json};
use tidegate_config::StatusRange;

use super::super::entity::{Entity, last};
use super::super::finding::Level;
use super::super::json::{Kind, Node};
use super::Builder;
use super::backend::number;

/// Statuses that a circuit breaker here can count.
const COUNTED: std::ops::RangeInclusive<u16> = 400..=599;

/// The most ranges of statuses.
const MAX_RANGES: usize = 16;

/// What a rule becomes, and what of it does not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Breaker {
    count: Option<u32>,
    trip: Option<String>,
    statuses: Vec<StatusRange>,
    left: Vec<&'static str>,
}

impl Breaker {
    fn of(rule: &Node, fails_over: bool) -> Self {
        let condition = rule.get("failureCondition");
        let of = |name: &str| condition.and_then(|condition| condition.get(name));
        let mut found = Self {
            count: number(of("count")),
            trip: rule.text_of("tripDuration").and_then(duration),
            ..Self::default()
        };
        found.left.push(match found.count {
            Some(_) => "counts failures in a row here, not within an interval",
            None => "is left out: it has no count",
        });
        let ranges = of("statusCodeRanges").map(Node::items).unwrap_or_default();
        found.statuses(ranges);
        if of("errorReasons").is_some_and(|reasons| !reasons.is_empty()) {
            found
                .left
                .push("has errorReasons: here each handshake without a valid answer counts");
        }
        if rule.text_of("tripDuration").is_some() && found.trip.is_none() {
            found
                .left
                .push("has a tripDuration that is not translated: the default is used");
        }
        let obeys = rule
            .get("acceptRetryAfter")
            .is_some_and(|node| node.kind == Kind::Bool(true));
        if obeys && !fails_over {
            found.left.push(
                "obeys Retry-After there: here only backend.failover does, for the members of a pool",
            );
        }
        found
    }

    fn statuses(&mut self, ranges: &[Node]) {
        for range in ranges {
            let (min, max) = (status(range.get("min")), status(range.get("max")));
            match (min, max) {
                (Some(first), Some(last))
                    if first <= last && COUNTED.contains(&first) && COUNTED.contains(&last) =>
                {
                    self.statuses.push(StatusRange { first, last });
                }
                _ => self
                    .left
                    .push("has ranges that are empty or not within 400 to 599: they are left out"),
            }
        }
        if self.statuses.len() > MAX_RANGES {
            self.statuses.truncate(MAX_RANGES);
            self.left
                .push("has more than 16 ranges of statuses: the others are left out");
        }
        if self.statuses.is_empty() {
            self.left
                .push("has no statuses that are translated: 500 to 599 count");
        }
    }

    /// The field `circuitBreaker`.
    fn value(&self) -> Option<Value> {
        let mut breaker = Map::new();
        breaker.insert("consecutiveFailures".to_owned(), json!(self.count?));
        if let Some(trip) = &self.trip {
            breaker.insert("tripDuration".to_owned(), json!(trip));
        }
        if !self.statuses.is_empty() {
            breaker.insert("statuses".to_owned(), json!(self.statuses));
        }
        Some(Value::Object(breaker))
    }
}

impl Builder<'_> {
    /// The circuit breaker of a backend, or the one that all members of a pool have.
    pub(super) fn breaker(
        &mut self,
        api: &Entity,
        id: &str,
        backend: &Node,
        fails_over: bool,
    ) -> Option<Value> {
        let own = |backend: &Node| rule(backend).map(|rule| Breaker::of(rule, fails_over));
        if let Some(found) = own(backend) {
            return self.said(api, id, &found);
        }
        let services = backend.get("pool").and_then(|pool| pool.get("services"));
        let names = services.map(Node::items).unwrap_or_default().iter();
        let names = names.map(|service| last(service.text_of("id").unwrap_or_default()));
        let members = names.filter_map(|name| Some((name, self.context.backend(name)?)));
        let rules: Vec<_> = members
            .map(|(name, member)| (name.to_owned(), own(member)))
            .collect();
        let (name, first) = rules.first()?;
        if let Some(found) = first
            && rules.iter().all(|(_, other)| other == first)
        {
            return self.said(api, name, found);
        }
        if rules.iter().any(|(_, rule)| rule.is_some()) {
            let text = format!(
                "the circuit breakers of the members of the pool {id} are left out: here all members have the same \
                 one. Set backend.circuitBreaker"
            );
            self.say(api.finding(Level::Warning, text));
        }
        None
    }

    fn said(&mut self, api: &Entity, id: &str, breaker: &Breaker) -> Option<Value> {
        for text in &breaker.left {
            let text = format!("the circuit breaker of the backend {id} {text}");
            self.say(api.finding(Level::Warning, text));
        }
        breaker.value()
    }
}

/// The rule of a circuit breaker; there is one at most.
fn rule(backend: &Node) -> Option<&Node> {
    backend.get("circuitBreaker")?.get("rules")?.items().first()
}

fn status(node: Option<&Node>) -> Option<u16> {
    number(node).and_then(|number| u16::try_from(number).ok())
}

/// `PT1H30M` (ISO 8601) as `1h30m`. Days and longer units are not supported.
fn duration(text: &str) -> Option<String> {
    let found = text.strip_prefix("PT")?.to_lowercase();
    let is_known = |c: char| c.is_ascii_digit() || "hms".contains(c);
    (!found.is_empty() && found.chars().all(is_known)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        for (given, wanted) in [
            ("PT1M", Some("1m")),
            ("PT1H30M", Some("1h30m")),
            ("P1D", None),
            ("PT", None),
            ("PT1.5S", None),
        ] {
            assert_eq!(duration(given).as_deref(), wanted, "{given}");
        }
    }

    #[test]
    fn a_rule_keeps_its_statuses_and_names_the_rest() {
        for (name, rule, statuses, said) in [
            (
                "statuses",
                json!({"failureCondition": {"count": 3, "statusCodeRanges": [
                    {"min": 429, "max": 429}, {"min": 500, "max": 599},
                ]}}),
                json!([429, "500-599"]),
                "",
            ),
            (
                "others",
                json!({"failureCondition": {"count": 3, "errorReasons": ["Timeout"],
                    "statusCodeRanges": [{"min": 200, "max": 299}]}, "acceptRetryAfter": true}),
                json!(null),
                "not within 400 to 599|no statuses|errorReasons|obeys Retry-After",
            ),
            (
                "a share",
                json!({"failureCondition": {"percentage": 50, "statusCodeRanges": [{"min": 500, "max": 503}]}}),
                json!(null),
                "it has no count",
            ),
        ] {
            let node = Node::parse(&rule.to_string()).unwrap();
            let found = Breaker::of(&node, false);
            let value = found.value().unwrap_or_default();
            assert_eq!(value["statuses"], statuses, "{name}");
            let all = found.left.join("|");
            for text in said.split('|') {
                assert!(all.contains(text), "{name}: {text}: {all}");
            }
        }
    }
}
