//! What is published for a Gateway. Pure: no client, no clock of its own.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tidegate_config::{ChangedConfig, ConfigIndex, GatewayConfig, SecretData};
use tidegate_plan::{GatewayPlan, Previous};
use tokio::time::Instant;

use super::History;
use super::changed_objects::{all_objects, changed_objects, named_objects};
use crate::objects::{ObjectRef, OwnedKey};

/// The configuration of one Gateway as it is in the cluster.
#[derive(Debug)]
pub(crate) struct Published {
    /// What the planner may fall back to.
    pub(crate) previous: Arc<Previous>,
    /// The index of this revision.
    pub(crate) index: ConfigIndex,
    pub(crate) history: History,
    /// Parts that this revision no longer names.
    pub(crate) retired: BTreeMap<OwnedKey, Retired>,
    /// What an earlier leader published, until this one has compared it with its plan.
    read_back: Option<Box<(GatewayConfig, SecretData)>>,
}

/// Since when a part is no longer named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retired {
    /// The first revision without it.
    pub(crate) revision: u64,
    pub(crate) since: Instant,
}

impl Published {
    /// What was read back from the cluster. Nothing is known of the revisions before it.
    pub(crate) fn read_back(
        (config, secret_data): (GatewayConfig, SecretData),
        index: ConfigIndex,
    ) -> Self {
        Self {
            previous: Arc::new(Previous::of(&config, Arc::new(secret_data.clone()))),
            history: History::starting_at(index.revision),
            index,
            retired: BTreeMap::new(),
            read_back: Some(Box::new((config, secret_data))),
        }
    }

    /// What is published once `index` is written, and what of it is new. `changed`: since `before`.
    pub(super) fn next(
        plan: &GatewayPlan,
        index: ConfigIndex,
        (before, changed): (Option<Self>, &ChangedConfig),
        now: Instant,
    ) -> Self {
        let revision = index.revision;
        let Some(before) = before else {
            let mut history = History::starting_at(revision);
            history.record(revision, all_objects(&plan.config), now);
            return Self {
                previous: previous(plan),
                index,
                history,
                retired: BTreeMap::new(),
                read_back: None,
            };
        };
        let objects = before.changed_objects(plan, changed);
        let concerns_planner = before.read_back.is_some() || concerns_planner(changed);
        let mut history = before.history;
        history.record(revision, objects, now);
        Self {
            previous: match concerns_planner {
                true => previous(plan),
                false => before.previous,
            },
            index,
            history,
            retired: before.retired,
            read_back: None,
        }
    }

    /// What was read back.
    #[cfg(test)]
    pub(super) fn content(&self) -> Option<&(GatewayConfig, SecretData)> {
        self.read_back.as_deref()
    }

    fn changed_objects(&self, plan: &GatewayPlan, changed: &ChangedConfig) -> HashSet<ObjectRef> {
        match self.read_back.as_deref() {
            Some((config, secret_data)) => {
                changed_objects((config, secret_data), (&plan.config, &plan.secret_data))
            }
            None => named_objects(&plan.config.settings.key, changed),
        }
    }

    /// The plan renders to the same parts: from now on its objects are used, and what was read back is not needed.
    pub(super) fn adopt(&mut self, plan: &GatewayPlan, changed: &ChangedConfig) {
        if self.read_back.take().is_some() || concerns_planner(changed) {
            self.previous = previous(plan);
        }
    }
}

/// Subscriptions have no last good version.
fn concerns_planner(changed: &ChangedConfig) -> bool {
    let others = ChangedConfig {
        inactive: changed.inactive,
        subscriptions: changed.subscriptions.clone(),
        ..ChangedConfig::default()
    };
    *changed != others
}

fn previous(plan: &GatewayPlan) -> Arc<Previous> {
    Arc::new(Previous::of(&plan.config, plan.secret_data.clone()))
}
