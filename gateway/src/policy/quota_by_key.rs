//! quotaByKey: quota for each value of a key. It may count by the answer.

use tidegate_config::policy;

use super::action::{Action, Compile};
use super::compile::{Compiler, InvalidPolicy};
use super::increment::{Expressions, Increment};
use super::quota::{Quota, allowance};
use super::subject::Subject;
use crate::counters::quota::Periods;

impl Compile for policy::QuotaByKey {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        let periods = Periods::new(self.period, self.first_period_start);
        let increment = Expressions {
            of: "quotaByKey",
            when: self.increment_when.as_ref(),
            by: self.increment_by.as_ref(),
        };
        Ok(Action::later(Quota {
            subject: Subject::key("quotaByKey.key", &self.key, compiler)?,
            allowance: allowance(self.calls, self.bandwidth_kb, periods),
            periods: periods.id(),
            increment: Increment::compile(&increment, compiler)?,
            close: self.close_on_exceed,
        }))
    }
}
