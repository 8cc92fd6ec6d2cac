//! The condition `Programmed`: what the pods say. Pure.

use std::collections::BTreeMap;

use tidegate_api::Reason;
use tidegate_config::ObjectKey;
use tidegate_plan::{Judgement, OnGateway, Serving};

use crate::objects::ObjectRef;
use crate::published::{Applied, Pods, Published};
use crate::status::Outages;

/// As many names of pods as a message names.
const NAMES_MAX: usize = 3;

/// How far every Gateway is.
#[derive(Debug, Default)]
pub(crate) struct Progress<'a> {
    outages: Outages,
    gateways: BTreeMap<&'a ObjectKey, (Option<&'a Published>, &'a Pods, Option<&'a str>)>,
}

/// An object on one Gateway.
#[derive(Clone, Debug)]
pub(crate) struct Serves<'a> {
    pub(crate) gateway: &'a ObjectKey,
    pub(crate) serving: Serving,
}

impl<'a> From<&'a OnGateway> for Serves<'a> {
    fn from(on: &'a OnGateway) -> Self {
        Self {
            gateway: &on.gateway,
            serving: on.serving,
        }
    }
}

impl<'a> Progress<'a> {
    /// Adds a Gateway; `failure` says why its configuration could not be published.
    pub(crate) fn add(
        &mut self,
        gateway: &'a ObjectKey,
        published: Option<&'a Published>,
        pods: &'a Pods,
        failure: Option<&'a str>,
    ) {
        self.gateways.insert(gateway, (published, pods, failure));
    }

    /// Adds what pods cannot reach.
    pub(crate) fn with(self, outages: Outages) -> Self {
        Self { outages, ..self }
    }

    /// Can pods reach what the policies of `object` need?
    pub(crate) fn reachable(&self, object: &ObjectRef) -> Judgement {
        self.outages.judge(object)
    }

    /// How far `object` is on `gateway`.
    pub(crate) fn applied(&self, gateway: &ObjectKey, object: &ObjectRef) -> Applied {
        match self.gateways.get(gateway) {
            Some((Some(published), pods, _)) => pods.applied(&published.history, object),
            Some((None, pods, _)) => Applied {
                total: pods.len(),
                lagging: pods.behind(u64::MAX),
                ..Applied::default()
            },
            None => Applied::default(),
        }
    }

    /// The condition of an object that is served on some Gateways.
    pub(crate) fn judge<'s>(
        &self,
        object: &ObjectRef,
        serves: impl IntoIterator<Item = Serves<'s>>,
    ) -> Judgement {
        let mut served = 0;
        for on in serves {
            served += 1;
            if let Some(bad) = self.judge_on(&on, object) {
                return bad;
            }
        }
        match served {
            0 => Judgement::bad(Reason::NotServed, self.withdrawal(object)),
            _ => Judgement::good(Reason::Programmed, "served by every pod"),
        }
    }

    /// An object that is served nowhere may still be served by pods that do not know yet.
    fn withdrawal(&self, object: &ObjectRef) -> String {
        let mut gateways = self.gateways.iter();
        let lagging = gateways.find_map(|(gateway, (published, pods, _))| {
            let history = &(*published)?.history;
            // Nearly always nothing is pending, and there may be 50,000 objects to ask about.
            let applied = history
                .mentions(object)
                .then(|| pods.applied(history, object))?;
            let names = (!applied.lagging.is_empty()).then(|| list(&applied.lagging))?;
            Some(format!(
                "being withdrawn from Gateway {gateway}: waiting for {names}"
            ))
        });
        lagging.unwrap_or_else(|| "served nowhere".to_owned())
    }

    /// What keeps `object` from being programmed on one Gateway.
    fn judge_on(&self, on: &Serves<'_>, object: &ObjectRef) -> Option<Judgement> {
        let gateway = on.gateway;
        match on.serving {
            Serving::Current => {}
            Serving::LastGood => {
                return Some(Judgement::bad(
                    Reason::Invalid,
                    "the last version that worked is served until this one is repaired",
                ));
            }
            Serving::Blocked => {
                return Some(Judgement::bad(
                    Reason::Invalid,
                    "every handshake is refused until its access control is repaired",
                ));
            }
        }
        if let Some((_, _, Some(failure))) = self.gateways.get(gateway) {
            let text = format!("Gateway {gateway}: {failure}");
            return Some(Judgement::bad(Reason::Pending, text));
        }
        let applied = self.applied(gateway, object);
        judge_applied(gateway, &applied)
    }
}

fn judge_applied(gateway: &ObjectKey, applied: &Applied) -> Option<Judgement> {
    if applied.total == 0 {
        let text = format!("Gateway {gateway} has no live pod");
        return Some(Judgement::bad(Reason::NoPods, text));
    }
    if let Some((pod, why)) = applied.rejected.first() {
        let text = format!(
            "Gateway {gateway}: {}, {pod} refused it: {why}",
            applied.summary()
        );
        return Some(Judgement::bad(Reason::Rejected, text));
    }
    if applied.lagging.is_empty() {
        return None;
    }
    let mut text = format!(
        "Gateway {gateway}: {}, waiting for {}",
        applied.summary(),
        list(&applied.lagging)
    );
    if let Some(problem) = &applied.problem {
        text = format!("{text}: {problem}");
    }
    Some(Judgement::bad(Reason::Pending, text))
}

/// A few names, and how many more there are.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>();
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
