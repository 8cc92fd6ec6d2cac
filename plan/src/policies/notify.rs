//! notify: are URL, headers and secrets usable?

use tidegate_config::SecretDataId;
use tidegate_config::policy::Notify;

use super::call;
use super::check::{Access, Check, StepContext};
use crate::problem::Problem;

impl Check for Notify {
    const ACCESS: Access = Access::Never;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        call::check(self.outgoing(), step.path, step)
    }

    fn secret_data(&self, namespace: &str) -> Vec<SecretDataId> {
        call::secret_data(namespace, self.outgoing())
    }
}
