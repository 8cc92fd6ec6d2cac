//! setVariable: schema and expressions tell all that can be wrong.

use tidegate_config::policy::SetVariable;

use super::check::{Access, Check};

/// Conditions of later steps read the variable.
impl Check for SetVariable {
    const ACCESS: Access = Access::BeforeRefusal;
}
