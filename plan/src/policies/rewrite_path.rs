//! rewritePath: does the path keep what its author wrote?

use tidegate_config::check_path;
use tidegate_config::policy::RewritePath;

use super::check::{Access, Check, StepContext};
use super::url_template::check_author;
use crate::problem::Problem;

impl Check for RewritePath {
    const ACCESS: Access = Access::Never;

    /// Gateways refuse a path that climbs.
    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let problem = check_author(&self.path, check_path);
        let at = |problem: Problem| problem.at(&format!("{}.path", step.path));
        problem.into_iter().map(at).collect()
    }
}
