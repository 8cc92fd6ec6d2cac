//! What policies know of the service: the names of its objects here, and its named values.

use super::super::entity::Entity;
use super::super::policy::token_variables;
use super::super::service::{IdOf, Identity, Ids, NamedValue, Renamed, Service};
use super::api::ApiType;
use super::{Builder, Product};

/// Types of documents with policies.
const DOCUMENTS: [&str; 5] = [
    "apis/operations/policies",
    "policies",
    "policyfragments",
    "policyfragments/policies",
    "products/policies",
];

impl Builder<'_> {
    /// Names the objects before any policy is read, because policies compare ids.
    pub(super) fn name_all(&mut self) {
        for entity in self.of("apis") {
            if ApiType::of(entity) == ApiType::WebSocket && is_online(entity) {
                let id = id_of_api(entity);
                let name = self.names.of("WebSocketApi", id);
                self.apis.insert(id.to_lowercase(), name);
                let revision = entity
                    .name()
                    .split_once(";rev=")
                    .map(|(_, revision)| revision);
                let is_current = revision.is_none() || entity.flag("isCurrent") == Some(true);
                if let Some(current) = entity
                    .text("apiRevision")
                    .or(revision)
                    .filter(|_| is_current)
                {
                    self.revisions.insert(id.to_lowercase(), current.to_owned());
                }
            }
        }
        for entity in self.of("products") {
            let id = entity.name();
            if !self.apis_of(id).is_empty() {
                let product = Product::of(entity, self.names.of("Product", id));
                self.products.insert(id.to_lowercase(), product);
            }
        }
        for entity in self.of("subscriptions") {
            self.names.of("Subscription", entity.name());
        }
    }

    pub(super) fn service(&mut self, identity: &Identity) -> Service {
        let values = self.of("namedvalues").map(named_value).collect();
        let service = Service::new(values, self.ids(), identity.clone());
        let documents = DOCUMENTS.iter().flat_map(|kind| self.of(kind));
        for text in documents.filter_map(|entity| entity.text("value")) {
            let names = token_variables(text);
            names.iter().for_each(|name| service.expect_token(name));
        }
        service
    }

    /// What becomes of the ids of all objects.
    fn ids(&mut self) -> Ids {
        let mut ids = Ids::new();
        let mut add = |of: IdOf, id: &str, name: Option<String>| {
            let renamed = name.map_or(Renamed::Never, Renamed::To);
            ids.insert((of, id.to_owned()), renamed);
        };
        for entity in self.of("apis") {
            let id = id_of_api(entity);
            let name = self.apis.get(&id.to_lowercase()).cloned();
            if name.is_some() || ApiType::of(entity) != ApiType::Unknown {
                add(IdOf::Api, id, name);
            }
        }
        for entity in self.of("products") {
            let product = self.products.get(&entity.name().to_lowercase());
            let name = product.map(|product| product.name.clone());
            add(IdOf::Product, entity.name(), name);
        }
        for entity in self.of("subscriptions") {
            let name = self.names.of("Subscription", entity.name());
            add(IdOf::Subscription, entity.name(), Some(name));
        }
        ids
    }
}

/// Whether the gateway serves the API there.
pub(super) fn is_online(api: &Entity) -> bool {
    api.flag("isOnline") != Some(false)
}

/// The name of an API without its revision.
pub(super) fn id_of_api(entity: &Entity) -> &str {
    id_without_revision(entity.name())
}

pub(super) fn id_without_revision(name: &str) -> &str {
    name.split_once(";rev=").map_or(name, |(id, _)| id)
}

/// The name that policies use.
pub(super) fn name_of_value(entity: &Entity) -> &str {
    entity.text("displayName").unwrap_or(entity.name())
}

fn named_value(entity: &Entity) -> (String, NamedValue) {
    let is_plain = entity.flag("secret") != Some(true);
    let text = entity
        .text("value")
        .filter(|value| is_plain && !value.starts_with('['));
    let value = match text {
        Some(text) if is_expression(text) => NamedValue::Expression(text.to_owned()),
        Some(text) => NamedValue::Plain(text.to_owned()),
        None => NamedValue::Unknown,
    };
    (name_of_value(entity).to_owned(), value)
}

fn is_expression(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("@(") || text.starts_with("@{")
}
