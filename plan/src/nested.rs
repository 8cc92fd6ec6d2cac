//! Routes inside of others: who misses the inner one, by another spelling of its path, is the outer
//! one's. That is no mistake, unless the outer one checks access differently.

use std::collections::BTreeMap;

use tidegate_config::{ApiConfig, ObjectKey};

use crate::gateway::GatewayDraft;
use crate::hostnames;
use crate::policies::same_access;
use crate::routes::{RouteConflict, Routes};

/// As many warnings as an object's status gets; of more it says how many.
const SHOWN: usize = 3;

/// What somebody should look at, though it works.
#[derive(Clone, Debug, Default, PartialEq)]
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

/// The route of one API inside of that of another one, on the same Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nested {
    pub(crate) inner: ObjectKey,
    pub(crate) outer: ObjectKey,
}

/// APIs that match all that `inner` matches on its listeners.
pub(crate) fn around(
    draft: &GatewayDraft,
    (inner, listeners): (&ApiConfig, &[String]),
    routes: &Routes,
) -> Vec<Nested> {
    let mut found = Vec::new();
    for listener in &draft.listeners {
        if !listeners.contains(&listener.name) {
            continue;
        }
        let hosts = hostnames::intersection(&listener.hostnames, &inner.hostnames);
        for host in hosts.into_iter().flatten() {
            let around = routes.around(&draft.settings.key, &listener.name, &host, inner);
            found.extend(around.into_iter().map(|outer| Nested {
                inner: inner.key.clone(),
                outer: outer.clone(),
            }));
        }
    }
    found
}

/// Does one let somebody pass whom the other does not?
pub(crate) fn admits_others(a: &ApiConfig, b: &ApiConfig) -> bool {
    let open = a.blocked.is_none() && b.blocked.is_none();
    open && (a.subscription_required != b.subscription_required
        || a.allowed_origins != b.allowed_origins
        || !same_access(&a.on_handshake, &b.on_handshake))
}

/// Tells both.
pub(crate) fn warn(inner: &ApiConfig, outer: &ApiConfig, warnings: &mut WarningsByApi) {
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

/// Whoever has a route learns that another namespace wants it.
pub(crate) fn tell_holder(
    (asking, path): (&ObjectKey, &str),
    taken: &RouteConflict,
    warnings: &mut WarningsByApi,
) {
    if taken.by.namespace != asking.namespace {
        let text = format!(
            "WebSocketApi {asking} asks for {path} on listener {}, which overlaps the route of this API, and is refused",
            taken.listener
        );
        warnings.entry(taken.by.clone()).or_default().add(text);
    }
}
