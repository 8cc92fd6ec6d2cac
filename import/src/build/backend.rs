//! The backend of a WebSocketApi: the URL of the API, or the backend entity that its policy always
//! names.

use serde_json::{Map, Value, json};

use super::super::entity::{Entity, last};
use super::super::finding::Level;
use super::super::json::{Kind, Node};
use super::super::policy::websocket;
use super::Builder;
use super::policies::OwnBackend;

impl Builder<'_> {
    /// The field `backend`, and what the translation of policies must know about it.
    pub(super) fn backend(&mut self, api: &Entity, id: &str) -> (Value, OwnBackend) {
        let url = api.text("serviceUrl").unwrap_or_default().to_owned();
        let Some((id, entity)) = self.backend_of_api(id) else {
            let own = OwnBackend {
                url: Some(url.clone()),
                id: None,
            };
            return (json!({"url": websocket(&url)}), own);
        };
        let text = format!("its policy always names the backend {id}: serviceUrl is left out");
        self.say(api.finding(Level::Note, text));
        let mut backend = Map::new();
        let members = self.members(api, &id, &entity);
        let own = entity.text_of("url").map(websocket);
        let path = match members.first() {
            Some(member) => member["url"].as_str().map(str::to_owned),
            None => own.filter(|url| !url.is_empty()),
        };
        if members.is_empty() {
            backend.insert("url".to_owned(), json!(path));
        } else {
            backend.insert("pool".to_owned(), json!(members));
        }
        let breaker = match rule(&entity) {
            Some(_) => self.circuit_breaker(api, &id, &entity),
            None => self.shared_breaker(api, &id, &entity),
        };
        if let Some(breaker) = breaker {
            backend.insert("circuitBreaker".to_owned(), breaker);
        }
        let own = OwnBackend {
            url: path,
            id: Some(id),
        };
        (Value::Object(backend), own)
    }

    /// Members of a pool, each with the URL of its own entity.
    fn members(&mut self, api: &Entity, id: &str, entity: &Node) -> Vec<Value> {
        let services = entity.get("pool").and_then(|pool| pool.get("services"));
        let mut found = Vec::new();
        for service in services.map(Node::items).unwrap_or_default() {
            let name = last(service.text_of("id").unwrap_or_default()).to_owned();
            let member = self.context.backend(&name).cloned();
            let Some(url) = member.as_ref().and_then(|member| member.text_of("url")) else {
                let text = format!("the backend {name} of the pool {id} is not imported");
                self.say(api.finding(Level::Error, text));
                continue;
            };
            if member
                .as_ref()
                .is_some_and(|member| member.get("credentials").is_some())
            {
                let text =
                    format!("credentials of the backend {name} in the pool {id} are left out");
                self.say(api.finding(Level::Warning, text));
            }
            let mut fields = Map::new();
            fields.insert("name".to_owned(), json!(self.names.of("PoolMember", &name)));
            fields.insert("url".to_owned(), json!(websocket(url)));
            for field in ["weight", "priority"] {
                if let Some(number) = number(service.get(field)) {
                    fields.insert(field.to_owned(), json!(number));
                }
            }
            found.push(Value::Object(fields));
        }
        found
    }

    /// The circuit breaker of a pool, whose members have one each in API Management.
    fn shared_breaker(&mut self, api: &Entity, id: &str, pool: &Node) -> Option<Value> {
        let services = pool.get("pool").and_then(|pool| pool.get("services"));
        let names = services.map(Node::items).unwrap_or_default().iter();
        let names = names.map(|service| last(service.text_of("id").unwrap_or_default()));
        let members: Vec<_> = names
            .filter_map(|name| Some((name.to_owned(), self.context.backend(name)?.clone())))
            .collect();
        let mut rules = members.iter().map(|(_, member)| rule(member).map(settings));
        let first = rules.next().flatten();
        if first.is_some() && rules.all(|other| other == first) {
            let (name, member) = members.into_iter().next()?;
            return self.circuit_breaker(api, &name, &member);
        }
        if members.iter().any(|(_, member)| rule(member).is_some()) {
            let text = format!(
                "the circuit breakers of the members of the pool {id} are left out: here all members have the same \
                 one. Set backend.circuitBreaker"
            );
            self.say(api.finding(Level::Warning, text));
        }
        None
    }

    /// In API Management, failures within a time open the circuit; in Tidegate, consecutive failures do.
    fn circuit_breaker(&mut self, api: &Entity, id: &str, entity: &Node) -> Option<Value> {
        let rule = rule(entity)?;
        let (count, trip) = settings(rule);
        let mut texts = vec![match count {
            Some(_) => "counts failures in a row here, not within an interval",
            None => "is left out: it has no count",
        }];
        if is_busy(rule) {
            texts.push("opens no circuit with 429 here: an answer is no failure of the backend");
        }
        if rule.text_of("tripDuration").is_some() && trip.is_none() {
            texts.push("has a tripDuration that is not translated: the default is used");
        }
        for text in texts {
            let text = format!("the circuit breaker of the backend {id} {text}");
            self.say(api.finding(Level::Warning, text));
        }
        let mut breaker = Map::new();
        breaker.insert("consecutiveFailures".to_owned(), json!(count?));
        if let Some(trip) = trip {
            breaker.insert("tripDuration".to_owned(), json!(trip));
        }
        Some(Value::Object(breaker))
    }
}

/// The rule of a circuit breaker; there is one at most.
fn rule(backend: &Node) -> Option<&Node> {
    backend.get("circuitBreaker")?.get("rules")?.items().first()
}

/// Count and duration of a rule.
fn settings(rule: &Node) -> (Option<u32>, Option<String>) {
    let condition = rule.get("failureCondition");
    let count = number(condition.and_then(|condition| condition.get("count")));
    (count, rule.text_of("tripDuration").and_then(duration))
}

/// Whether 429 opens the circuit.
fn is_busy(rule: &Node) -> bool {
    let condition = rule.get("failureCondition");
    let ranges = condition.and_then(|condition| condition.get("statusCodeRanges"));
    let mut ranges = ranges.map(Node::items).unwrap_or_default().iter();
    ranges.any(|range| {
        let (min, max) = (number(range.get("min")), number(range.get("max")));
        min.is_some_and(|min| min <= 429) && max.is_some_and(|max| max >= 429)
    })
}

fn number(node: Option<&Node>) -> Option<u32> {
    match &node?.kind {
        Kind::Number(number) => number.parse().ok(),
        _ => None,
    }
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
}
