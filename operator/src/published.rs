//! What was published for a Gateway, and who has it. Pure: no client, no clock of its own.

mod difference;
mod history;
mod pods;

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_config::{ConfigIndex, ConfigParts, GatewayConfig, ObjectKey, SecretData};
use tokio::time::Instant;

use crate::owned::OwnedKey;

pub(crate) use difference::{difference, everything};
pub(crate) use history::History;
pub(crate) use pods::{Applied, Pods};

/// The configuration of one Gateway as the cluster has it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) secret_data: Arc<SecretData>,
    /// The index of this revision.
    pub(crate) index: ConfigIndex,
    pub(crate) history: History,
    /// Parts that this revision no longer names, and since when.
    pub(crate) retired: BTreeMap<OwnedKey, Retired>,
    /// Bytes of all parts.
    pub(crate) bytes: usize,
    /// False when parts were missing as it was read back: then `config` is less than the index says.
    pub(crate) complete: bool,
}

/// When a part went out of use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retired {
    /// First revision without it.
    pub(crate) revision: u64,
    pub(crate) since: Instant,
}

impl Published {
    /// What was found in the cluster; nothing is known of who has what in it.
    pub(crate) fn found(
        (config, secret_data): (GatewayConfig, SecretData),
        (index, bytes): (ConfigIndex, usize),
        complete: bool,
    ) -> Self {
        Self {
            config: Arc::new(config),
            secret_data: Arc::new(secret_data),
            history: History::starting_at(index.revision),
            index,
            retired: BTreeMap::new(),
            bytes,
            complete,
        }
    }

    /// Is the content that of `config` and `secret_data`?
    pub(crate) fn has(&self, config: &GatewayConfig, secret_data: &SecretData) -> bool {
        self.complete && *self.config == *config && *self.secret_data == *secret_data
    }

    /// The same parts turned out to be made of this.
    pub(crate) fn becomes(&mut self, config: GatewayConfig, secret_data: SecretData, bytes: usize) {
        self.config = Arc::new(config);
        self.secret_data = Arc::new(secret_data);
        self.bytes = bytes;
        self.complete = true;
    }

    /// Index and parts once more.
    pub(crate) fn render(&self) -> Result<ConfigParts, ObjectKey> {
        tidegate_config::split_config(&self.config, &self.secret_data, self.index.revision)
    }
}

/// The revision for new content: above everything that anybody has seen, so that no pod can take it
/// for something old.
pub(crate) fn next_revision(known: impl IntoIterator<Item = u64>) -> u64 {
    known
        .into_iter()
        .max()
        .unwrap_or_default()
        .saturating_add(1)
}
