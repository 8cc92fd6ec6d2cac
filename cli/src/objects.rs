//! Documents as typed objects. They are checked as the API server would; a broken one keeps its last valid version.

mod core_kinds;
mod near_miss;
mod quotes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_api::{
    Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest, Validator, WebSocketApi,
};
use tidegate_config::ObjectKey;

use crate::finding::Finding;
use crate::manifest::{self, Document};

pub(crate) use near_miss::{CORE_KINDS, KINDS};

/// Kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId {
    /// The kind.
    pub kind: String,
    /// Namespace (empty for a Namespace) and name.
    pub key: ObjectKey,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// An object of a kind that Tidegate reads.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is its kind")]
pub enum Object {
    Gateway(Arc<Gateway>),
    WebSocketApi(Arc<WebSocketApi>),
    Product(Arc<Product>),
    PolicyFragment(Arc<PolicyFragment>),
    Subscription(Arc<Subscription>),
    SubscriptionRequest(Arc<SubscriptionRequest>),
    Secret(Arc<Secret>),
    ConfigMap(Arc<ConfigMap>),
    Namespace(BTreeMap<String, String>),
}

/// An object and its document.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The object.
    pub object: Object,
    /// The document that it was read from.
    pub document: Document,
}

/// All objects of some files.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The objects; for a broken object, its last valid version.
    pub all: BTreeMap<ObjectId, Loaded>,
    /// What is wrong with the files.
    pub findings: Vec<Finding>,
    /// Files that could not be read or parsed, at least in part. Their objects are the last valid versions.
    pub unreadable: BTreeSet<PathBuf>,
    /// Objects that are not valid as they are in the files.
    pub broken: BTreeSet<ObjectId>,
    /// How many documents there are of each kind that Tidegate does not read, as `apiVersion` and `kind`.
    pub skipped: BTreeMap<(String, String), usize>,
}

/// Reads files repeatedly, and remembers the last valid version of each object.
pub struct Loader {
    validator: Validator,
    last: BTreeMap<ObjectId, Loaded>,
}

impl Default for Loader {
    fn default() -> Self {
        Self {
            validator: Validator::new(),
            last: BTreeMap::new(),
        }
    }
}

impl Loader {
    /// Reads files. A broken object keeps its last valid version. When a document of a file cannot be parsed,
    /// all objects of that file do, because it is unknown which object it was. So do all objects below a directory
    /// that cannot be listed.
    pub fn load(&mut self, files: &[PathBuf]) -> Objects {
        let (documents, findings) = manifest::read(files);
        self.load_documents(documents, findings)
    }

    /// The same for documents that were read already; `findings` name the files that could not be parsed.
    pub fn load_documents(&mut self, documents: Vec<Document>, findings: Vec<Finding>) -> Objects {
        let unreadable = findings.iter().map(|finding| finding.file.clone());
        let mut objects = Objects {
            unreadable: unreadable.collect(),
            findings,
            ..Objects::default()
        };
        for document in documents {
            self.add(document, &mut objects);
        }
        for (id, loaded) in &self.last {
            let is_unread = |path: &PathBuf| loaded.document.file.starts_with(path);
            if objects.unreadable.iter().any(is_unread) && !objects.all.contains_key(id) {
                objects.all.insert(id.clone(), loaded.clone());
            }
        }
        self.last = objects.all.clone();
        objects
    }

    fn add(&self, document: Document, objects: &mut Objects) {
        let Some(id) = identify(&document, &self.validator) else {
            skip(&document, objects);
            return;
        };
        let Some(document) = self.only(document, &id, objects) else {
            return;
        };
        match self.read(&id, &document) {
            Ok(object) => {
                let object = self.numbered(&id, object);
                objects.all.insert(id, Loaded { object, document });
            }
            Err(findings) => {
                objects.findings.extend(findings);
                objects.broken.insert(id.clone());
                if let Some(last) = self.last.get(&id) {
                    objects.all.insert(id, last.clone());
                }
            }
        }
    }

    /// The document, if no other one defines the object. Of two, the one that was served stays: who adds another
    /// file changes nothing that works.
    fn only(&self, document: Document, id: &ObjectId, objects: &mut Objects) -> Option<Document> {
        let Some(other) = objects.all.get(id).map(|loaded| &loaded.document) else {
            return Some(document);
        };
        let last = self.last.get(id).map(|last| &last.document.file);
        let was_served = last == Some(&document.file) && last != Some(&other.file);
        let (stays, refused) = match was_served {
            true => (&document, other),
            false => (other, &document),
        };
        let place = format!("{}:{}", stays.file.display(), stays.line);
        let message = format!("is already defined at {place}; remove one of the two");
        objects.findings.push(refused.finding(None, message));
        was_served.then_some(document)
    }

    fn read(&self, id: &ObjectId, document: &Document) -> Result<Object, Vec<Finding>> {
        let found = self.check(id, document);
        if !found.is_empty() {
            return Err(found);
        }
        let mut value = self.validator.defaulted(&document.value);
        value["metadata"]["namespace"] = id.key.namespace.clone().into();
        let read = match id.kind.as_str() {
            "Gateway" => typed(value).map(Object::Gateway),
            "WebSocketApi" => typed(value).map(Object::WebSocketApi),
            "Product" => typed(value).map(Object::Product),
            "PolicyFragment" => typed(value).map(Object::PolicyFragment),
            "Subscription" => typed(value).map(Object::Subscription),
            "SubscriptionRequest" => typed(value).map(Object::SubscriptionRequest),
            "Secret" => typed(value).map(|secret| Object::Secret(with_string_data(secret))),
            "ConfigMap" => typed(value).map(Object::ConfigMap),
            _ => typed::<Namespace>(value).map(|found| Object::Namespace(found.labels().clone())),
        };
        read.map_err(|error| vec![document.finding(None, error.to_string())])
    }

    /// All that the API server would object to.
    fn check(&self, id: &ObjectId, document: &Document) -> Vec<Finding> {
        let value = &document.value;
        let is_ours = self.validator.is_ours(value);
        let (found, mut findings) = if is_ours {
            let before = self.last.get(id).map(|last| &last.document.value);
            let found = self.validator.validate_change(value, before);
            (found, Vec::new())
        } else {
            (
                Validator::validate_metadata(value),
                core_kinds::findings(document),
            )
        };
        findings.extend(quotes::surprises(document));
        let finding = |f: tidegate_api::Finding| match document.positions.plain(&f.path) {
            Some(plain) if f.wants_text => quotes::finding(document, &f.path, plain),
            _ => document.finding(Some(&f.path), f.message),
        };
        findings.extend(found.into_iter().map(finding));
        findings
    }

    /// Sets metadata.generation, which counts the versions of a spec: files do not have it.
    fn numbered(&self, id: &ObjectId, mut object: Object) -> Object {
        let last = self.last.get(id).map(|loaded| &loaded.object);
        macro_rules! number {
            ($object:ident, $variant:ident) => {{
                let generation = match last {
                    Some(Object::$variant(last)) => {
                        let generation = last.metadata.generation.unwrap_or(1);
                        generation + i64::from(last.spec != $object.spec)
                    }
                    _ => 1,
                };
                Arc::make_mut($object).metadata.generation = Some(generation);
            }};
        }
        match &mut object {
            Object::Gateway(object) => number!(object, Gateway),
            Object::WebSocketApi(object) => number!(object, WebSocketApi),
            Object::Product(object) => number!(object, Product),
            Object::PolicyFragment(object) => number!(object, PolicyFragment),
            Object::Subscription(object) => number!(object, Subscription),
            Object::SubscriptionRequest(object) => number!(object, SubscriptionRequest),
            Object::Secret(_) | Object::ConfigMap(_) | Object::Namespace(_) => {}
        }
        object
    }
}

/// `None` for kinds that Tidegate does not read: a directory may hold the manifests of a whole application.
fn identify(document: &Document, validator: &Validator) -> Option<ObjectId> {
    let is_core = document.api_version() == "v1"
        && matches!(document.kind(), "Secret" | "ConfigMap" | "Namespace");
    if !is_core && !validator.is_ours(&document.value) {
        return None;
    }
    let namespace = if document.kind() == "Namespace" {
        ""
    } else {
        document.namespace()
    };
    let key = ObjectKey::new(namespace, document.name());
    Some(ObjectId {
        kind: document.kind().to_owned(),
        key,
    })
}

/// Counts a document that is not read, and says so if it was probably meant to be.
fn skip(document: &Document, objects: &mut Objects) {
    if let Some((field, message)) = near_miss::near_miss(document) {
        objects.findings.push(Finding {
            is_warning: true,
            ..document.finding(Some(field), message)
        });
    }
    let kind = (
        document.api_version().to_owned(),
        document.kind().to_owned(),
    );
    *objects.skipped.entry(kind).or_default() += 1;
}

fn typed<K: DeserializeOwned>(value: Value) -> Result<Arc<K>, serde_json::Error> {
    serde_json::from_value(value).map(Arc::new)
}

/// As the API server does it: stringData goes into data and wins.
fn with_string_data(mut secret: Arc<Secret>) -> Arc<Secret> {
    let inner = Arc::make_mut(&mut secret);
    let texts = inner.string_data.take().unwrap_or_default();
    let data = inner.data.get_or_insert_default();
    data.extend(
        texts
            .into_iter()
            .map(|(key, text)| (key, ByteString(text.into_bytes()))),
    );
    secret
}
