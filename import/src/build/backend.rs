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
            return (json!({"url": url}), own);
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
        if let Some(breaker) = self.circuit_breaker(api, &id, &entity) {
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

    /// In API Management, failures within a time open the circuit; in Tidegate, consecutive failures do.
    fn circuit_breaker(&mut self, api: &Entity, id: &str, entity: &Node) -> Option<Value> {
        let rule = entity
            .get("circuitBreaker")?
            .get("rules")?
            .items()
            .first()?;
        let condition = rule.get("failureCondition");
        let count = number(condition.and_then(|condition| condition.get("count")));
        let trip = rule.text_of("tripDuration").and_then(duration);
        let text = match count {
            Some(_) => format!(
                "the circuit breaker of the backend {id} counts failures in a row here, not within \
                 an interval"
            ),
            None => format!("the circuit breaker of the backend {id} is left out: it has no count"),
        };
        self.say(api.finding(Level::Warning, text));
        let mut breaker = Map::new();
        breaker.insert("consecutiveFailures".to_owned(), json!(count?));
        if let Some(trip) = trip {
            breaker.insert("tripDuration".to_owned(), json!(trip));
        }
        Some(Value::Object(breaker))
    }
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
