//! A live tunnel as a line of a list. Pure.

use serde::Serialize;
use tidegate_gateway::{Traffic, TunnelEntry};

use crate::print::Row;

/// What a list shows of a tunnel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TunnelRow {
    /// The pod or the admin server.
    gateway: String,
    #[serde(flatten)]
    tunnel: TunnelEntry,
}

impl TunnelRow {
    pub(super) const fn new(gateway: String, tunnel: TunnelEntry) -> Self {
        Self { gateway, tunnel }
    }

    /// Without what changes by time alone, so that a silent tunnel does not count as changed.
    pub(super) fn without_age(mut self) -> Self {
        self.tunnel.age_seconds = 0;
        self
    }
}

impl Row for TunnelRow {
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "API",
        "SUBSCRIPTION",
        "PRODUCT",
        "CLIENT",
        "LISTENER",
        "OPENED",
        "MESSAGES",
        "BYTES",
    ];

    const GONE: &'static str = "closed";

    fn cells(&self) -> Vec<String> {
        let TunnelEntry {
            id,
            api,
            product,
            subscription,
            listener,
            client,
            opened_at,
            from_client,
            from_backend,
            ..
        } = &self.tunnel;
        let pair = |of: fn(&Traffic) -> u64| format!("{}/{}", of(from_client), of(from_backend));
        vec![
            id.clone(),
            api.clone(),
            subscription.clone().unwrap_or_default(),
            product.clone().unwrap_or_default(),
            client.to_string(),
            listener.clone(),
            opened_at.clone(),
            pair(|traffic| traffic.messages),
            pair(|traffic| traffic.bytes),
        ]
    }

    fn id(&self) -> String {
        // In order of age, gateway by gateway.
        format!(
            "{} {} {}",
            self.gateway, self.tunnel.opened_at, self.tunnel.id
        )
    }

    fn name(&self) -> String {
        self.tunnel.id.clone()
    }
}
