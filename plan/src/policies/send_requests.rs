//! sendRequests: are URLs, headers and secrets usable, and do the variables differ?

use std::collections::BTreeSet;

use tidegate_config::SecretDataId;
use tidegate_config::policy::SendRequests;

use super::call;
use super::check::{Access, Check, StepContext};
use crate::problem::Problem;

impl Check for SendRequests {
    /// Conditions of later steps read the variables.
    const ACCESS: Access = Access::BeforeRefusal;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut variables = BTreeSet::new();
        for (i, request) in self.requests.iter().enumerate() {
            let path = format!("{}.requests[{i}]", step.path);
            problems.extend(call::sent(request, &path, step));
            if !variables.insert(&request.variable) {
                let text = "another request of this step already sets this variable";
                problems.push(Problem::invalid(text).at(&format!("{path}.as")));
            }
        }
        problems
    }

    fn secret_data(&self, namespace: &str) -> Vec<SecretDataId> {
        let requests = self.requests.iter();
        requests
            .flat_map(|request| call::secret_data(namespace, request.outgoing()))
            .collect()
    }
}
