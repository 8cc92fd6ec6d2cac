//! What manifests and plan come to, for people: how one reload differs from the one before, and where each API is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::ByteString;
use tidegate_api::{KeysStatus, Subscription, SubscriptionPhase};
use tidegate_config::ObjectKey;
use tidegate_plan::{ApiVerdict, Plan};

use crate::finding::Finding;
use crate::objects::{Loaded, Object, ObjectId, Objects};

/// The objects of one reload.
#[derive(Debug, Default)]
pub struct Summary {
    objects: BTreeMap<ObjectId, State>,
    files: BTreeMap<PathBuf, FileState>,
}

/// How much of a file is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    /// It could not be parsed, at least in part.
    Unreadable,
    /// Something in it is wrong.
    Flawed,
    Right,
}

/// What can change in an object.
#[derive(Clone, Debug)]
struct State {
    object: Object,
    phase: Option<SubscriptionPhase>,
    keys: Option<KeysStatus>,
    /// What is wrong with it, as far as its file could be parsed.
    flaws: BTreeSet<String>,
    /// Its file could not be parsed: it is the last valid version.
    is_unreadable: bool,
}

/// Where clients reach an API, and who has keys for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrls {
    /// The API.
    pub api: ObjectKey,
    /// Its URLs, as the plan has them.
    pub urls: Vec<String>,
    /// Gateways that serve it.
    pub gateways: Vec<ObjectKey>,
    /// How clients get in.
    pub access: Access,
}

/// How clients get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Without a key.
    Open,
    /// With a key of this Subscription, among others.
    KeyOf(ObjectKey),
    /// There is no active Subscription.
    Nobody,
}

impl Summary {
    /// Of these objects and what the plan says about them. Secrets of the key store are left out: their Subscriptions
    /// have the keys.
    pub fn new(
        objects: &Objects,
        plan: &Plan,
        findings: &[Finding],
        is_key: impl Fn(&Loaded) -> bool,
    ) -> Self {
        let flaws = |loaded: &Loaded| {
            let name = loaded.document.object();
            let of_it =
                |found: &&Finding| !found.is_warning && found.object.as_ref() == Some(&name);
            let of_it = findings.iter().filter(of_it);
            of_it
                .map(|found| format!("{:?} {}", found.field, found.message))
                .collect()
        };
        let mut summary = Self {
            objects: BTreeMap::new(),
            files: files(objects, findings),
        };
        for (id, loaded) in objects.all.iter().filter(|(_, loaded)| !is_key(loaded)) {
            let verdict = plan.subscription_verdicts.get(&id.key);
            let verdict = verdict.filter(|_| id.kind == "Subscription");
            let state = State {
                object: loaded.object.clone(),
                phase: verdict.map(|verdict| verdict.phase),
                keys: verdict.map(|verdict| verdict.keys.clone()),
                flaws: flaws(loaded),
                is_unreadable: objects.unreadable.contains(&loaded.document.file),
            };
            summary.objects.insert(id.clone(), state);
        }
        summary
    }

    /// What is different after it, one phrase for each object: `Subscription globex suspended`.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (id, state) in &after.objects {
            let what = match self.objects.get(id) {
                None => Some("added"),
                Some(before) => before.change(state),
            };
            changes.extend(what.map(|what| format!("{} {what}", name(id))));
        }
        let gone = self.objects.keys();
        let gone = gone.filter(|id| !after.objects.contains_key(id));
        changes.extend(gone.map(|id| format!("{} removed", name(id))));
        let files = after.files.iter();
        changes.extend(files.filter_map(|(file, state)| self.repaired(file, *state)));
        changes
    }

    /// `shop/chat.yaml repaired`, if the file could not be parsed before.
    fn repaired(&self, file: &Path, after: FileState) -> Option<String> {
        let before = self.files.get(file)?;
        let how_far = match (before, after) {
            (FileState::Unreadable, FileState::Right) => "repaired",
            (FileState::Unreadable, FileState::Flawed) => "repaired in part",
            _ => return None,
        };
        Some(format!("{} {how_far}", file.display()))
    }
}

impl State {
    fn change(&self, after: &Self) -> Option<&'static str> {
        let is_better = self.flaws.len() > after.flaws.len() && after.flaws.is_subset(&self.flaws);
        if is_better && !after.is_unreadable {
            let all = after.flaws.is_empty();
            return Some(if all { "repaired" } else { "repaired in part" });
        }
        if self.phase != after.phase {
            return after.phase.map(phase);
        }
        if let Some(keys) = keys(self.keys.as_ref(), after.keys.as_ref()) {
            return Some(keys);
        }
        (!is_same(&self.object, &after.object)).then_some("changed")
    }
}

/// The files that have objects or findings.
fn files(objects: &Objects, findings: &[Finding]) -> BTreeMap<PathBuf, FileState> {
    let loaded = objects.all.values();
    let right = loaded.map(|loaded| (&loaded.document.file, FileState::Right));
    let flawed = findings.iter().filter(|finding| !finding.is_warning);
    let flawed = flawed.map(|finding| (&finding.file, FileState::Flawed));
    let unreadable = objects.unreadable.iter();
    let unreadable = unreadable.map(|file| (file, FileState::Unreadable));
    // The last one of a file stays.
    let all = right.chain(flawed).chain(unreadable);
    all.map(|(file, state)| (file.clone(), state)).collect()
}

/// Kind and name, with the namespace unless it is `default`.
fn name(id: &ObjectId) -> String {
    format!("{} {}", id.kind, short(&id.key))
}

/// `NAME` in the namespace `default`, otherwise `NAMESPACE/NAME`.
pub fn short(key: &ObjectKey) -> String {
    match key.namespace.as_str() {
        "" | "default" => key.name.clone(),
        _ => key.to_string(),
    }
}

const fn phase(phase: SubscriptionPhase) -> &'static str {
    match phase {
        SubscriptionPhase::Submitted => "waits for approval",
        SubscriptionPhase::Active => "active",
        SubscriptionPhase::Suspended => "suspended",
        SubscriptionPhase::Rejected => "rejected",
        SubscriptionPhase::Cancelled => "cancelled",
        SubscriptionPhase::Expired => "expired",
    }
}

/// Which keys are others than before.
fn keys(before: Option<&KeysStatus>, after: Option<&KeysStatus>) -> Option<&'static str> {
    let (before, after) = (before?, after?);
    let hash =
        |key: &Option<tidegate_api::KeyStatus>| key.as_ref().map(|key| key.hash_prefix.clone());
    let primary = hash(&before.primary) != hash(&after.primary);
    let secondary = hash(&before.secondary) != hash(&after.secondary);
    match (primary, secondary) {
        (true, true) => Some("has other keys"),
        (true, false) => Some("has another primary key"),
        (false, true) => Some("has another secondary key"),
        (false, false) => None,
    }
}

fn is_same(before: &Object, after: &Object) -> bool {
    match (before, after) {
        (Object::Gateway(a), Object::Gateway(b)) => a.spec == b.spec,
        (Object::WebSocketApi(a), Object::WebSocketApi(b)) => a.spec == b.spec,
        (Object::Product(a), Object::Product(b)) => a.spec == b.spec,
        (Object::PolicyFragment(a), Object::PolicyFragment(b)) => a.spec == b.spec,
        (Object::Subscription(a), Object::Subscription(b)) => a.spec == b.spec,
        (Object::Secret(a), Object::Secret(b)) => bytes(a.data.as_ref()) == bytes(b.data.as_ref()),
        (Object::ConfigMap(a), Object::ConfigMap(b)) => {
            a.data == b.data && bytes(a.binary_data.as_ref()) == bytes(b.binary_data.as_ref())
        }
        (Object::Namespace(a), Object::Namespace(b)) => a == b,
        _ => false,
    }
}

fn bytes(data: Option<&BTreeMap<String, ByteString>>) -> Vec<(&String, &ByteString)> {
    data.into_iter().flatten().collect()
}

/// Every API that a Gateway serves.
pub fn api_urls(objects: &Objects, plan: &Plan) -> Vec<ApiUrls> {
    let served = plan.api_verdicts.iter();
    let served = served.filter(|(_, verdict)| !verdict.gateways.is_empty());
    served
        .map(|(api, verdict)| ApiUrls {
            api: api.clone(),
            urls: verdict.urls.clone(),
            gateways: verdict
                .gateways
                .iter()
                .map(|on| on.gateway.clone())
                .collect(),
            access: access(api, verdict, objects, plan),
        })
        .collect()
}

fn access(api: &ObjectKey, verdict: &ApiVerdict, objects: &Objects, plan: &Plan) -> Access {
    let id = ObjectId {
        kind: "WebSocketApi".to_owned(),
        key: api.clone(),
    };
    let is_open = match objects.all.get(&id).map(|loaded| &loaded.object) {
        Some(Object::WebSocketApi(found)) => !found.spec.subscription_required,
        _ => false,
    };
    let mut products = verdict.products.iter();
    if is_open || products.any(|name| is_open_product(&api.namespace, name, objects)) {
        return Access::Open;
    }
    let mut active = objects
        .all
        .iter()
        .filter_map(|(id, loaded)| match &loaded.object {
            Object::Subscription(subscription) => {
                let found = plan.subscription_verdicts.get(&id.key)?;
                let is_active = found.phase == SubscriptionPhase::Active;
                is_active.then_some((&id.key, subscription))
            }
            _ => None,
        });
    let found = active.find(|(key, subscription)| opens(key, subscription, api, verdict));
    found.map_or(Access::Nobody, |(key, _)| Access::KeyOf(key.clone()))
}

fn is_open_product(namespace: &str, name: &str, objects: &Objects) -> bool {
    let id = ObjectId {
        kind: "Product".to_owned(),
        key: ObjectKey::new(namespace, name),
    };
    match objects.all.get(&id).map(|loaded| &loaded.object) {
        Some(Object::Product(found)) => !found.spec.subscription_required,
        _ => false,
    }
}

fn opens(
    key: &ObjectKey,
    subscription: &Arc<Subscription>,
    api: &ObjectKey,
    verdict: &ApiVerdict,
) -> bool {
    let scope = &subscription.spec.scope;
    let sibling = |name: &String| ObjectKey::new(&key.namespace, name);
    let of_api = scope.api.as_ref().map(sibling).as_ref() == Some(api);
    let gateway = scope.gateway.as_ref().map(sibling);
    let of_gateway = verdict
        .gateways
        .iter()
        .any(|on| Some(&on.gateway) == gateway.as_ref());
    let product = scope
        .product
        .as_ref()
        .filter(|_| key.namespace == api.namespace);
    let of_product = product.is_some_and(|product| verdict.products.contains(product));
    of_api || of_gateway || of_product
}

#[cfg(test)]
mod tests;
