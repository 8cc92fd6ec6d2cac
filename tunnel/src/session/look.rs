//! Live tunnels as an administrator sees them: lists them page by page, and closes some.

use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_config::{CloseCode, ObjectKey};
use tokio::time::Instant;

use super::Sessions;
use super::control::{Command, ControlChannel};
use super::grant::AccessGrant;
use super::hashed::Hashed;
use crate::close_cause::CloseCause;

/// Which tunnels: those that have everything that is named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunnelFilter {
    /// The tunnel with this id.
    pub id: Option<String>,
    /// Tunnels of this API.
    pub api: Option<ObjectKey>,
    /// Tunnels in this product's scope.
    pub product: Option<ObjectKey>,
    /// Tunnels with a key of this subscription.
    pub subscription: Option<ObjectKey>,
    /// Tunnels that came through this listener.
    pub listener: Option<String>,
    /// Tunnels of this client address.
    pub client: Option<IpAddr>,
}

/// What one side of a tunnel sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Messages that began.
    pub messages: u64,
    /// Bytes on the wire, inside TLS.
    pub bytes: u64,
}

/// A live tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTunnel {
    /// As in the access log.
    pub id: String,
    /// The API.
    pub api: ObjectKey,
    /// The product whose scope applied.
    pub product: Option<ObjectKey>,
    /// The subscription whose key was used.
    pub subscription: Option<ObjectKey>,
    /// Name of the listener that the client came through.
    pub listener: String,
    /// Address of the client, as trusted proxies name it.
    pub client: IpAddr,
    /// When it opened, in seconds since 1970.
    pub opened: i64,
    /// What the client sent.
    pub from_client: Passed,
    /// What the backend sent.
    pub from_backend: Passed,
}

/// Some of the tunnels that were asked for, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The tunnels.
    pub tunnels: Vec<LiveTunnel>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<u64>,
    /// How many tunnels of the filter are live.
    pub matched: usize,
}

impl TunnelFilter {
    fn has_grant(&self, grant: &AccessGrant) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        is(self.api.as_ref(), Some(&grant.api))
            && is(self.product.as_ref(), grant.product.as_ref())
            && is(self.subscription.as_ref(), grant.subscription.as_ref())
            && is(self.listener.as_ref(), Some(&grant.listener))
    }

    fn has_tunnel(&self, control: &ControlChannel) -> bool {
        let found = &control.description;
        let id = self.id.as_deref();
        id.is_none_or(|id| id == &*found.id)
            && self.client.is_none_or(|client| client == found.client)
    }
}

/// A tunnel that was found; ordered by age.
struct Found(Arc<Hashed<AccessGrant>>, Arc<ControlChannel>);

impl Found {
    fn number(&self) -> u64 {
        self.1.id
    }
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for Found {}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Found {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number().cmp(&other.number())
    }
}

impl Sessions {
    /// At most `limit` tunnels of the filter, the oldest first, from `next` of the page before on. Takes memory for
    /// one page only.
    pub fn page(&self, filter: &TunnelFilter, from: u64, limit: usize) -> Page {
        let mut oldest = BinaryHeap::with_capacity(limit.min(1024) + 1);
        let mut matched = 0;
        self.each_found(filter, |grant, control| {
            matched += 1;
            if control.id < from {
                return;
            }
            oldest.push(Found(Arc::clone(grant), Arc::clone(control)));
            if oldest.len() > limit + 1 {
                oldest.pop();
            }
        });
        let mut oldest = oldest.into_sorted_vec();
        let next = oldest.get(limit).map(Found::number);
        oldest.truncate(limit);
        let tunnels = oldest
            .iter()
            .map(|Found(grant, control)| live(grant, control));
        Page {
            tunnels: tunnels.collect(),
            next,
            matched,
        }
    }

    /// Closes the tunnels of the filter now, with this code for the clients, and says how many.
    pub fn close(&self, filter: &TunnelFilter, code: CloseCode, reason: Option<&str>) -> usize {
        let command = Command {
            due: Instant::now(),
            cause: CloseCause::AdminClosed,
            code: Some(code.get()),
        };
        let reason: Option<Arc<str>> = reason.map(Arc::from);
        let mut closed = 0;
        self.each_found(filter, |_, control| {
            closed += 1;
            control.post_with(command, reason.clone());
        });
        closed
    }

    fn each_found(
        &self,
        filter: &TunnelFilter,
        mut found: impl FnMut(&Arc<Hashed<AccessGrant>>, &Arc<ControlChannel>),
    ) {
        self.each_group(|grant, group| {
            if filter.has_grant(grant) {
                let controls = group.values();
                let chosen = controls.filter(|control| filter.has_tunnel(control));
                chosen.for_each(|control| found(grant, control));
            }
        });
    }
}

fn live(grant: &AccessGrant, control: &ControlChannel) -> LiveTunnel {
    let description = &control.description;
    let [from_client, from_backend] = &description.passed;
    let passed = |side: &super::control::Passed| Passed {
        messages: side.messages.load(Ordering::Relaxed),
        bytes: side.bytes.load(Ordering::Relaxed),
    };
    LiveTunnel {
        id: description.id.to_string(),
        api: grant.api.clone(),
        product: grant.product.clone(),
        subscription: grant.subscription.clone(),
        listener: grant.listener.clone(),
        client: description.client,
        opened: description.opened,
        from_client: passed(from_client),
        from_backend: passed(from_backend),
    }
}

#[cfg(test)]
mod tests;
