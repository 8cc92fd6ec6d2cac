//! What is published for a Gateway. Pure: no client, no clock of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_config::{ConfigIndex, ConfigParts, GatewayConfig, ObjectKey, SecretData};
use tokio::time::Instant;

use super::History;
use crate::objects::OwnedKey;

/// The configuration of one Gateway as it is in the cluster.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) secret_data: Arc<SecretData>,
    /// The index of this revision.
    pub(crate) index: ConfigIndex,
    pub(crate) history: History,
    /// Parts that this revision no longer names.
    pub(crate) retired: BTreeMap<OwnedKey, Retired>,
    /// Bytes of all parts.
    pub(crate) bytes: usize,
    /// False when parts were missing as it was read back: `config` is then less than the index names.
    pub(crate) complete: bool,
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

    /// Is `config` and `secret_data` what is published?
    pub(crate) fn has_content(&self, config: &GatewayConfig, secret_data: &SecretData) -> bool {
        self.complete && *self.config == *config && *self.secret_data == *secret_data
    }

    /// Replaces the content by one that renders to the same parts.
    pub(crate) fn replace_content(
        &mut self,
        config: GatewayConfig,
        secret_data: Arc<SecretData>,
        bytes: usize,
    ) {
        self.config = Arc::new(config);
        self.secret_data = secret_data;
        self.bytes = bytes;
        self.complete = true;
    }

    /// Splits the configuration into index and parts again.
    ///
    /// # Errors
    ///
    /// The object that does not fit into a ConfigMap.
    pub(crate) fn split(&self) -> Result<ConfigParts, ObjectKey> {
        tidegate_config::split_config(&self.config, &self.secret_data, self.index.revision)
    }
}
