//! rateLimit, rateLimitByKey, quota, quotaByKey, limitConnections: may their headers be set?

use tidegate_config::policy::{LimitConnections, Quota, QuotaByKey, RateLimit, RateLimitByKey};

use super::check::{Access, Check, StepContext};
use super::header::restricted_in;
use crate::problem::Problem;

impl Check for RateLimit {
    const ACCESS: Access = Access::Never;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        restricted_in(
            [
                ("retryAfterHeader", Some(&self.retry_after_header)),
                ("remainingHeader", self.remaining_header.as_ref()),
                ("totalHeader", self.total_header.as_ref()),
            ],
            step.path,
        )
    }
}

impl Check for RateLimitByKey {
    const ACCESS: Access = Access::Never;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        restricted_in(
            [
                ("retryAfterHeader", Some(&self.retry_after_header)),
                ("remainingHeader", self.remaining_header.as_ref()),
                ("totalHeader", self.total_header.as_ref()),
            ],
            step.path,
        )
    }
}

impl Check for Quota {
    const ACCESS: Access = Access::Never;
}

impl Check for QuotaByKey {
    const ACCESS: Access = Access::Never;
}

impl Check for LimitConnections {
    const ACCESS: Access = Access::Never;
}
