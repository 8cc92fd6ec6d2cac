//! rateLimitByKey: rateLimit for each value of a key. It may count by the answer.

use tidegate_config::policy;

use super::action::{Action, Compile};
use super::compile::{Compiler, InvalidPolicy};
use super::increment::{Expressions, Increment};
use super::rate_limit::{Names, RateLimit, RemainingCalls};
use super::subject::Subject;
use crate::counters::counter::Limit;

impl Compile for policy::RateLimitByKey {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        let of = "rateLimitByKey";
        let increment = Expressions {
            of,
            when: self.increment_when.as_ref(),
            by: self.increment_by.as_ref(),
        };
        let names = Names {
            of,
            retry_after: &self.retry_after_header,
            retry_after_variable: &self.retry_after_variable,
            remaining: &self.remaining_header,
            remaining_variable: &self.remaining_variable,
            total: &self.total_header,
        };
        Ok(Action::later(RateLimit {
            subject: Subject::key("rateLimitByKey.key", &self.key, compiler)?,
            limit: Limit {
                calls: self.calls,
                period: self.period.get(),
            },
            increment: Increment::compile(&increment, compiler)?,
            remaining_calls: RemainingCalls::compile(&names, compiler)?,
        }))
    }
}
