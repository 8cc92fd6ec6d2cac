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
    pub(super) fn backend(&mut self, api: &Entity, api_id: &str) -> (Value, OwnBackend) {
        let url = api.text("serviceUrl").unwrap_or_default().to_owned();
        let Some((id, entity)) = self.backend_of_api(api_id) else {
            let own = OwnBackend {
                url: Some(url.clone()),
                ..OwnBackend::default()
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
        let failover = self
            .failover_of_api(api_id, &id)
            .filter(|_| !members.is_empty());
        if members.is_empty() {
            backend.insert("url".to_owned(), json!(path));
        } else {
            backend.insert("pool".to_owned(), json!(members));
        }
        if let Some(statuses) = &failover {
            backend.insert("failover".to_owned(), json!({"statuses": statuses}));
        }
        if let Some(breaker) = self.breaker(api, &id, &entity, failover.is_some()) {
            backend.insert("circuitBreaker".to_owned(), breaker);
        }
        let own = OwnBackend {
            url: path,
            id: Some(id),
            fails_over: failover.is_some(),
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
}

pub(super) fn number(node: Option<&Node>) -> Option<u32> {
    match &node?.kind {
        Kind::Number(number) => number.parse().ok(),
        _ => None,
    }
}
