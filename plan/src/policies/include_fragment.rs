//! includeFragment: what can be wrong with it is found where fragments are expanded.

use tidegate_config::policy::IncludeFragment;

use super::check::{Access, Check};

/// The fragment may hold any policy, and the condition of the step decides about all of them.
impl Check for IncludeFragment {
    const ACCESS: Access = Access::BeforeRefusal;
}
