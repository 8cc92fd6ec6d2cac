//! Named values that the imported policies read.

use serde_json::{Map, Value, json};

use super::super::cel::identifier;
use super::super::entity::Entity;
use super::super::finding::Level;
use super::Builder;

/// Name of the Secret with values that the export does not contain.
const SECRET: &str = "imported-values";
/// Placeholder for a secret value.
const PLACEHOLDER: &str = "replace me";
/// The maximum for a Gateway.
const MAX_VALUES: usize = 64;

impl Builder<'_> {
    /// Named values of the Gateway, and the Secret with those that are secret.
    pub(super) fn named_values(&mut self) -> (Vec<Value>, Option<Value>) {
        let (mut values, mut secrets) = (Vec::new(), Map::new());
        for name in std::mem::take(&mut self.values) {
            let mut entities = self.of("namedvalues");
            let found = entities.find(|entity| is_called(entity, &name));
            if let Some(entity) = found {
                let known = ["displayName", "value", "secret", "keyVault", "tags"];
                let left = entity.leftovers(&known);
                self.built.findings.extend(left);
            }
            let plain = found.filter(|e| e.flag("secret") != Some(true));
            let plain = plain.and_then(|entity| entity.text("value"));
            match plain.filter(|value| !value.starts_with('[')) {
                Some(value) => values.push(json!({"name": name, "value": value})),
                None => {
                    self.missing(found, &name);
                    secrets.insert(name.clone(), json!(PLACEHOLDER));
                    let reference = json!({"name": SECRET, "key": name});
                    values.push(json!({"name": name, "secretKeyRef": reference}));
                }
            }
        }
        self.unread(&values);
        if values.len() > MAX_VALUES {
            let text = format!(
                "{} named values are read, a Gateway takes {MAX_VALUES}",
                values.len()
            );
            if let Some(entity) = self.of("namedvalues").next() {
                self.say(entity.finding(Level::Error, text));
            }
        }
        let secret = (!secrets.is_empty()).then(|| {
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": SECRET},
                "stringData": secrets,
            })
        });
        (values, secret)
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

    fn unread(&mut self, values: &[Value]) {
        for entity in self.of("namedvalues") {
            let is_read = |value: &Value| {
                let name = value["name"].as_str().unwrap_or_default();
                is_called(entity, name)
            };
            if !values.iter().any(is_read) {
                let name = entity.text("displayName").unwrap_or(entity.name());
                let text = format!("skipped: no imported policy reads the named value {name}");
                self.say(entity.finding(Level::Note, text));
            }
        }
    }
}

/// Policies name them by their display names.
fn is_called(entity: &Entity, name: &str) -> bool {
    let names = [entity.text("displayName"), Some(entity.name())];
    let mut names = names.into_iter().flatten();
    names.any(|candidate| identifier(candidate).is_ok_and(|found| found == name))
}
