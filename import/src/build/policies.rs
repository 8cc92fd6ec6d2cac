//! Policy documents of the service, of products and of operations.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_config::StatusRange;

use super::super::entity::Entity;
use super::super::finding::Level;
use super::super::json::Node;
use super::super::policy::{
    Context, Fragment, Scope, import, own_backend, refusal, retried_statuses,
};
use super::super::service::values_of;
use super::super::steps::SECRET;
use super::Builder;
use super::service::id_without_revision;

/// Properties of a backend that are translated or have no effect on handshakes.
const BACKEND: [&str; 9] = [
    "circuitBreaker",
    "credentials",
    "description",
    "pool",
    "protocol",
    "resourceId",
    "title",
    "type",
    "url",
];

/// The element that chooses a backend.
const CHOOSES: &str = "set-backend-service";

/// The backend of an API.
#[derive(Default)]
pub(super) struct OwnBackend {
    pub(super) url: Option<String>,
    /// ID of the entity that it was built from.
    pub(super) id: Option<String>,
    /// Whether it has `failover`.
    pub(super) fails_over: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn steps_of_service(&mut self) -> Option<Value> {
        let entity = self.of("policies").next()?;
        self.steps(entity, Scope::Global)
    }

    pub(super) fn steps_of_product(&mut self, id: &str) -> Option<Value> {
        let mut policies = self.of("products/policies");
        let entity = policies.find(|entity| entity.owner().eq_ignore_ascii_case(id))?;
        self.steps(entity, Scope::Product)
    }

    /// The policy of its only operation, onHandshake.
    pub(super) fn steps_of_api(&mut self, id: &str, backend: OwnBackend) -> Option<Value> {
        if self.has_misplaced_policy(id) {
            return Some(refusal());
        }
        let entity = self.policy_of_api(id)?;
        self.context.service_url = backend.url;
        self.context.own_backend = backend.id;
        self.context.fails_over = backend.fails_over;
        let steps = self.steps(entity, Scope::Api);
        self.context.service_url = None;
        self.context.own_backend = None;
        self.context.fails_over = false;
        steps
    }

    /// Statuses with which the policy of an API asks again.
    pub(super) fn failover_of_api(&self, id: &str, own: &str) -> Option<Vec<StatusRange>> {
        retried_statuses(self.policy_of_api(id)?.text("value")?, own)
    }

    fn policy_of_api(&self, id: &str) -> Option<&'a Entity> {
        let mut policies = self.of("apis/operations/policies");
        policies.find(|entity| {
            let operation = entity.names.get(1).map_or("", String::as_str);
            let is_own = id_without_revision(entity.owner()).eq_ignore_ascii_case(id);
            is_own && self.is_of_current(entity) && operation.eq_ignore_ascii_case("onHandshake")
        })
    }

    /// Whether a policy belongs to the current revision of its API.
    pub(super) fn is_of_current(&self, policy: &Entity) -> bool {
        let owner = policy.owner();
        let id = id_without_revision(owner).to_lowercase();
        let Some((_, revision)) = owner.split_once(";rev=") else {
            return true;
        };
        self.revisions
            .get(&id)
            .is_some_and(|current| current == revision)
    }

    /// The backend entity that an API always uses. If another document chooses a backend too, the order of
    /// steps decides, and there is none.
    pub(super) fn backend_of_api(&self, id: &str) -> Option<(String, Node)> {
        let entity = self.policy_of_api(id)?;
        let mut others = self
            .of("policies")
            .chain(self.of("products/policies"))
            .chain(self.of("policyfragments"))
            .chain(self.of("policyfragments/policies"));
        let chooses = |other: &Entity| {
            other
                .text("value")
                .is_some_and(|text| text.contains(CHOOSES))
        };
        if others.any(chooses) {
            return None;
        }
        let id = own_backend(entity.text("value")?)?;
        let properties = self.context.backend(&id)?.clone();
        Some((id, properties))
    }

    /// PolicyFragments for the included fragments.
    pub(super) fn all_fragments(&mut self) -> Vec<Value> {
        for entity in self.of("policyfragments") {
            if !self.fragments.has(entity.name()) {
                let text = format!(
                    "skipped: no imported policy includes the fragment {}",
                    entity.name()
                );
                self.say(entity.finding(Level::Note, text));
            }
        }
        let objects = std::mem::take(&mut self.fragments.objects);
        for object in &objects {
            self.needs(object);
        }
        objects
    }

    fn steps(&mut self, entity: &Entity, scope: Scope) -> Option<Value> {
        if self.has_rival(entity) {
            // Which one is in effect is not known.
            return Some(refusal());
        }
        let Some(node) = entity.properties.get("value") else {
            let text = "refuses with 501 instead: it has no policy document";
            self.say(entity.finding(Level::Error, text));
            return Some(refusal());
        };
        let format = entity.text("format").unwrap_or("xml");
        let Some(text) = node.text().filter(|_| !format.ends_with("link")) else {
            let text = "refuses with 501 instead: a policy document that lies elsewhere is not read: import it on its own";
            self.say(entity.about(node, Level::Error, text));
            return Some(refusal());
        };
        if text.starts_with('[') {
            let text = "refuses with 501 instead: the policy document cannot be evaluated: give its parameters values";
            self.say(entity.about(node, Level::Error, text));
            return Some(refusal());
        }
        let (steps, findings) = match import(text, scope, &self.context, &mut self.fragments) {
            Ok((steps, findings)) => (steps, findings),
            Err(finding) => (refusal(), vec![finding]),
        };
        let is_file = entity.place.file.extension().is_some_and(|e| e == "xml");
        for finding in findings {
            let file = &entity.place.file;
            self.say(match is_file {
                true => finding.in_file(file),
                false => finding.within(file, node.line),
            });
        }
        self.needs(&steps);
        Some(steps)
    }

    /// Remembers what steps read.
    fn needs(&mut self, steps: &Value) {
        self.values.extend(values_of(&steps.to_string()));
        self.secrets.extend(secrets_of(steps));
    }

    /// Backends and fragments for the translation of policies.
    pub(super) fn policy_context(&mut self) -> Context {
        let mut context = Context::default();
        for entity in self.of("backends") {
            let left = entity.leftovers(&BACKEND);
            self.built.findings.extend(left);
            let name = entity.name().to_owned();
            context.backends.insert(name, entity.properties.clone());
        }
        let mut fragments = BTreeMap::new();
        let texts = self
            .of("policyfragments")
            .chain(self.of("policyfragments/policies"));
        for entity in texts {
            if let Some(text) = entity.text("value") {
                let file = entity.place.file.clone();
                let line = entity.properties.get("value").map_or(1, |node| node.line);
                let text = text.to_owned();
                fragments.insert(entity.owner().to_owned(), Fragment { text, file, line });
            }
        }
        context.fragments = fragments;
        context
    }
}

/// Keys of the Secret that references below this value name.
fn secrets_of(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) if fields.get("name").is_some_and(|name| name == SECRET) => {
            let key = fields.get("key").and_then(Value::as_str);
            key.map(str::to_owned).into_iter().collect()
        }
        Value::Object(fields) => fields.values().flat_map(secrets_of).collect(),
        Value::Array(items) => items.iter().flat_map(secrets_of).collect(),
        _ => Vec::new(),
    }
}
