//! What a source yields: one whole revision, put together and checked, not yet compiled.

use tidegate_config::{AssembleError, ConfigIndex, GatewayConfig, SecretData, assemble};

/// One whole revision of a Gateway's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Grows with every change.
    pub revision: u64,
    /// What to serve.
    pub config: GatewayConfig,
    /// The secret data that `config` refers to by id.
    pub secret_data: SecretData,
}

impl Update {
    /// Puts an update together from an index and its parts, or says which part is wrong.
    ///
    /// # Errors
    /// The part that is missing or not valid.
    pub fn assemble<'a>(
        index: &ConfigIndex,
        shard: impl Fn(&str) -> Option<&'a str>,
        secret: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, AssembleError> {
        let (config, secret_data) = assemble(index, shard, secret)?;
        Ok(Self {
            revision: index.revision,
            config,
            secret_data,
        })
    }
}

#[cfg(test)]
pub(crate) mod testing;
