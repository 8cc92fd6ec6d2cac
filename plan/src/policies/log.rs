//! log: schema and expressions tell all that can be wrong.

use tidegate_config::policy::Log;

use super::check::{Access, Check};

impl Check for Log {
    const ACCESS: Access = Access::Never;
}
