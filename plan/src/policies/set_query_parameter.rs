//! setQueryParameter: schema and expressions tell all that can be wrong.

use tidegate_config::policy::SetQueryParameter;

use super::check::{Access, Check};

impl Check for SetQueryParameter {
    const ACCESS: Access = Access::Never;
}
