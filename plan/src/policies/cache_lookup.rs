//! cacheLookup: schema and expressions tell all that can be wrong.

use tidegate_config::policy::CacheLookup;

use super::check::{Access, Check};

/// Conditions of later steps read the variable.
impl Check for CacheLookup {
    const ACCESS: Access = Access::BeforeRefusal;
}
