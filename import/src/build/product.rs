//! Products that hold an imported API.

use serde_json::{Map, Value, json};

use super::super::entity::{Entity, last};
use super::super::finding::Level;
use super::super::json::Kind;
use super::{Builder, Product, object, texts};

const KNOWN: [&str; 7] = [
    "approvalRequired",
    "description",
    "displayName",
    "state",
    "subscriptionRequired",
    "subscriptionsLimit",
    "terms",
];

impl Product {
    pub(super) fn of(entity: &Entity, name: String) -> Self {
        let subscription_required = entity.flag("subscriptionRequired") != Some(false);
        Self {
            name,
            subscription_required,
            approval_required: subscription_required
                && entity.flag("approvalRequired") == Some(true),
        }
    }
}

impl Builder<'_> {
    pub(super) fn all_products(&mut self) -> Vec<Value> {
        let mut found = Vec::new();
        for entity in self.of("products") {
            let id = entity.name();
            let apis = self.apis_of(id);
            if apis.is_empty() {
                let text = format!("skipped: the product {id} has no WebSocket API");
                self.say(entity.finding(Level::Note, text));
                continue;
            }
            let product = Product::of(entity, self.names.of("Product", id));
            let mut spec = self.product(entity, &product);
            spec.insert("apis".to_owned(), json!(apis));
            if let Some(steps) = self.steps_of_product(id) {
                spec.insert("onHandshake".to_owned(), steps);
            }
            found.push(object("Product", &product.name, Value::Object(spec)));
        }
        found
    }

    fn product(&mut self, entity: &Entity, product: &Product) -> Map<String, Value> {
        let found = entity.leftovers(&KNOWN);
        self.built.findings.extend(found);
        let mut spec = Map::new();
        texts(entity, &["displayName", "description", "terms"], &mut spec);
        // In API Management, a product without a state is not published.
        let published = entity
            .text("state")
            .is_some_and(|s| s.eq_ignore_ascii_case("published"));
        if !published {
            let text = format!(
                "the product {} is not published: here, its keys open nothing until it is",
                entity.name()
            );
            self.say(entity.finding(Level::Note, text));
            spec.insert("state".to_owned(), json!("NotPublished"));
        }
        if !product.subscription_required {
            spec.insert("subscriptionRequired".to_owned(), json!(false));
        }
        if product.approval_required {
            spec.insert("approvalRequired".to_owned(), json!(true));
        }
        let limit = entity.properties.get("subscriptionsLimit");
        if let Some(Kind::Number(limit)) = limit.map(|node| &node.kind)
            && let Ok(limit) = limit.parse::<u32>()
            && product.subscription_required
        {
            spec.insert("subscriptionsLimit".to_owned(), json!(limit));
        }
        spec
    }

    /// The imported APIs of a product, from both types of links.
    pub(super) fn apis_of(&self, product: &str) -> Vec<Value> {
        let links = self.of("products/apis").chain(self.of("products/apilinks"));
        let own = links.filter(|link| link.owner().eq_ignore_ascii_case(product));
        let ids = own.map(|link| link.text("apiId").map_or(link.name(), last).to_lowercase());
        let names = ids.filter_map(|id| self.apis.get(&id));
        names.map(|name| json!({"name": name})).collect()
    }
}
