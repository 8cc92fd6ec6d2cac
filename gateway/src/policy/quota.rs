//! quota, quotaByKey: at most so many handshakes, or relayed bytes, per fixed period for each
//! subscription, or for each value of a key.
//!
//! A handshake that any limit refuses counts for none. Bytes are asked for here; the tunnel's are
//! counted while it lives.

use std::sync::Arc;

use http::HeaderValue;
use http::header::RETRY_AFTER;
use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Later};
use super::compile::{Compiler, InvalidPolicy};
use super::increment::Increment;
use super::subject::Subject;
use crate::counters::counter::Key;
use crate::counters::quota::{Allowance, ByteQuota, Exceeded, Periods, UsedUp, clock};
use crate::exchange::Exchange;
use crate::exchange::counted::Count;
use crate::refusal::{Origin, Reason, Refusal};

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) subject: Subject,
    pub(super) allowance: Allowance,
    /// Of the periods, as a part of the key.
    pub(super) periods: String,
    pub(super) increment: Arc<Increment>,
    pub(super) close: bool,
}

impl Compile for policy::Quota {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        let periods = Periods::new(self.period, self.first_period_start);
        Ok(Action::later(Quota {
            subject: Subject::subscription(compiler),
            allowance: allowance(self.calls, self.bandwidth_kb, periods),
            periods: periods.id(),
            increment: Arc::default(),
            close: self.close_on_exceed,
        }))
    }
}

impl Quota {
    /// What is to be counted of the tunnel.
    fn byte_quotas(&self, key: Key) -> Option<ByteQuota> {
        self.allowance.bytes.map(|_| ByteQuota {
            key,
            allowance: self.allowance,
            close: self.close,
        })
    }
}

impl Later for Quota {
    async fn run(&self, exchange: &mut Exchange, services: &Services) -> Result<(), Refusal> {
        let Some(subject) = self.subject.of(exchange)? else {
            return Ok(());
        };
        let key = subject.of_part(&self.periods);
        let mut weight = self.increment.now(exchange)?;
        if weight.provisional && self.allowance.calls.is_none() {
            // The calls are not limited.
            weight.amount = 0;
        }
        let charge = services.charge_call(exchange, (key, self.allowance), weight);
        charge.await?.map_err(refusal)?;
        let later = self.increment.later(Count::Quota(key, self.allowance));
        exchange.evaluation.counted.defer(later);
        exchange
            .evaluation
            .byte_quotas
            .extend(self.byte_quotas(key));
        Ok(())
    }
}

pub(super) fn allowance(
    calls: Option<u64>,
    bandwidth_kb: Option<u64>,
    periods: Periods,
) -> Allowance {
    Allowance {
        calls,
        bytes: bandwidth_kb.map(|kb| kb.saturating_mul(1024)),
        periods,
    }
}

/// Azure API Management's texts. What never renews has nothing to wait for.
fn refusal(exceeded: Exceeded) -> Refusal {
    let of = match exceeded.what {
        UsedUp::Calls => "call volume",
        UsedUp::Bandwidth => "bandwidth",
    };
    let used_up = format!("Out of {of} quota.");
    let new = |message| Refusal::new(403, Reason::QuotaExceeded, Origin::Policy, message);
    let Some(wait) = exceeded.wait else {
        return new(used_up);
    };
    // Whole seconds (RFC 9110 §10.2.3), and never so early that it is refused again.
    let seconds = u64::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX);
    let message = format!("{used_up} Quota will be replenished in {}.", clock(seconds));
    new(message).header(RETRY_AFTER, HeaderValue::from(seconds))
}

#[cfg(test)]
mod tests;
