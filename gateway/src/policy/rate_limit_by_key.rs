//! rateLimitByKey: at most so many handshakes per period for each value of a key.
//!
//! A handshake that any limit refuses counts for none. One that another step refuses later counts:
//! a limit before validateJwt bounds how often somebody may try.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;
use tidegate_config::policy::{self, IfExists};
use tidegate_expr::{Stage, Value};

use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Computed, Condition, expression_failed};
use crate::counter::{Call, Counters, Limit};
use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct RateLimitByKey {
    key: Computed,
    limit: Limit,
    increment: Arc<Increment>,
    /// Is what counts known only when the answer is?
    deferred: bool,
    retry_after: HeaderName,
    remaining: Option<HeaderName>,
    total: Option<HeaderName>,
}

/// Whether a handshake counts, and how much.
#[derive(Debug)]
struct Increment {
    when: Option<Condition>,
    by: Option<Computed>,
}

/// What is counted when the answer is known.
#[derive(Debug)]
pub(crate) struct Deferred {
    key: String,
    period: Duration,
    increment: Arc<Increment>,
}

impl RateLimitByKey {
    pub(super) fn compile(
        policy: &policy::RateLimitByKey,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let header = |field: &str, name: &String| {
            compiler.free_header(&format!("rateLimitByKey.{field}"), name)
        };
        let optional = |field: &str, name: &Option<String>| {
            name.as_ref().map(|name| header(field, name)).transpose()
        };
        let (increment, deferred) = Increment::compile(policy, compiler)?;
        Ok(Self {
            key: compiler.computed("rateLimitByKey.key", &policy.key)?,
            limit: Limit {
                calls: policy.calls,
                period: policy.period.get(),
            },
            increment: Arc::new(increment),
            deferred,
            retry_after: header("retryAfterHeader", &policy.retry_after_header)?,
            remaining: optional("remainingHeader", &policy.remaining_header)?,
            total: optional("totalHeader", &policy.total_header)?,
        })
    }

    pub(super) fn run(&self, exchange: &mut Exchange, counters: &Counters) -> Result<(), Refusal> {
        let key = self.key.text(exchange)?;
        let weight = match self.deferred {
            true => 0,
            false => self.increment.weight(exchange)?,
        };
        let call = Call {
            key: &key,
            limit: self.limit,
            weight,
            own: &exchange.evaluation.taken,
        };
        match counters.take(call) {
            Ok((remaining, taken)) => {
                exchange.evaluation.taken.extend(taken);
                self.tell(exchange, remaining);
                if self.deferred {
                    exchange.evaluation.deferred.push(Deferred {
                        key,
                        period: self.limit.period,
                        increment: Arc::clone(&self.increment),
                    });
                }
                Ok(())
            }
            Err(exceeded) => {
                self.tell(exchange, 0);
                Err(self.refusal(exceeded.wait))
            }
        }
    }

    /// Puts the headers that say what is left on the answer.
    fn tell(&self, exchange: &mut Exchange, remaining: u32) {
        if let Some(name) = &self.total {
            let total = HeaderValue::from(self.limit.calls);
            exchange
                .answer
                .push(name.clone(), vec![total], IfExists::Override);
        }
        if let Some(name) = &self.remaining {
            let before = &mut exchange.evaluation.remaining;
            let least = before
                .iter()
                .filter(|(other, _)| other == name)
                .map(|(_, left)| *left);
            let least = least.fold(remaining, u32::min);
            before.push((name.clone(), least));
            let value = vec![HeaderValue::from(least)];
            exchange
                .answer
                .push(name.clone(), value, IfExists::Override);
        }
    }

    fn refusal(&self, wait: Duration) -> Refusal {
        // Whole seconds (RFC 9110 §10.2.3), and never so early that it is refused again.
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let message = format!("Rate limit is exceeded. Try again in {seconds} seconds.");
        let seconds = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
        Refusal::new(429, Reason::RateLimitExceeded, Origin::Policy, message)
            .header(self.retry_after.clone(), seconds)
    }
}

impl Increment {
    /// Gives besides whether it reads the answer. Inbound expressions know no `response`, so an
    /// increment that compiles only for outbound is one that reads it.
    fn compile(
        policy: &policy::RateLimitByKey,
        compiler: &Compiler<'_>,
    ) -> Result<(Self, bool), InvalidPolicy> {
        match Self::for_stage(policy, compiler, compiler.stage()) {
            Ok(now) => Ok((now, false)),
            Err(_) => Self::for_stage(policy, compiler, Stage::Outbound).map(|later| (later, true)),
        }
    }

    fn for_stage(
        policy: &policy::RateLimitByKey,
        compiler: &Compiler<'_>,
        stage: Stage,
    ) -> Result<Self, InvalidPolicy> {
        let when = policy.increment_when.as_ref().map(|source| {
            Condition::compile(source, stage)
                .map_err(|error| compiler.expression("rateLimitByKey.incrementWhen", &error))
        });
        let by = policy.increment_by.as_ref().map(|source| {
            Computed::compile(source, stage)
                .map_err(|error| compiler.expression("rateLimitByKey.incrementBy", &error))
        });
        Ok(Self {
            when: when.transpose()?,
            by: by.transpose()?,
        })
    }

    /// How much the handshake counts.
    fn weight(&self, exchange: &mut Exchange) -> Result<u32, Refusal> {
        if let Some(when) = &self.when
            && !when.holds(exchange)?
        {
            return Ok(0);
        }
        let Some(by) = &self.by else {
            return Ok(1);
        };
        let value = by.value(exchange)?;
        let whole = match value {
            Value::Int(value) => u32::try_from(value).ok(),
            Value::UInt(value) => u32::try_from(value).ok(),
            _ => None,
        };
        whole.ok_or_else(|| {
            expression_failed(
                "rateLimitByKey.incrementBy gave no whole number from 0 to 4294967295",
            )
        })
    }
}

/// Counts what waited for the answer, which expressions read as `response`. What can not be
/// evaluated counts once: a fault must not open a limit.
pub(super) fn count_deferred(exchange: &mut Exchange, counters: &Counters) -> Result<(), Refusal> {
    let mut result = Ok(());
    for deferred in std::mem::take(&mut exchange.evaluation.deferred) {
        let weight = deferred.increment.weight(exchange);
        counters.add(
            &deferred.key,
            deferred.period,
            *weight.as_ref().unwrap_or(&1),
        );
        result = result.and(weight.map(|_| ()));
    }
    result
}

#[cfg(test)]
mod tests;
