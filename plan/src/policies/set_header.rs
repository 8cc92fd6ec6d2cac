//! setHeader: may the header be set?

use tidegate_config::policy::{IfExists, SetHeader};

use super::check::{Access, Check, StepContext};
use super::header::restricted;
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
