//! APIs of type websocket.

use serde_json::{Map, Value, json};

use super::super::entity::{Entity, last};
use super::super::finding::Level;
use super::super::json::Node;
use super::service::{id_of_api, id_without_revision, is_online};
use super::{Builder, object, texts};

/// Properties that are translated or have no effect on handshakes.
const KNOWN: [&str; 24] = [
    "apiRevision",
    "apiRevisionDescription",
    "apiType",
    "apiVersion",
    "apiVersionDescription",
    "apiVersionSet",
    "apiVersionSetId",
    "contact",
    "description",
    "displayName",
    "format",
    "isCurrent",
    "isOnline",
    "license",
    "path",
    "protocols",
    "provisioningState",
    "serviceUrl",
    "sourceApiId",
    "subscriptionKeyParameterNames",
    "subscriptionRequired",
    "termsOfServiceUrl",
    "type",
    "value",
];

/// What an API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiType {
    WebSocket,
    Other,
    /// The export does not say it.
    Unknown,
}

impl ApiType {
    /// Either of two properties says it.
    pub(super) fn of(entity: &Entity) -> Self {
        let types = ["type", "apiType"].map(|name| entity.text(name).unwrap_or_default());
        let is = |kind: &str| kind.eq_ignore_ascii_case("websocket");
        match types {
            [a, b] if is(a) || is(b) => Self::WebSocket,
            [a, b] if a.starts_with('[') || b.starts_with('[') => Self::Unknown,
            _ => Self::Other,
        }
    }
}

impl Builder<'_> {
    pub(super) fn all_apis(&mut self) -> Vec<Value> {
        let mut found = Vec::new();
        for entity in self.of("apis") {
            let id = id_of_api(entity);
            if !is_online(entity) {
                let name = entity.name();
                let text =
                    format!("skipped: the API {name} is not online: no gateway serves it there");
                self.say(entity.finding(Level::Note, text));
                continue;
            }
            let Some(own) = self.apis.get(&id.to_lowercase()).cloned() else {
                self.skipped(entity);
                continue;
            };
            if let Some((_, revision)) = entity.name().split_once(";rev=")
                && entity.flag("isCurrent") != Some(true)
            {
                let text = format!("skipped: revision {revision} of the API {id} is not current");
                self.say(entity.finding(Level::Note, text));
                continue;
            }
            let spec = self.api(entity, id);
            found.push(object("WebSocketApi", &own, spec));
        }
        self.misplaced_policies();
        found
    }

    /// Whether the API as a whole has policies.
    pub(super) fn has_misplaced_policy(&self, id: &str) -> bool {
        let mut policies = self.of("apis/policies");
        policies.any(|entity| id_without_revision(entity.owner()).eq_ignore_ascii_case(id))
    }

    /// Policies of an API as a whole, which API Management does not allow for WebSocket APIs.
    fn misplaced_policies(&mut self) {
        for entity in self.of("apis/policies") {
            let id = id_without_revision(entity.owner()).to_lowercase();
            if self.apis.contains_key(&id) {
                let text = "refuses with 501 instead: policies of a WebSocket API stand at its operation \
                            onHandshake, and not here";
                self.say(entity.finding(Level::Error, text));
            }
        }
    }

    /// An API of another type, or of an unknown one.
    fn skipped(&mut self, entity: &Entity) {
        let name = entity.name();
        if ApiType::of(entity) == ApiType::Unknown {
            let text = format!(
                "skipped: the type of the API {name} is not known: give its parameter a value"
            );
            self.say(entity.finding(Level::Error, text));
            return;
        }
        let kind = entity.text("type").or(entity.text("apiType"));
        let kind = kind.unwrap_or("http");
        let text = format!("skipped: the API {name} is of type {kind}, not websocket");
        self.say(entity.finding(Level::Note, text));
    }

    fn api(&mut self, entity: &Entity, id: &str) -> Value {
        let found = entity.leftovers(&KNOWN);
        self.built.findings.extend(found);
        let mut spec = Map::new();
        let documentation = ["displayName", "description", "termsOfServiceUrl"];
        texts(entity, &documentation, &mut spec);
        for (name, fields) in [
            ("contact", &["name", "url", "email"][..]),
            ("license", &["name", "url"]),
        ] {
            if let Some(value) = entity.properties.get(name).and_then(|n| pick(n, fields)) {
                spec.insert(name.to_owned(), value);
            }
        }
        spec.insert("gateways".to_owned(), json!(self.gateways_of(id)));
        spec.insert("path".to_owned(), json!(self.path(entity)));
        let (backend, own) = self.backend(entity, id);
        spec.insert("backend".to_owned(), backend);
        if entity.flag("subscriptionRequired") == Some(false) {
            spec.insert("subscriptionRequired".to_owned(), json!(false));
        }
        if let Some(names) = entity.properties.get("subscriptionKeyParameterNames")
            && let Some(names) = pick(names, &["header", "query"])
        {
            spec.insert("subscriptionKey".to_owned(), names);
        }
        self.protocols(entity);
        if let Some(steps) = self.steps_of_api(id, own) {
            spec.insert("onHandshake".to_owned(), steps);
        }
        Value::Object(spec)
    }

    /// The Gateway of all APIs, and the self-hosted gateways that serve this API.
    fn gateways_of(&mut self, id: &str) -> Vec<Value> {
        let mut found = vec![json!({"name": self.gateway})];
        for link in self.of("gateways/apis") {
            if link.name().eq_ignore_ascii_case(id) {
                let name = self.names.of("Gateway", link.owner());
                found.push(json!({"name": name}));
            }
        }
        found
    }

    /// The path, with the version if the version set uses the path.
    fn path(&mut self, entity: &Entity) -> String {
        let path = entity.text("path").unwrap_or_default().trim_matches('/');
        let Some(version) = entity.text("apiVersion").filter(|v| !v.is_empty()) else {
            return format!("/{path}");
        };
        let set = entity.text("apiVersionSetId").map(last).unwrap_or_default();
        let mut sets = self.of("apiversionsets");
        let named = sets.find(|candidate| candidate.name().eq_ignore_ascii_case(set));
        let inline = entity.properties.get("apiVersionSet");
        let scheme = named
            .and_then(|set| set.text("versioningScheme"))
            .or(inline.and_then(|set| set.text_of("versioningScheme")));
        if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("Segment")) {
            return format!("/{path}/{version}");
        }
        let name = entity.name();
        let text = format!(
            "the API {name} has its version {version} not in the path: give each version a path of its own"
        );
        self.say(entity.finding(Level::Error, text));
        format!("/{path}")
    }

    fn protocols(&mut self, entity: &Entity) {
        let Some(node) = entity.properties.get("protocols") else {
            return;
        };
        let schemes: Vec<_> = node.items().iter().filter_map(Node::text).collect();
        if !schemes.is_empty() && !schemes.contains(&"ws") {
            let text = "protocols is left out: the imported Gateway has no certificate. Give it a \
                        listener with protocol WSS and set protocols: [wss]";
            self.say(entity.about(node, Level::Warning, text));
        }
    }
}

/// Texts of an object; `None` if there are none.
fn pick(node: &Node, names: &[&str]) -> Option<Value> {
    let fields = names.iter().filter_map(|name| {
        let text = node.text_of(name).filter(|text| !text.is_empty())?;
        Some(((*name).to_owned(), json!(text)))
    });
    let fields: Map<_, _> = fields.collect();
    (!fields.is_empty()).then_some(Value::Object(fields))
}
