//! The tokens that the pods of each Gateway need: those that its APIs show for a managed identity, and no others.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::steps::AUDIENCE;

/// Lists the audience at each Gateway whose handshakes need a token for it.
pub(super) fn allow_tokens(objects: &mut [Value]) {
    let all = Objects::of(objects);
    let needed = objects.iter().map(|object| all.is_needed_at(object));
    let needed: Vec<_> = needed.collect();
    for (object, is_needed) in objects.iter_mut().zip(needed) {
        if is_needed {
            object["spec"]["deployment"] = json!({"tokenAudiences": [AUDIENCE]});
        }
    }
}

/// The objects with policies.
struct Objects {
    /// Names of fragments that use a token.
    fragments: BTreeSet<String>,
    apis: Vec<Value>,
    products: Vec<Value>,
}

impl Objects {
    fn of(objects: &[Value]) -> Self {
        let of_kind = |kind: &str| {
            let all = objects.iter().filter(|object| object["kind"] == kind);
            all.cloned().collect::<Vec<_>>()
        };
        let mut found = Self {
            fragments: BTreeSet::new(),
            apis: of_kind("WebSocketApi"),
            products: of_kind("Product"),
        };
        let fragments = of_kind("PolicyFragment");
        // Fragments include others, so the set grows until it has all of them.
        loop {
            let using = fragments
                .iter()
                .filter(|fragment| found.uses(&fragment["spec"]));
            let using: BTreeSet<_> = using.filter_map(name).map(str::to_owned).collect();
            if using == found.fragments {
                return found;
            }
            found.fragments = using;
        }
    }

    fn is_needed_at(&self, object: &Value) -> bool {
        let Some(gateway) = name(object).filter(|_| object["kind"] == "Gateway") else {
            return false;
        };
        let apis: Vec<_> = self
            .apis
            .iter()
            .filter(|api| lists(&api["spec"]["gateways"], gateway))
            .collect();
        let is_served = |product: &&Value| {
            let mut names = apis.iter().filter_map(|api| name(api));
            names.any(|api| lists(&product["spec"]["apis"], api))
        };
        let products = self.products.iter().filter(is_served);
        let mut all = apis.iter().copied().chain(products).chain([object]);
        all.any(|object| self.uses(&object["spec"]["onHandshake"]))
    }

    /// Whether steps show a token, or include a fragment that does.
    fn uses(&self, value: &Value) -> bool {
        match value {
            Value::Object(fields) => fields.iter().any(|(field, value)| match field.as_str() {
                "audience" => value == AUDIENCE,
                "includeFragment" => {
                    let included = value["name"].as_str();
                    included.is_some_and(|name| self.fragments.contains(name))
                }
                _ => self.uses(value),
            }),
            Value::Array(items) => items.iter().any(|item| self.uses(item)),
            _ => false,
        }
    }
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

/// Whether a list of references has this name.
fn lists(references: &Value, name: &str) -> bool {
    let references = references.as_array().into_iter().flatten();
    references
        .into_iter()
        .any(|reference| reference["name"] == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str, spec: Value) -> Value {
        json!({"kind": kind, "metadata": {"name": name}, "spec": spec})
    }

    #[test]
    fn only_gateways_whose_handshakes_need_the_token_get_it() {
        let token = json!({"serviceAccountToken": {"audience": AUDIENCE}});
        let including = |name: &str| json!([{"includeFragment": {"name": name}}]);
        let mut objects = [
            object("Gateway", "of-api", json!({})),
            object("Gateway", "of-product", json!({})),
            object("Gateway", "without", json!({})),
            object(
                "PolicyFragment",
                "inner",
                json!({"steps": [{"backendAuth": token}]}),
            ),
            object(
                "PolicyFragment",
                "outer",
                json!({"steps": including("inner")}),
            ),
            object("PolicyFragment", "plain", json!({"steps": []})),
            object(
                "WebSocketApi",
                "a",
                json!({
                    "gateways": [{"name": "of-api"}], "onHandshake": {"inbound": including("outer")},
                }),
            ),
            object(
                "WebSocketApi",
                "b",
                json!({"gateways": [{"name": "of-product"}]}),
            ),
            object(
                "WebSocketApi",
                "c",
                json!({
                    "gateways": [{"name": "without"}], "onHandshake": {"inbound": including("plain")},
                }),
            ),
            object(
                "Product",
                "p",
                json!({
                    "apis": [{"name": "b"}], "onHandshake": {"inbound": [{"backendAuth": token}]},
                }),
            ),
        ];
        allow_tokens(&mut objects);
        let has =
            |object: &&Value| object["spec"]["deployment"]["tokenAudiences"] == json!([AUDIENCE]);
        let found: Vec<_> = objects.iter().filter(has).filter_map(name).collect();
        assert_eq!(found, ["of-api", "of-product"]);
    }
}
