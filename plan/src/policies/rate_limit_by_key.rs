//! rateLimitByKey: may its headers be set?

use tidegate_config::policy::RateLimitByKey;

use super::check::{Access, Check, StepContext};
use super::header::restricted_of_limit;
use crate::problem::Problem;

impl Check for RateLimitByKey {
    const ACCESS: Access = Access::Never;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        restricted_of_limit(
            &self.retry_after_header,
            self.remaining_header.as_deref(),
            self.total_header.as_deref(),
            step.path,
        )
    }
}
