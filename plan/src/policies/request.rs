//! setHeader, setQueryParameter, rewritePath, setBackend: may the header be set, can the URL be used?

use tidegate_config::policy::{IfExists, RewritePath, SetBackend, SetHeader, SetQueryParameter};
use tidegate_config::{check_path, check_url};

use super::check::{Access, Check, StepContext};
use super::header::restricted;
use super::url_template::check_author;
use crate::backend_url::check_backend_url;
use crate::problem::Problem;

impl Check for SetHeader {
    const ACCESS: Access = Access::Never;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let header = restricted(&self.name, &format!("{}.name", step.path));
        let mut problems: Vec<_> = header.into_iter().collect();
        if self.values.is_empty() != (self.if_exists == IfExists::Delete) {
            let text = "values must be set, unless ifExists is Delete, which takes none";
            problems.push(Problem::invalid(text).at(step.path));
        }
        problems
    }
}

impl Check for SetQueryParameter {
    const ACCESS: Access = Access::Never;
}

impl Check for RewritePath {
    const ACCESS: Access = Access::Never;

    /// Gateways refuse a path that climbs.
    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let problem = check_author(&self.path, check_path);
        let at = |problem: Problem| problem.at(&format!("{}.path", step.path));
        problem.into_iter().map(at).collect()
    }
}

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
