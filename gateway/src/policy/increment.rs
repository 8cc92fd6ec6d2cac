//! Whether a handshake counts against a limit, and how much.

use std::sync::Arc;

use tidegate_expr::{Stage, Value};

use super::Services;
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Computed, Condition, expression_failed};
use crate::counter::{self, Key};
use crate::exchange::Exchange;
use crate::quota::Allowance;
use crate::refusal::Refusal;

/// `incrementWhen` and `incrementBy`, compiled. The default counts each handshake once.
#[derive(Debug, Default)]
pub(super) struct Increment {
    when: Option<Condition>,
    by: Option<Computed>,
    /// The policy's name.
    of: &'static str,
    /// Is what counts known only when the answer is?
    deferred: bool,
}

/// The expressions as they were written.
pub(super) struct Source<'s> {
    pub(super) of: &'static str,
    pub(super) when: Option<&'s String>,
    pub(super) by: Option<&'s String>,
}

/// What is counted when the answer is known.
#[derive(Debug)]
pub(crate) struct Deferred {
    count: Count,
    increment: Arc<Increment>,
}

/// Where a limit counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    /// In a sliding window.
    Rate(Key, counter::Limit),
    /// In a fixed period.
    Quota(Key, Allowance),
}

impl Increment {
    /// Inbound expressions know no `response`, so an increment that compiles only for outbound is
    /// one that reads it.
    pub(super) fn compile(
        source: &Source<'_>,
        compiler: &Compiler<'_>,
    ) -> Result<Arc<Self>, InvalidPolicy> {
        let compiled = match Self::for_stage(source, compiler, compiler.stage()) {
            Ok(now) => now,
            Err(_) => Self {
                deferred: true,
                ..Self::for_stage(source, compiler, Stage::Outbound)?
            },
        };
        Ok(Arc::new(compiled))
    }

    fn for_stage(
        source: &Source<'_>,
        compiler: &Compiler<'_>,
        stage: Stage,
    ) -> Result<Self, InvalidPolicy> {
        let of = source.of;
        let when = source.when.map(|text| {
            Condition::compile(text, stage)
                .map_err(|error| compiler.expression(&format!("{of}.incrementWhen"), &error))
        });
        let by = source.by.map(|text| {
            Computed::compile(text, stage)
                .map_err(|error| compiler.expression(&format!("{of}.incrementBy"), &error))
        });
        Ok(Self {
            when: when.transpose()?,
            by: by.transpose()?,
            of,
            deferred: false,
        })
    }

    /// How much the handshake counts as far as is known now.
    pub(super) fn now(&self, exchange: &mut Exchange) -> Result<u32, Refusal> {
        match self.deferred {
            true => Ok(0),
            false => self.weight(exchange),
        }
    }

    /// What is to be counted later, if anything is.
    pub(super) fn later(self: &Arc<Self>, count: Count) -> Option<Deferred> {
        self.deferred.then(|| Deferred {
            count,
            increment: Arc::clone(self),
        })
    }

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
            let of = self.of;
            expression_failed(format!(
                "{of}.incrementBy gave no whole number from 0 to 4294967295"
            ))
        })
    }
}

/// Counts what waited for the answer, which expressions read as `response`. What can not be
/// evaluated counts once: a fault must not open a limit.
pub(super) async fn count_deferred(
    exchange: &mut Exchange,
    services: &Services,
) -> Result<(), Refusal> {
    let mut result = Ok(());
    for deferred in std::mem::take(&mut exchange.evaluation.deferred) {
        let weight = deferred.increment.weight(exchange);
        let counted = *weight.as_ref().unwrap_or(&1);
        if !exchange.evaluation.is_dry_run() {
            services.count(deferred.count, counted).await;
        }
        result = result.and(weight.map(|_| ()));
    }
    result
}
