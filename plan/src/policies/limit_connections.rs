//! limitConnections: schema and expressions tell all that can be wrong.

use tidegate_config::policy::LimitConnections;

use super::check::{Access, Check};

impl Check for LimitConnections {
    const ACCESS: Access = Access::Never;
}
