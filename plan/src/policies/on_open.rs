//! onOpen: schema and expressions tell all that can be wrong.

use tidegate_config::policy::OnOpen;

use super::check::{Access, Check};

impl Check for OnOpen {
    const ACCESS: Access = Access::Never;
}
