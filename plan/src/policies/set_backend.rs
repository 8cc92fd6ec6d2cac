//! setBackend: can the URL be used?

use tidegate_config::check_url;
use tidegate_config::policy::SetBackend;

use super::check::{Access, Check, StepContext};
use super::url_template::check_author;
use crate::backend_url::check_backend_url;
use crate::problem::Problem;

impl Check for SetBackend {
    const ACCESS: Access = Access::Never;

    /// A URL without an expression in it can be checked now; a name, where the pool is known.
    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let path = step.path;
        if self.url.is_some() == self.member.is_some() {
            let problem = Problem::invalid("exactly one of url and ref must be set");
            return vec![problem.at(path)];
        }
        let Some(url) = self.url.as_deref() else {
            return Vec::new();
        };
        let problem = match url.contains("${") {
            true => check_author(url, check_url),
            false => check_backend_url(url).err(),
        };
        let at = |problem: Problem| problem.at(&format!("{path}.url"));
        problem.into_iter().map(at).collect()
    }
}
