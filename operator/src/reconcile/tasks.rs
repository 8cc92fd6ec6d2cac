//! From the statuses and key requests of a pass to the tasks of the work queue. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_config::ObjectKey;
use tidegate_plan::{Plan, World};

use crate::objects::{CustomKind, ObjectRef};
use crate::snapshot::Snapshot;
use crate::status::{StatusInputs, unreadable_condition};
use crate::work_queue::{Task, TaskKey};

/// What a pass looks at.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Objects whose status may have to be written.
    pub(super) objects: BTreeSet<ObjectRef>,
    /// Whether other keys are to be generated than before.
    pub(super) keys: bool,
    /// Whether other SubscriptionRequests are to be made or deleted.
    pub(super) requests: bool,
}

impl Look {
    /// Is this a task about what the pass looks at?
    pub(super) fn covers(&self, key: &TaskKey) -> bool {
        match key {
            TaskKey::Status(object) => self.objects.contains(object),
            TaskKey::Keys(_) => self.keys,
            TaskKey::Request(_) => self.requests,
            TaskKey::Lease(_) => true,
        }
    }

    /// Looks at these tasks again, which failed.
    pub(super) fn again(&mut self, failed: BTreeSet<TaskKey>, plan: &Plan) {
        for key in failed {
            match key {
                TaskKey::Status(object) => drop(self.objects.insert(object)),
                TaskKey::Keys(secret) => {
                    self.keys = true;
                    // Its status says that the keys failed.
                    let mut requests = plan.key_requests.iter();
                    let request = requests.find(|request| request.secret == secret);
                    let kind = crate::objects::CustomKind::Subscription;
                    let subscription = request.map(|it| ObjectRef::new(kind, &it.subscription));
                    self.objects.extend(subscription);
                }
                TaskKey::Request(_) => self.requests = true,
                TaskKey::Lease(_) => {}
            }
        }
    }
}

/// Everything that has to be written of what a pass looks at, besides the configurations. `election` is the Lease of
/// the leader election, which is never deleted, whatever its labels are; `namespaces`, those that are watched, empty
/// for all.
pub(super) fn tasks(
    look: &Look,
    inputs: &StatusInputs<'_>,
    (election, namespaces): (&ObjectKey, &[String]),
) -> BTreeMap<TaskKey, Task> {
    let statuses = look.objects.iter().filter_map(|object| {
        let task = Task::Status(Box::new(inputs.update(object)?));
        Some((TaskKey::Status(object.clone()), task))
    });
    let mut tasks: BTreeMap<_, _> = statuses.collect();
    if look.keys {
        tasks.extend(key_tasks(inputs.plan, inputs.world));
    }
    if look.requests {
        tasks.extend(request_tasks(inputs, namespaces));
    }
    tasks.extend(unreadable_tasks(inputs.snapshot));
    let stale = inputs.snapshot.stale_leases().iter();
    let leases = stale.filter(|lease| *lease != election);
    tasks.extend(leases.map(|lease| (TaskKey::Lease(lease.clone()), Task::Lease)));
    tasks
}

/// The verdict on these objects is about an earlier version: their status only says that the latest one cannot be
/// read.
fn unreadable_tasks(snapshot: &Snapshot) -> impl Iterator<Item = (TaskKey, Task)> {
    snapshot.unreadable.iter().map(|(object, unreadable)| {
        let condition = Box::new(unreadable_condition(unreadable));
        let key = TaskKey::Status(object.clone());
        (key, Task::Unreadable(unreadable.clone(), condition))
    })
}

fn key_tasks(plan: &Plan, world: &World) -> impl Iterator<Item = (TaskKey, Task)> {
    plan.key_requests.iter().filter_map(|request| {
        let subscription = world.subscriptions.get(&request.subscription)?;
        let key = TaskKey::Keys(request.secret.clone());
        Some((key, Task::Keys(request.clone(), subscription.clone())))
    })
}

/// SubscriptionRequests to make and to delete. A decision is not deleted while it is not known whether the
/// Subscription is gone. A name that is taken has to become free first.
fn request_tasks(
    inputs: &StatusInputs<'_>,
    namespaces: &[String],
) -> impl Iterator<Item = (TaskKey, Task)> {
    let StatusInputs {
        plan,
        world,
        snapshot,
        ..
    } = inputs;
    let outdated = plan.outdated_requests.iter().filter_map(|key| {
        let request = world.requests.get(key)?;
        let asking = &request.spec.subscription;
        let subscription = ObjectKey::new(&asking.namespace, &asking.name);
        let task = Task::OutdatedRequest(request.metadata.uid.clone()?);
        let is_watched = namespaces.is_empty() || namespaces.contains(&subscription.namespace);
        let subscription = ObjectRef::new(CustomKind::Subscription, &subscription);
        let is_known = is_watched && snapshot.can_read(&subscription);
        is_known.then_some((TaskKey::Request(key.clone()), task))
    });
    let new = plan.new_requests.iter();
    let new = new.map(|(key, spec)| {
        let task = Task::NewRequest(Box::new(spec.clone()));
        (TaskKey::Request(key.clone()), task)
    });
    new.chain(outdated)
}
