//! The condition `Programmed`: whether the pods serve the latest version. Pure.

use std::collections::BTreeMap;

use tidegate_api::Reason;
use tidegate_config::ObjectKey;
use tidegate_plan::{ConditionState, OnGateway, Serving};

use super::dependencies::Outages;
use crate::objects::ObjectRef;
use crate::publish::{Applied, Published};
use crate::snapshot::Pods;

/// Names of pods in a message at most.
const MAX_NAMES: usize = 3;

/// What is published of every Gateway, and which pods serve it.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    outages: Outages,
    gateways: BTreeMap<&'a ObjectKey, GatewayProgress<'a>>,
}

#[derive(Debug)]
struct GatewayProgress<'a> {
    published: Option<&'a Published>,
    pods: &'a Pods,
    /// Why its configuration could not be published.
    failure: Option<&'a str>,
}

/// An object on one Gateway.
#[derive(Clone, Debug)]
pub(super) struct ServedOn<'a> {
    pub(super) gateway: &'a ObjectKey,
    pub(super) serving: Serving,
}

impl<'a> From<&'a OnGateway> for ServedOn<'a> {
    fn from(on: &'a OnGateway) -> Self {
        Self {
            gateway: &on.gateway,
            serving: on.serving,
        }
    }
}

impl<'a> Progress<'a> {
    /// `outages`: what pods cannot reach.
    pub(crate) fn new(outages: Outages) -> Self {
        Self {
            outages,
            gateways: BTreeMap::new(),
        }
    }

    /// Adds a Gateway; `failure` says why its configuration could not be published.
    pub(crate) fn add(
        &mut self,
        gateway: &'a ObjectKey,
        published: Option<&'a Published>,
        pods: &'a Pods,
        failure: Option<&'a str>,
    ) {
        let progress = GatewayProgress {
            published,
            pods,
            failure,
        };
        self.gateways.insert(gateway, progress);
    }

    /// The condition `DependenciesReachable` of an object.
    pub(super) fn reachable(&self, object: &ObjectRef) -> ConditionState {
        self.outages.condition(object)
    }

    /// Which pods of `gateway` have the latest version of `object`.
    pub(super) fn applied(&self, gateway: &ObjectKey, object: &ObjectRef) -> Applied {
        let Some(progress) = self.gateways.get(gateway) else {
            return Applied::default();
        };
        match progress.published {
            Some(published) => published.history.applied(progress.pods, object),
            None => Applied::by_none(progress.pods),
        }
    }

    /// The condition of an object that is served on these Gateways.
    pub(super) fn programmed<'s>(
        &self,
        object: &ObjectRef,
        served_on: impl IntoIterator<Item = ServedOn<'s>>,
    ) -> ConditionState {
        let mut served = 0;
        for on in served_on {
            served += 1;
            if let Some(problem) = self.problem_on(&on, object) {
                return problem;
            }
        }
        match served {
            0 => ConditionState::bad(Reason::NotServed, self.withdrawal(object)),
            _ => ConditionState::good(Reason::Programmed, "served by every pod"),
        }
    }

    /// An object that no Gateway serves any more may still be served by pods with an older revision.
    fn withdrawal(&self, object: &ObjectRef) -> String {
        let mut gateways = self.gateways.iter();
        let lagging = gateways.find_map(|(gateway, progress)| {
            let history = &progress.published?.history;
            // Usually no change is pending, and there may be 50,000 objects to check.
            let applied = history
                .mentions(object)
                .then(|| history.applied(progress.pods, object))?;
            let names = (!applied.lagging.is_empty()).then(|| list(&applied.lagging))?;
            Some(format!(
                "being withdrawn from Gateway {gateway}: waiting for {names}"
            ))
        });
        lagging.unwrap_or_else(|| "no Gateway serves it".to_owned())
    }

    /// Why `object` is not programmed on one Gateway; `None` when it is.
    fn problem_on(&self, on: &ServedOn<'_>, object: &ObjectRef) -> Option<ConditionState> {
        let gateway = on.gateway;
        match on.serving {
            Serving::Current => {}
            Serving::LastGood => {
                return Some(ConditionState::bad(
                    Reason::Invalid,
                    "the last working version is served until this one is fixed",
                ));
            }
            Serving::Blocked => {
                return Some(ConditionState::bad(
                    Reason::Invalid,
                    "every handshake is refused until its access control is fixed",
                ));
            }
        }
        let progress = self.gateways.get(gateway);
        if let Some(failure) = progress.and_then(|progress| progress.failure) {
            let text = format!("Gateway {gateway}: {failure}");
            return Some(ConditionState::bad(Reason::Pending, text));
        }
        let applied = self.applied(gateway, object);
        problem_of_pods(gateway, &applied)
    }
}

/// Why not every live pod serves the latest version; `None` when every one does.
fn problem_of_pods(gateway: &ObjectKey, applied: &Applied) -> Option<ConditionState> {
    if applied.total == 0 {
        let text = format!("Gateway {gateway} has no live pod");
        return Some(ConditionState::bad(Reason::NoPods, text));
    }
    if let Some((pod, why)) = applied.rejected.first() {
        let text = format!(
            "Gateway {gateway}: {}, {pod} rejected it: {why}",
            applied.summary()
        );
        return Some(ConditionState::bad(Reason::Rejected, text));
    }
    if applied.lagging.is_empty() {
        return None;
    }
    let mut text = format!(
        "Gateway {gateway}: {}, waiting for {}",
        applied.summary(),
        list(&applied.lagging)
    );
    if let Some(error) = &applied.error {
        text = format!("{text}: {error}");
    }
    Some(ConditionState::bad(Reason::Pending, text))
}

/// A few names, and how many more there are.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>();
    let rest = names.len() - shown.len();
    let shown = shown.join(", ");
    if rest == 0 {
        shown
    } else {
        format!("{shown} and {rest} more")
    }
}

#[cfg(test)]
mod tests;
