//! cacheStore: schema and expressions tell all that can be wrong.

use tidegate_config::policy::CacheStore;

use super::check::{Access, Check};

/// Conditions of later handshakes read the value.
impl Check for CacheStore {
    const ACCESS: Access = Access::BeforeRefusal;
}
