//! Whether a handshake counts against a limit, and how much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderMap;
use tidegate_expr::{Stage, Value};

use super::Services;
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Computed, Condition, expression_failed};
use crate::exchange::Exchange;
use crate::exchange::counted::{self, Count, Deferred};
use crate::refusal::Refusal;

/// What backends and policies answer mostly: from what an increment says of each follows how much it
/// may count.
const USUAL_STATUSES: [u16; 10] = [101, 400, 401, 403, 404, 429, 500, 502, 503, 504];

/// `incrementWhen` and `incrementBy`, compiled. The default counts each handshake once.
#[derive(Debug, Default)]
pub(super) struct Increment {
    when: Option<Condition>,
    by: Option<Computed>,
    /// The policy's name.
    of: &'static str,
    /// Is what counts known only when the answer is?
    deferred: bool,
    /// `by`, where that much is known before the answer.
    by_now: Option<Computed>,
    /// The most that it has counted.
    largest: AtomicU32,
}

/// How much a handshake counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) amount: u32,
    /// Only the answer tells; this much is kept for it until then.
    pub(super) provisional: bool,
}

/// The expressions as they were written.
pub(super) struct Expressions<'s> {
    pub(super) of: &'static str,
    pub(super) when: Option<&'s String>,
    pub(super) by: Option<&'s String>,
}

impl Increment {
    /// Inbound expressions know no `response`, so an increment that compiles only for outbound is
    /// one that reads it.
    pub(super) fn compile(
        expressions: &Expressions<'_>,
        compiler: &Compiler<'_>,
    ) -> Result<Arc<Self>, InvalidPolicy> {
        let compiled = match Self::for_stage(expressions, compiler, compiler.stage()) {
            Ok(now) => now,
            Err(_) => Self {
                deferred: true,
                by_now: expressions
                    .by
                    .and_then(|text| Computed::compile(text, compiler.stage()).ok()),
                ..Self::for_stage(expressions, compiler, Stage::Outbound)?
            },
        };
        Ok(Arc::new(compiled))
    }

    fn for_stage(
        expressions: &Expressions<'_>,
        compiler: &Compiler<'_>,
        stage: Stage,
    ) -> Result<Self, InvalidPolicy> {
        let of = expressions.of;
        let when = expressions.when.map(|text| {
            Condition::compile(text, stage)
                .map_err(|error| compiler.expression(&format!("{of}.incrementWhen"), &error))
        });
        let by = expressions.by.map(|text| {
            Computed::compile(text, stage)
                .map_err(|error| compiler.expression(&format!("{of}.incrementBy"), &error))
        });
        Ok(Self {
            when: when.transpose()?,
            by: by.transpose()?,
            of,
            ..Self::default()
        })
    }

    /// How much the handshake counts, or may count by its answer.
    pub(super) fn now(&self, exchange: &mut Exchange) -> Result<Weight, Refusal> {
        let amount = match self.deferred {
            true => counted::Increment::at_most(self, exchange),
            false => counted::Increment::weight(self, exchange)?,
        };
        Ok(Weight {
            amount,
            provisional: self.deferred,
        })
    }

    /// What is to be counted later, if anything is.
    pub(super) fn later(self: &Arc<Self>, count: Count) -> Option<Deferred> {
        self.deferred.then(|| Deferred {
            count,
            increment: Arc::<Self>::clone(self),
        })
    }

    fn amount(&self, by: &Computed, exchange: &mut Exchange) -> Result<u32, Refusal> {
        let value = by.value(exchange)?;
        let whole = match value {
            Value::Int(value) => u32::try_from(value).ok(),
            Value::UInt(value) => u32::try_from(value).ok(),
            _ => None,
        };
        whole.ok_or_else(|| {
            let of = self.of;
            expression_failed(format!(
                "{of}.incrementBy gave no whole number from 0 to 4294967295"
            ))
        })
    }
}

impl counted::Increment for Increment {
    fn weight(&self, exchange: &mut Exchange) -> Result<u32, Refusal> {
        if let Some(when) = &self.when
            && !when.holds(exchange)?
        {
            return Ok(0);
        }
        let Some(by) = &self.by else {
            return Ok(1);
        };
        self.amount(by, exchange)
    }

    /// The highest weight that the answer may give, as far as it is known. Holding too little would let too many
    /// handshakes pass at a time; holding nothing would let all pass.
    fn at_most(&self, exchange: &mut Exchange) -> u32 {
        if self.by.is_none() {
            return 1;
        }
        if let Some(by) = &self.by_now {
            return self.amount(by, exchange).unwrap_or(1);
        }
        let mut most = self.largest.load(Ordering::Relaxed).max(1);
        for status in USUAL_STATUSES {
            exchange.set_response(Some((status, &HeaderMap::new())));
            most = most.max(self.weight(exchange).unwrap_or(1));
        }
        exchange.set_response(None);
        most
    }

    fn largest(&self) -> &AtomicU32 {
        &self.largest
    }
}

/// Counts what waited for the answer, which expressions read as `response`. What cannot be
/// evaluated counts once: a fault must not open a limit.
pub(super) async fn count_deferred(
    exchange: &mut Exchange,
    services: &Services,
) -> Result<(), Refusal> {
    count(exchange, services, |increment, exchange| {
        increment.weight(exchange)
    })
    .await
}

/// Counts a handshake whose client left before the answer. A guessed password may have been checked all the
/// same, so it must not be free.
pub(crate) async fn count_unanswered(exchange: &mut Exchange, services: &Services) {
    let most = |increment: &dyn counted::Increment, exchange: &mut Exchange| {
        Ok(increment.at_most(exchange))
    };
    // The client is gone, so there is nobody to refuse.
    let _ = count(exchange, services, most).await;
}

async fn count(
    exchange: &mut Exchange,
    services: &Services,
    weight_of: impl Fn(&dyn counted::Increment, &mut Exchange) -> Result<u32, Refusal>,
) -> Result<(), Refusal> {
    let mut result = Ok(());
    let mut counts: Vec<(Count, u32)> = Vec::new();
    for deferred in std::mem::take(&mut exchange.evaluation.counted.deferred) {
        let weight = weight_of(&*deferred.increment, exchange);
        let weight_or_one = *weight.as_ref().unwrap_or(&1);
        let largest = deferred.increment.largest();
        largest.fetch_max(weight_or_one, Ordering::Relaxed);
        let count = deferred.count;
        match counts.iter_mut().find(|(known, _)| known.is_of_key(&count)) {
            Some((known, most)) => {
                *known = known.longer(count);
                *most = weight_or_one.max(*most);
            }
            None => counts.push((count, weight_or_one)),
        }
        result = result.and(weight.map(|_| ()));
    }
    if exchange.evaluation.is_dry_run() {
        return result;
    }
    for (count, weight) in counts {
        services.settle(exchange, count, weight).await;
    }
    result
}
