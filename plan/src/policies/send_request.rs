//! sendRequest: are URL, headers and secrets usable?

use tidegate_config::SecretDataId;
use tidegate_config::policy::SendRequest;

use super::call;
use super::check::{Access, Check, StepContext};
use crate::problem::Problem;

impl Check for SendRequest {
    /// Conditions of later steps read the variable.
    const ACCESS: Access = Access::BeforeRefusal;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        call::sent(self, step.path, step)
    }

    fn secret_data(&self, namespace: &str) -> Vec<SecretDataId> {
        call::secret_data(namespace, self.outgoing())
    }
}
