//! Named values that the imported policies read.

use serde_json::{Map, Value, json};

use super::super::cel::REGION;
use super::super::entity::Entity;
use super::super::finding::Level;
use super::super::steps::SECRET;
use super::Builder;
use super::service::name_of_value;

/// Placeholder for a secret value.
const PLACEHOLDER: &str = "replace me";
/// The maximum for a Gateway.
const MAX_VALUES: usize = 64;

impl Builder<'_> {
    /// Named values of the Gateway, and the Secret with those that are secret.
    pub(super) fn named_values(&mut self) -> (Vec<Value>, Option<Value>) {
        let secrets = std::mem::take(&mut self.secrets);
        let placeholder = |name| (name, json!(PLACEHOLDER));
        let mut secrets: Map<_, _> = secrets.into_iter().map(placeholder).collect();
        let mut values = Vec::new();
        for name in std::mem::take(&mut self.values) {
            let found = self
                .of("namedvalues")
                .find(|entity| self.is_called(entity, &name));
            values.push(match self.plain_value(found, &name) {
                Some(value) => json!({"name": name, "value": value}),
                None => {
                    self.missing(found, &name);
                    secrets.insert(name.clone(), json!(PLACEHOLDER));
                    json!({"name": name, "secretKeyRef": {"name": SECRET, "key": name}})
                }
            });
        }
        self.unread();
        self.too_many(values.len());
        (values, secret(secrets))
    }

    /// A value that is in the export and not secret.
    fn plain_value(&mut self, entity: Option<&Entity>, name: &str) -> Option<String> {
        let Some(entity) = entity else {
            return (name == REGION).then(|| PLACEHOLDER.to_owned());
        };
        let known = ["displayName", "value", "secret", "keyVault", "tags"];
        let left = entity.leftovers(&known);
        self.built.findings.extend(left);
        let text = entity.text("value").filter(|value| !value.starts_with('['));
        let text = text.filter(|_| entity.flag("secret") != Some(true));
        text.map(str::to_owned)
    }

    /// The region of a self-hosted gateway is the name of its location.
    pub(super) fn locate(&mut self, gateway: &Entity, spec: &mut Map<String, Value>) {
        let location = gateway.properties.get("locationData");
        let name = location.and_then(|location| location.text_of("name"));
        let values = spec.get_mut("values").and_then(Value::as_array_mut);
        let (Some(name), Some(values)) = (name, values) else {
            return;
        };
        for value in values.iter_mut().filter(|value| value["name"] == REGION) {
            value["value"] = json!(name);
        }
    }

    fn too_many(&mut self, count: usize) {
        let first = self.of("namedvalues").next();
        if let Some(entity) = first.filter(|_| count > MAX_VALUES) {
            let text = format!("{count} named values are read, a Gateway takes {MAX_VALUES}");
            self.say(entity.finding(Level::Error, text));
        }
    }

    fn missing(&mut self, entity: Option<&Entity>, name: &str) {
        let text = format!(
            "add the named value {name} to the Secret {SECRET}: its value is not in the export"
        );
        let entity = entity.or_else(|| self.all.first());
        if let Some(entity) = entity {
            self.say(entity.finding(Level::Error, text));
        }
    }

    fn unread(&mut self) {
        for entity in self.of("namedvalues") {
            let name = name_of_value(entity);
            if !self.context.service.is_read(name) {
                let text = format!("skipped: no imported policy reads the named value {name}");
                self.say(entity.finding(Level::Note, text));
            }
        }
    }

    /// Whether an expression reads the named value under this name.
    fn is_called(&self, entity: &Entity, name: &str) -> bool {
        let service = &self.context.service;
        let own = name_of_value(entity);
        service.is_read(own) && service.value(own).is_ok_and(|found| found == name)
    }
}

/// The Secret of what has to be added.
fn secret(data: Map<String, Value>) -> Option<Value> {
    (!data.is_empty()).then(|| {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET},
            "stringData": data,
        })
    })
}
