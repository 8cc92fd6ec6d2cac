//! quota: schema and expressions tell all that can be wrong.

use tidegate_config::policy::Quota;

use super::check::{Access, Check};

impl Check for Quota {
    const ACCESS: Access = Access::Never;
}
