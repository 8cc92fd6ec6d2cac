//! setStatus: schema and expressions tell all that can be wrong.

use tidegate_config::policy::SetStatus;

use super::check::{Access, Check};

impl Check for SetStatus {
    const ACCESS: Access = Access::Never;
}
