//! Manifests with the verdicts of their plan, as a cluster would show them in the status.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use tidegate_api::{Subscription, SubscriptionStatus};
use tidegate_config::ObjectKey;
use tidegate_plan::{Conditions, Plan, Planner, SubscriptionVerdict};

use crate::finding::Finding;
use crate::identity::Identities;
use crate::input::Input;
use crate::keys::KeyStore;
use crate::objects::{Loader, Object, ObjectId, Objects};
use crate::world::world;

/// Manifests that are read again and again.
pub struct Manifests {
    input: Input,
    keys: KeyStore,
    loader: Loader,
    identities: Identities,
    planner: Planner,
    /// What was said about files already.
    said: Vec<Finding>,
}

/// What was read, and its plan.
pub struct Planned {
    /// The objects.
    pub objects: Objects,
    /// What they amount to.
    pub plan: Plan,
}

impl Manifests {
    /// Where they are, and the state directory of `tidegate run`.
    pub fn new(input: Input, state_dir: &Path) -> Self {
        Self {
            input,
            keys: KeyStore::new(state_dir),
            loader: Loader::default(),
            identities: Identities::default(),
            planner: Planner::default(),
            said: Vec::new(),
        }
    }

    /// Reads and plans. No key is generated. What cannot be read or parsed is said on standard error, once, because
    /// it may hold more.
    pub fn read(&mut self) -> Planned {
        let read = self.input.read(&self.keys.files());
        let mut objects = self.loader.load_documents(read.documents, read.findings);
        self.identities.assign(&mut objects, &self.keys);
        let world = world(&objects, Timestamp::now().as_second());
        let plan = self.planner.plan(&world).clone();
        let planned = Planned { objects, plan };
        let unreadable: Vec<_> = planned.unreadable().into_iter().cloned().collect();
        for finding in unreadable.iter().filter(|one| !self.said.contains(one)) {
            eprintln!("{finding}");
        }
        self.said = unreadable;
        planned
    }
}

impl Planned {
    /// The Subscriptions, each with the status that the operator would write as far as it follows from manifests.
    pub fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let each = self.objects.all.iter();
        let each = each.filter_map(|(id, loaded)| match &loaded.object {
            Object::Subscription(found) => Some((&id.key, found)),
            _ => None,
        });
        each.map(|(key, found)| {
            let mut subscription = (**found).clone();
            subscription.metadata.namespace = Some(key.namespace.clone());
            let verdict = self.plan.subscription_verdicts.get(key);
            subscription.status = verdict.map(status);
            Arc::new(subscription)
        })
        .collect()
    }

    /// The Subscription `[NAMESPACE/]NAME`.
    ///
    /// # Errors
    ///
    /// When there is none, or there are several in different namespaces.
    pub fn subscription(&self, name: &str) -> anyhow::Result<Arc<Subscription>> {
        let mut found = self.subscriptions();
        found.retain(|one| is_named(one, name));
        let only = found.pop();
        anyhow::ensure!(
            found.is_empty(),
            "there are several Subscriptions {name}; write NAMESPACE/NAME"
        );
        only.with_context(|| format!("there is no Subscription {name} in the manifests"))
    }

    /// Why files cannot be read or parsed. What is in them is not known.
    pub fn unreadable(&self) -> Vec<&Finding> {
        let findings = self.objects.findings.iter();
        let is_of_file = |finding: &&Finding| {
            finding.object.is_none() && self.objects.unreadable.contains(&finding.file)
        };
        findings.filter(is_of_file).collect()
    }

    /// File and line of a field of a Subscription, or of its document when the field is not there.
    pub fn place(&self, subscription: &Subscription, field: &str) -> (String, u64) {
        let id = ObjectId {
            kind: "Subscription".to_owned(),
            key: key_of(subscription),
        };
        let Some(loaded) = self.objects.all.get(&id) else {
            return (String::new(), 0);
        };
        let found = loaded.document.finding(Some(field), "");
        (found.file.display().to_string(), found.position.line)
    }

    /// A Secret of the manifests or of the state directory.
    pub fn secret(&self, key: &ObjectKey) -> Option<&k8s_openapi::api::core::v1::Secret> {
        let id = ObjectId {
            kind: "Secret".to_owned(),
            key: key.clone(),
        };
        match &self.objects.all.get(&id)?.object {
            Object::Secret(secret) => Some(secret),
            _ => None,
        }
    }
}

/// Namespace and name.
pub fn key_of(subscription: &Subscription) -> ObjectKey {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let metadata = &subscription.metadata;
    ObjectKey::new(text(&metadata.namespace), text(&metadata.name))
}

fn is_named(subscription: &Subscription, name: &str) -> bool {
    let key = key_of(subscription);
    match name.split_once('/') {
        Some((namespace, name)) => key.namespace == namespace && key.name == name,
        None => key.name == name,
    }
}

fn status(verdict: &SubscriptionVerdict) -> SubscriptionStatus {
    SubscriptionStatus {
        observed_generation: Some(verdict.conditions.generation),
        state: Some(verdict.phase),
        keys: Some(verdict.keys.clone()),
        request: verdict.request.clone(),
        approved: verdict.approved.clone(),
        conditions: conditions(&verdict.conditions),
    }
}

/// A verdict as conditions of a status. Manifests have no history: the time of the last change is 1970.
pub fn conditions(verdict: &Conditions) -> Vec<Condition> {
    let condition =
        |(kind, state): (tidegate_api::ConditionType, &tidegate_plan::ConditionState)| {
            let status = if state.status { "True" } else { "False" };
            Condition {
                type_: kind.to_string(),
                status: status.to_owned(),
                reason: state.reason.to_string(),
                message: state.message.clone(),
                observed_generation: Some(verdict.generation),
                last_transition_time: Time(Timestamp::UNIX_EPOCH),
            }
        };
    verdict.each().map(condition).to_vec()
}
