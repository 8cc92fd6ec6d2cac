//! Subscriptions of imported products and APIs.

use serde_json::{Map, Value, json};

use super::super::entity::{Entity, last};
use super::super::finding::Level;
use super::{Builder, object, texts};

/// Dates are informational in API Management.
const KNOWN: [&str; 13] = [
    "allowTracing",
    "createdDate",
    "displayName",
    "endDate",
    "expirationDate",
    "notificationDate",
    "ownerId",
    "primaryKey",
    "scope",
    "secondaryKey",
    "startDate",
    "state",
    "stateComment",
];

/// The minimum length of a key.
const MIN_KEY: usize = 16;

impl Builder<'_> {
    pub(super) fn all_subscriptions(&mut self) -> Vec<Value> {
        let mut found = Vec::new();
        for entity in self.of("subscriptions") {
            let Some((scope, approval)) = self.scope(entity) else {
                continue;
            };
            let left = entity.leftovers(&KNOWN);
            self.built.findings.extend(left);
            let name = self.names.of("Subscription", entity.name());
            let mut spec = Map::new();
            texts(entity, &["displayName"], &mut spec);
            spec.insert("scope".to_owned(), scope);
            if let Some(owner) = entity.text("ownerId").map(last).filter(|o| !o.is_empty()) {
                spec.insert("owner".to_owned(), json!(owner));
            }
            if entity.flag("allowTracing") == Some(true) {
                spec.insert("allowTracing".to_owned(), json!(true));
            }
            self.state(entity, approval, &mut spec);
            let secret = self.keys(entity, &name);
            if let Some(secret) = secret {
                let reference = json!({"secretName": secret["metadata"]["name"]});
                spec.insert("keys".to_owned(), reference);
                found.push(secret);
            }
            found.push(object("Subscription", &name, Value::Object(spec)));
        }
        found
    }

    /// The scope, and whether it needs an approval. `None`, with a finding: nothing it gives access to is imported.
    fn scope(&mut self, entity: &Entity) -> Option<(Value, bool)> {
        let scope = entity.text("scope").unwrap_or_default();
        let lower = scope.to_lowercase();
        let mut parts = lower.trim_end_matches('/').rsplit('/');
        let id = parts.next().unwrap_or_default();
        // What the names of other parts are, such as that of the resource group, says nothing.
        match parts.next().unwrap_or_default() {
            "products" => {
                if let Some(product) = self.products.get(id) {
                    return Some((json!({"product": product.name}), product.approval_required));
                }
            }
            "apis" => {
                if let Some(api) = self.apis.get(id) {
                    return Some((json!({"api": api}), false));
                }
            }
            "workspaces" | "service" => {}
            _ if id == "apis" && !lower.contains("/workspaces/") => {
                return Some((json!({"gateway": self.gateway}), false));
            }
            _ => {}
        }
        let name = entity.name();
        let text =
            format!("skipped: the subscription {name} is for {scope}, which is not imported");
        // An expression that cannot be evaluated could be anything.
        let level = match scope.starts_with('[') {
            true => Level::Error,
            false => Level::Note,
        };
        self.say(entity.finding(level, text));
        None
    }

    fn state(&mut self, entity: &Entity, approval: bool, spec: &mut Map<String, Value>) {
        let state = entity.text("state").unwrap_or("active").to_lowercase();
        let (state, decision) = match state.as_str() {
            "active" => (None, Some("Approved")),
            "suspended" => (Some("Suspended"), Some("Approved")),
            "submitted" if approval => (None, None),
            "rejected" if approval => (None, Some("Rejected")),
            // Expired, and all other states without access.
            _ => (Some("Cancelled"), Some("Approved")),
        };
        if let Some(state) = state {
            spec.insert("state".to_owned(), json!(state));
        }
        if let Some(decision) = decision.filter(|_| approval) {
            spec.insert("approval".to_owned(), json!(decision));
        }
        let date = entity.text("expirationDate").filter(|d| !d.is_empty());
        if let Some(date) = date {
            let text = format!(
                "expirationDate {date} is left out: there it only informs. Set expiresAt to enforce it"
            );
            self.say(entity.finding(Level::Note, text));
        }
    }

    /// A Secret with the keys of the export, if it contains both.
    fn keys(&mut self, entity: &Entity, name: &str) -> Option<Value> {
        let key = |field: &str| entity.text(field).filter(|key| !key.starts_with('['));
        let (Some(primary), Some(secondary)) = (key("primaryKey"), key("secondaryKey")) else {
            let text = format!(
                "the subscription {} gets new keys: the export has none. To keep the old ones, put \
                 them into a Secret and set keys.secretName",
                entity.name()
            );
            self.say(entity.finding(Level::Warning, text));
            return None;
        };
        if primary.len() < MIN_KEY || secondary.len() < MIN_KEY {
            let text = format!("keys with fewer than {MIN_KEY} characters are not imported");
            self.say(entity.finding(Level::Error, text));
            return None;
        }
        Some(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": format!("{name}-imported")},
            "stringData": {"primaryKey": primary, "secondaryKey": secondary},
        }))
    }
}
