//! externalAuth: are URL, headers and secrets usable?

use tidegate_config::SecretDataId;
use tidegate_config::policy::ExternalAuth;

use super::call;
use super::check::{Access, Check, StepContext};
use super::header::restricted;
use crate::problem::Problem;

impl Check for ExternalAuth {
    const ACCESS: Access = Access::Always;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let path = step.path;
        let mut problems = call::check(self.outgoing(), path, step);
        for (field, names) in [
            ("sendHeaders", &self.send_headers),
            ("copyHeaders", &self.copy_headers),
        ] {
            let names = names.iter().enumerate();
            let at = |i| format!("{path}.{field}[{i}]");
            problems.extend(names.filter_map(|(i, name)| restricted(name, &at(i))));
        }
        problems
    }

    fn secret_data(&self, namespace: &str) -> Vec<SecretDataId> {
        call::secret_data(namespace, self.outgoing())
    }
}
