//! trace: schema and expressions tell all that can be wrong.

use tidegate_config::policy::Trace;

use super::check::{Access, Check};

impl Check for Trace {
    const ACCESS: Access = Access::Never;
}
