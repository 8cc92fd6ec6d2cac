//! cacheRemove: schema and expressions tell all that can be wrong.

use tidegate_config::policy::CacheRemove;

use super::check::{Access, Check};

/// Conditions of later handshakes read the value.
impl Check for CacheRemove {
    const ACCESS: Access = Access::BeforeRefusal;
}
