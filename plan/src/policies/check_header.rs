//! checkHeader: schema and expressions tell all that can be wrong.

use tidegate_config::policy::CheckHeader;

use super::check::{Access, Check};

impl Check for CheckHeader {
    const ACCESS: Access = Access::Always;
}
