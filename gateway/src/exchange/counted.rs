//! What limits have counted for one handshake, and what they hold for it until its answer is known. Wherever the
//! handshake ends, what is held is given back.

use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};

use super::Exchange;
use crate::counters::counter::{self, Key, Taken};
use crate::counters::quota::{Allowance, Charge};
use crate::refusal::Refusal;

/// Who counts.
pub(crate) trait Limits: fmt::Debug + Send + Sync {
    /// A weak reference to itself.
    fn this(&self) -> Weak<dyn Limits>;

    /// Gives back what a rate limit holds.
    fn give_back_taken(&self, taken: Taken);

    /// Gives back what a quota holds.
    fn give_back_charge(&self, charges: Charge);
}

/// How much a handshake counts whose answer is to be known first.
pub(crate) trait Increment: fmt::Debug + Send + Sync {
    /// What it counts by its answer, which expressions read as `response`.
    fn weight(&self, exchange: &mut Exchange) -> Result<u32, Refusal>;

    /// The most that the answer may make of it.
    fn at_most(&self, exchange: &mut Exchange) -> u32;

    /// The most that any handshake has counted.
    fn largest(&self) -> &AtomicU32;
}

/// What is counted when the answer is known.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) count: Count,
    pub(crate) increment: Arc<dyn Increment>,
}

/// Where a limit counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    /// In a sliding window.
    Rate(Key, counter::Limit),
    /// In a fixed period.
    Quota(Key, Allowance),
}

impl Count {
    /// Is it the same key? Then the handshake counts once.
    pub(crate) fn is_of_key(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rate(key, _), Self::Rate(other, _))
            | (Self::Quota(key, _), Self::Quota(other, _)) => key == other,
            _ => false,
        }
    }

    /// The one that looks back for longer.
    pub(crate) fn longer(self, other: Self) -> Self {
        match (self, other) {
            (Self::Rate(_, limit), Self::Rate(_, longer)) if limit.period < longer.period => other,
            _ => self,
        }
    }
}

/// Of one handshake.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// By rate limits.
    pub(crate) taken: Vec<Taken>,
    /// By quotas.
    pub(crate) charges: Vec<Charge>,
    /// What is counted when the answer is known.
    pub(crate) deferred: Vec<Deferred>,
    /// Gives back what is held; set as soon as anything is.
    limits: Option<Weak<dyn Limits>>,
}

impl Counted {
    /// How many limits have counted it, and how many wait for its answer.
    pub(crate) fn limits(&self) -> (usize, usize) {
        let taken = self.taken.iter().filter(|taken| !taken.is_held());
        let charges = self.charges.iter().filter(|charges| !charges.is_held());
        (taken.count() + charges.count(), self.deferred.len())
    }

    /// Is anything to be counted when the answer is known?
    pub(crate) fn waits(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// To be counted when the answer is known.
    pub(crate) fn defer(&mut self, deferred: Option<Deferred>) {
        self.deferred.extend(deferred);
    }

    pub(crate) fn add_taken(&mut self, taken: Option<Taken>, limits: &dyn Limits) {
        if taken.is_some_and(|taken| taken.is_held()) {
            self.limits = Some(limits.this());
        }
        self.taken.extend(taken);
    }

    pub(crate) fn add_charges(&mut self, charges: Option<Charge>, limits: &dyn Limits) {
        if charges.is_some_and(|charges| charges.is_held()) {
            self.limits = Some(limits.this());
        }
        self.charges.extend(charges);
    }

    /// What a rate limit's key holds.
    pub(crate) fn held_taken(&mut self, key: Key) -> Vec<Taken> {
        let of_key = |taken: &mut Taken| taken.is_held() && taken.key() == key;
        self.taken.extract_if(.., of_key).collect()
    }

    /// What a quota's key holds.
    pub(crate) fn held_charges(&mut self, key: Key) -> Vec<Charge> {
        let of_key = |charges: &mut Charge| charges.is_held() && charges.key() == key;
        self.charges.extract_if(.., of_key).collect()
    }

    /// What was counted for good of a rate limit's key.
    pub(crate) fn taken_of(&self, key: Key) -> u32 {
        let of_key = self.taken.iter().filter(|taken| taken.key() == key);
        let counted = of_key.filter(|taken| !taken.is_held());
        counted.fold(0, |sum, taken| sum.saturating_add(taken.weight()))
    }

    /// What was counted for good of a quota's key.
    pub(crate) fn charged_for(&self, key: Key) -> u32 {
        let of_key = self.charges.iter().filter(|charges| charges.key() == key);
        let counted = of_key.filter(|charges| !charges.is_held());
        counted.fold(0, |sum, charges| sum.saturating_add(charges.weight()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(limits) = self.limits.as_ref().and_then(Weak::upgrade) else {
            return;
        };
        for taken in self.taken.drain(..).filter(Taken::is_held) {
            limits.give_back_taken(taken);
        }
        for charges in self.charges.drain(..).filter(Charge::is_held) {
            limits.give_back_charge(charges);
        }
    }
}
