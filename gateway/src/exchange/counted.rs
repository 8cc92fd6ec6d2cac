//! What limits have counted for one handshake, and what they hold for it until its answer is known. Wherever the
//! handshake ends, what is held is given back.

use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};

use super::Exchange;
use crate::counters::counter::{self, Key, RateCharge};
use crate::counters::quota::{Allowance, QuotaCharge};
use crate::refusal::Refusal;

/// The counters of limits.
pub(crate) trait Limits: fmt::Debug + Send + Sync {
    /// A weak reference to itself.
    fn this(&self) -> Weak<dyn Limits>;

    /// Gives back what a rate limit holds.
    fn give_back_rate_charge(&self, rate_charges: RateCharge);

    /// Gives back what a quota holds.
    fn give_back_quota_charge(&self, quota_charges: QuotaCharge);
}

/// The weight of a handshake that depends on its answer.
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

/// The counts of one handshake.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// By rate limits.
    pub(crate) rate_charges: Vec<RateCharge>,
    /// By quotas.
    pub(crate) quota_charges: Vec<QuotaCharge>,
    /// What is counted when the answer is known.
    pub(crate) deferred: Vec<Deferred>,
    /// Gives back what is held; set as soon as anything is.
    limits: Option<Weak<dyn Limits>>,
}

impl Counted {
    /// How many limits have counted it, and how many wait for its answer.
    pub(crate) fn limits(&self) -> (usize, usize) {
        let rate_charges = self
            .rate_charges
            .iter()
            .filter(|rate_charges| !rate_charges.is_held());
        let quota_charges = self
            .quota_charges
            .iter()
            .filter(|quota_charges| !quota_charges.is_held());
        (
            rate_charges.count() + quota_charges.count(),
            self.deferred.len(),
        )
    }

    /// Is anything to be counted when the answer is known?
    pub(crate) fn waits(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// To be counted when the answer is known.
    pub(crate) fn defer(&mut self, deferred: Option<Deferred>) {
        self.deferred.extend(deferred);
    }

    pub(crate) fn add_rate_charge(
        &mut self,
        rate_charges: Option<RateCharge>,
        limits: &dyn Limits,
    ) {
        if rate_charges.is_some_and(|rate_charges| rate_charges.is_held()) {
            self.limits = Some(limits.this());
        }
        self.rate_charges.extend(rate_charges);
    }

    pub(crate) fn add_quota_charge(
        &mut self,
        quota_charges: Option<QuotaCharge>,
        limits: &dyn Limits,
    ) {
        if quota_charges.is_some_and(|quota_charges| quota_charges.is_held()) {
            self.limits = Some(limits.this());
        }
        self.quota_charges.extend(quota_charges);
    }

    /// What a rate limit's key holds.
    pub(crate) fn held_rate_charges(&mut self, key: Key) -> Vec<RateCharge> {
        let of_key =
            |rate_charges: &mut RateCharge| rate_charges.is_held() && rate_charges.key() == key;
        self.rate_charges.extract_if(.., of_key).collect()
    }

    /// What a quota's key holds.
    pub(crate) fn held_quota_charges(&mut self, key: Key) -> Vec<QuotaCharge> {
        let of_key =
            |quota_charges: &mut QuotaCharge| quota_charges.is_held() && quota_charges.key() == key;
        self.quota_charges.extract_if(.., of_key).collect()
    }

    /// What was counted for good of a rate limit's key.
    pub(crate) fn rate_charged_for(&self, key: Key) -> u32 {
        let of_key = self
            .rate_charges
            .iter()
            .filter(|rate_charges| rate_charges.key() == key);
        let counted = of_key.filter(|rate_charges| !rate_charges.is_held());
        counted.fold(0, |sum, rate_charges| {
            sum.saturating_add(rate_charges.weight())
        })
    }

    /// What was counted for good of a quota's key.
    pub(crate) fn quota_charged_for(&self, key: Key) -> u32 {
        let of_key = self
            .quota_charges
            .iter()
            .filter(|quota_charges| quota_charges.key() == key);
        let counted = of_key.filter(|quota_charges| !quota_charges.is_held());
        counted.fold(0, |sum, quota_charges| {
            sum.saturating_add(quota_charges.weight())
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(limits) = self.limits.as_ref().and_then(Weak::upgrade) else {
            return;
        };
        for rate_charges in self.rate_charges.drain(..).filter(RateCharge::is_held) {
            limits.give_back_rate_charge(rate_charges);
        }
        for quota_charges in self.quota_charges.drain(..).filter(QuotaCharge::is_held) {
            limits.give_back_quota_charge(quota_charges);
        }
    }
}
