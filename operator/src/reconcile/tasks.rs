//! From a plan and the status updates to the tasks of the work queue. Pure.

use std::collections::BTreeMap;

use kube::Resource;
use tidegate_api::Subscription;
use tidegate_config::ObjectKey;
use tidegate_plan::Plan;

use crate::objects::ObjectRef;
use crate::snapshot::Snapshot;
use crate::status::{StatusUpdate, unreadable_condition};
use crate::work_queue::{Task, TaskKey};

/// Everything that has to be written besides the configurations. `election` is the Lease of the leader
/// election, which is never deleted, whatever its labels are.
pub(super) fn tasks(
    snapshot: &Snapshot,
    plan: &Plan,
    updates: BTreeMap<ObjectRef, StatusUpdate>,
    election: &ObjectKey,
) -> BTreeMap<TaskKey, Task> {
    let statuses = updates
        .into_iter()
        .map(|(object, update)| (TaskKey::Status(object), Task::Status(Box::new(update))));
    let unreadable = snapshot.unreadable.iter().map(|(object, unreadable)| {
        let condition = Box::new(unreadable_condition(unreadable));
        let key = TaskKey::Status(object.clone());
        (key, Task::Unreadable(unreadable.clone(), condition))
    });
    let stale = snapshot.stale_leases().iter();
    let leases = stale
        .filter(|lease| *lease != election)
        .map(|lease| (TaskKey::Lease(lease.clone()), Task::Lease));
    statuses
        .chain(key_tasks(snapshot, plan))
        .chain(unreadable)
        .chain(leases)
        .collect()
}

fn key_tasks(snapshot: &Snapshot, plan: &Plan) -> impl Iterator<Item = (TaskKey, Task)> {
    plan.key_requests.iter().filter_map(|request| {
        let wanted = &request.subscription;
        let subscriptions = &snapshot.subscriptions;
        let position = subscriptions
            .binary_search_by(|subscription| compare(subscription.as_ref(), wanted))
            .ok()?;
        let key = TaskKey::Keys(request.secret.clone());
        let subscription = subscriptions[position].clone();
        Some((key, Task::Keys(request.clone(), subscription)))
    })
}

/// Subscriptions are sorted by namespace and name.
fn compare(subscription: &Subscription, key: &ObjectKey) -> std::cmp::Ordering {
    let metadata = subscription.meta();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    (namespace, name).cmp(&(&key.namespace, &key.name))
}
