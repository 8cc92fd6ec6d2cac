//! quotaByKey: schema and expressions tell all that can be wrong.

use tidegate_config::policy::QuotaByKey;

use super::check::{Access, Check};

impl Check for QuotaByKey {
    const ACCESS: Access = Access::Never;
}
