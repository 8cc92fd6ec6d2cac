//! What a source yields: one whole revision, put together and checked, not yet compiled.

use tidegate_config::{AssembleError, GatewayConfig, Index, Material, assemble};

/// One whole revision of a Gateway's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Grows with every change.
    pub revision: u64,
    /// What to serve.
    pub config: GatewayConfig,
    /// The sensitive material that `config` refers to by id.
    pub material: Material,
}

impl Update {
    /// Puts an update together from an index and its parts, or says which part is wrong.
    pub fn assemble<'a>(
        index: &Index,
        shard: impl Fn(&str) -> Option<&'a str>,
        secret: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, AssembleError> {
        let (config, material) = assemble(index, shard, secret)?;
        Ok(Self {
            revision: index.revision,
            config,
            material,
        })
    }
}

#[cfg(test)]
pub(crate) mod testing;
