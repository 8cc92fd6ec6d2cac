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
use super::action::{Action, Compile, Later};
use super::compile::{Compiler, InvalidPolicy};
use super::increment::Increment;
use super::subject::Subject;
use crate::counters::counter::Limit;
use crate::exchange::Exchange;
use crate::exchange::counted::Count;
use crate::refusal::{Origin, Reason, Refusal};

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct RateLimit {
    pub(super) subject: Subject,
    pub(super) limit: Limit,
    pub(super) increment: Arc<Increment>,
    pub(super) remaining_calls: RemainingCalls,
}

/// Where it says what is left.
#[derive(Debug)]
pub(super) struct RemainingCalls {
    retry_after: HeaderName,
    retry_after_variable: Option<String>,
    remaining: Option<HeaderName>,
    remaining_variable: Option<String>,
    total: Option<HeaderName>,
}

/// The names of [`RemainingCalls`], as both policies have them.
pub(super) struct Names<'s> {
    /// The policy's name.
    pub(super) of: &'static str,
    pub(super) retry_after: &'s str,
    pub(super) retry_after_variable: &'s Option<String>,
    pub(super) remaining: &'s Option<String>,
    pub(super) remaining_variable: &'s Option<String>,
    pub(super) total: &'s Option<String>,
}

impl RemainingCalls {
    pub(super) fn compile(
        names: &Names<'_>,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let header =
            |field: &str, name: &str| compiler.free_header(&format!("{}.{field}", names.of), name);
        let optional = |field: &str, name: &Option<String>| {
            name.as_ref().map(|name| header(field, name)).transpose()
        };
        Ok(Self {
            retry_after: header("retryAfterHeader", names.retry_after)?,
            retry_after_variable: names.retry_after_variable.clone(),
            remaining: optional("remainingHeader", names.remaining)?,
            remaining_variable: names.remaining_variable.clone(),
            total: optional("totalHeader", names.total)?,
        })
    }
}

impl Compile for policy::RateLimit {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        let names = Names {
            of: "rateLimit",
            retry_after: &self.retry_after_header,
            retry_after_variable: &self.retry_after_variable,
            remaining: &self.remaining_header,
            remaining_variable: &self.remaining_variable,
            total: &self.total_header,
        };
        Ok(Action::later(RateLimit {
            subject: Subject::subscription(compiler),
            limit: Limit {
                calls: self.calls,
                period: self.period.get(),
            },
            increment: Arc::default(),
            remaining_calls: RemainingCalls::compile(&names, compiler)?,
        }))
    }
}

impl RateLimit {
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

impl Later for RateLimit {
    async fn run(&self, exchange: &mut Exchange, services: &Services) -> Result<(), Refusal> {
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
}

#[cfg(test)]
mod tests;
