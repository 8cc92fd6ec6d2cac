//! Routes inside of others: who misses the inner one, by another spelling of its path, is the outer
//! one's. That is no mistake, unless the outer one checks access differently.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_config::{ApiConfig, ObjectKey};

use crate::attach::Gateways;
use crate::gateway::GatewayDraft;
use crate::hostnames;
use crate::policies::same_access;
use crate::routes::Routes;

/// As many warnings as an object's status gets; of more it says how many.
const SHOWN: usize = 3;

/// What somebody should look at, though it works.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings {
    shown: Vec<String>,
    more: usize,
}

impl Warnings {
    pub(crate) fn add(&mut self, text: String) {
        if self.shown.contains(&text) {
            return;
        }
        match self.shown.len() < SHOWN {
            true => self.shown.push(text),
            false => self.more += 1,
        }
    }

    pub(crate) fn into_texts(self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more like these", self.more));
        self.shown.into_iter().chain(more).collect()
    }
}

/// Warnings by API.
pub(crate) type WarningsByApi = BTreeMap<ObjectKey, Warnings>;

/// Looks through the routes of all Gateways.
pub(crate) fn look(gateways: &Gateways<'_>, routes: &Routes, warnings: &mut WarningsByApi) {
    for draft in gateways.values() {
        let mut pairs = BTreeSet::new();
        for inner in draft.apis.values() {
            for outer in around(draft, inner, routes) {
                pairs.insert((inner.key.clone(), outer.key.clone()));
            }
        }
        for (inner, outer) in pairs {
            if let (Some(inner), Some(outer)) = (draft.apis.get(&inner), draft.apis.get(&outer)) {
                warn(inner, outer, warnings);
            }
        }
    }
}

/// APIs that match all that `inner` matches and let others pass.
fn around<'d>(
    draft: &'d GatewayDraft<'_>,
    inner: &ApiConfig,
    routes: &Routes,
) -> Vec<&'d ApiConfig> {
    let mut found = Vec::new();
    for listener in &draft.listeners {
        if !inner.listeners.contains(&listener.name) {
            continue;
        }
        let hosts = hostnames::intersection(&listener.hostnames, &inner.hostnames);
        for host in hosts.into_iter().flatten() {
            let around = routes.around(&draft.settings.key, &listener.name, &host, inner);
            let around = around.into_iter().filter_map(|key| draft.apis.get(key));
            found.extend(around.filter(|outer| admits_others(inner, outer)));
        }
    }
    found
}

/// Does one let somebody pass whom the other does not?
fn admits_others(a: &ApiConfig, b: &ApiConfig) -> bool {
    let open = a.blocked.is_none() && b.blocked.is_none();
    open && (a.subscription_required != b.subscription_required
        || a.allowed_origins != b.allowed_origins
        || !same_access(&a.on_handshake, &b.on_handshake))
}

fn warn(inner: &ApiConfig, outer: &ApiConfig, warnings: &mut WarningsByApi) {
    let (inside, outside) = (&inner.path, &outer.path);
    let text = format!(
        "{inside} lies inside {outside} of WebSocketApi {}, which checks access differently: a path that \
         only resembles {inside} goes there",
        outer.key
    );
    warnings.entry(inner.key.clone()).or_default().add(text);
    let text = format!(
        "{inside} of WebSocketApi {}, which checks access differently, lies inside {outside}: a path that \
         only resembles {inside} comes here",
        inner.key
    );
    warnings.entry(outer.key.clone()).or_default().add(text);
}
