//! rateLimit, rateLimitByKey: at most so many handshakes per period for each subscription, or for
//! each value of a key.
//!
//! A handshake that any limit refuses counts for none. One that another step refuses later counts:
//! a limit before validateJwt limits how often a client may try.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;
use tidegate_config::policy::{self, IfExists};
use tidegate_expr::Value;

use super::Services;
use super::compile::{Compiler, InvalidPolicy};
use super::increment::{Expressions, Increment};
use super::subject::Subject;
use crate::counters::counter::Limit;
use crate::exchange::Exchange;
use crate::exchange::counted::Count;
use crate::refusal::{Origin, Reason, Refusal};

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct RateLimit {
    subject: Subject,
    limit: Limit,
    increment: Arc<Increment>,
    remaining_calls: RemainingCalls,
}

/// Where it says what is left.
#[derive(Debug)]
struct RemainingCalls {
    retry_after: HeaderName,
    retry_after_variable: Option<String>,
    remaining: Option<HeaderName>,
    remaining_variable: Option<String>,
    total: Option<HeaderName>,
}

impl RateLimit {
    /// rateLimit.
    pub(super) fn by_subscription(
        policy: &policy::RateLimit,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let header =
            |field: &str, name: &String| compiler.free_header(&format!("rateLimit.{field}"), name);
        let optional = |field: &str, name: &Option<String>| {
            name.as_ref().map(|name| header(field, name)).transpose()
        };
        Ok(Self {
            subject: Subject::subscription(compiler),
            limit: Limit {
                calls: policy.calls,
                period: policy.period.get(),
            },
            increment: Arc::default(),
            remaining_calls: RemainingCalls {
                retry_after: header("retryAfterHeader", &policy.retry_after_header)?,
                retry_after_variable: policy.retry_after_variable.clone(),
                remaining: optional("remainingHeader", &policy.remaining_header)?,
                remaining_variable: policy.remaining_variable.clone(),
                total: optional("totalHeader", &policy.total_header)?,
            },
        })
    }

    /// rateLimitByKey.
    pub(super) fn by_key(
        policy: &policy::RateLimitByKey,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let header = |field: &str, name: &String| {
            compiler.free_header(&format!("rateLimitByKey.{field}"), name)
        };
        let optional = |field: &str, name: &Option<String>| {
            name.as_ref().map(|name| header(field, name)).transpose()
        };
        let increment = Expressions {
            of: "rateLimitByKey",
            when: policy.increment_when.as_ref(),
            by: policy.increment_by.as_ref(),
        };
        Ok(Self {
            subject: Subject::key("rateLimitByKey.key", &policy.key, compiler)?,
            limit: Limit {
                calls: policy.calls,
                period: policy.period.get(),
            },
            increment: Increment::compile(&increment, compiler)?,
            remaining_calls: RemainingCalls {
                retry_after: header("retryAfterHeader", &policy.retry_after_header)?,
                retry_after_variable: policy.retry_after_variable.clone(),
                remaining: optional("remainingHeader", &policy.remaining_header)?,
                remaining_variable: policy.remaining_variable.clone(),
                total: optional("totalHeader", &policy.total_header)?,
            },
        })
    }

    pub(super) async fn run(
        &self,
        exchange: &mut Exchange,
        services: &Services,
    ) -> Result<(), Refusal> {
        let Some(key) = self.subject.of(exchange)? else {
            return Ok(());
        };
        let weight = self.increment.now(exchange)?;
        match services.take(exchange, (key, self.limit), weight).await? {
            Ok(remaining) => {
                self.tell(exchange, remaining);
                let later = self.increment.later(Count::Rate(key, self.limit));
                exchange.evaluation.counted.defer(later);
                Ok(())
            }
            Err(exceeded) => {
                self.tell(exchange, 0);
                Err(self.refusal(exceeded.wait, exchange))
            }
        }
    }

    /// Says what is left, in headers of the answer and in a variable.
    fn tell(&self, exchange: &mut Exchange, remaining: u32) {
        let RemainingCalls {
            remaining: header,
            remaining_variable,
            total,
            ..
        } = &self.remaining_calls;
        if let Some(name) = remaining_variable {
            exchange.set_var(name, Value::Int(i64::from(remaining)));
        }
        if let Some(name) = total {
            let total = HeaderValue::from(self.limit.calls);
            exchange
                .answer
                .push(name.clone(), vec![total], IfExists::Override);
        }
        if let Some(name) = header {
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

    fn refusal(&self, wait: Duration, exchange: &mut Exchange) -> Refusal {
        // Whole seconds (RFC 9110 §10.2.3), and never so early that it is refused again.
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        if let Some(name) = &self.remaining_calls.retry_after_variable {
            exchange.set_var(name, Value::Int(i64::from(seconds)));
        }
        let message = format!("Rate limit is exceeded. Try again in {seconds} seconds.");
        Refusal::new(429, Reason::RateLimitExceeded, Origin::Policy, message).header(
            self.remaining_calls.retry_after.clone(),
            HeaderValue::from(seconds),
        )
    }
}

#[cfg(test)]
mod tests;
