//! Counts limits with the shared counters, or in this pod if there are none or they are unavailable.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderValue;
use http::header::RETRY_AFTER;
use tokio::time::Instant;

use super::Services;
use super::increment::Weight;
use crate::counters::counter::{self, Key, RateCharge};
use crate::counters::quota::{self, Allowance, ByteCounts, QuotaCharge};
use crate::counters::shared_counters::RedisUnavailable;
use crate::exchange::Exchange;
use crate::exchange::counted::{Count, Counted, Limits};
use crate::refusal::{Origin, Reason, Refusal};
use tidegate_tunnel::session::LimitKey;

/// Retry-After: Redis is probed once a second.
const RETRY_WHEN_AWAY: HeaderValue = HeaderValue::from_static("1");

/// If the pod dies, what is held in Redis outlives the handshake's deadline by at most this time.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// Longest lease, also for a handshake without a deadline.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

impl Limits for Services {
    fn this(&self) -> Weak<dyn Limits> {
        let this: Weak<Self> = Weak::clone(&self.this);
        this
    }

    fn give_back_rate_charge(&self, taken: RateCharge) {
        match self.shared() {
            Some(shared) if taken.is_shared() => shared.give_back_rate(taken),
            _ => self.counters.give_back(taken),
        }
    }

    fn give_back_quota_charge(&self, charge: QuotaCharge) {
        match self.shared() {
            Some(shared) if charge.is_shared() => shared.give_back_quota(charge),
            _ => self.quotas.give_back(charge),
        }
    }
}

impl Services {
    /// Counts or holds a call of a rate limit; gives what remains.
    pub(super) async fn take(
        &self,
        exchange: &mut Exchange,
        (key, limit): (Key, counter::Limit),
        weight: Weight,
    ) -> Result<Result<u32, counter::Exceeded>, Refusal> {
        if exchange.evaluation.is_dry_run() {
            return self.ask_rate(exchange, (key, limit), weight).await;
        }
        let call = counter::Call {
            key,
            limit,
            weight: weight.amount,
            provisional: weight.provisional,
            own: &exchange.evaluation.counted.rate_charges,
        };
        let answer = self.rate_answer(call).await?;
        let (remaining, taken) = match answer {
            Ok(taken) => taken,
            Err(exceeded) => return Ok(Err(exceeded)),
        };
        let counted = &mut exchange.evaluation.counted;
        if let Some(taken) = taken.filter(|taken| !taken.is_held()) {
            // A counted call need not be held too.
            let mut more = taken.weight();
            for mut held in counted.held_rate_charges(key) {
                let part = held.split(more);
                more -= part.weight();
                if part.weight() > 0 {
                    self.give_back_rate_charge(part);
                }
                counted.add_rate_charge((held.weight() > 0).then_some(held), self);
            }
        }
        counted.add_rate_charge(taken, self);
        Ok(Ok(remaining))
    }

    /// Counts or holds a call of a quota.
    pub(super) async fn charge_call(
        &self,
        exchange: &mut Exchange,
        (key, allowance): (Key, Allowance),
        weight: Weight,
    ) -> Result<Result<(), quota::Exceeded>, Refusal> {
        if exchange.evaluation.is_dry_run() {
            return self.ask_quota(exchange, (key, allowance), weight).await;
        }
        let lease = lease(exchange);
        let counted = &mut exchange.evaluation.counted;
        let call = quota::Call {
            key,
            allowance,
            weight: weight.amount,
            provisional: weight.provisional,
            own: &counted.quota_charges,
        };
        let answer = self.quota_answer(call, lease).await?;
        let charge = match answer {
            Ok(charge) => charge,
            Err(exceeded) => return Ok(Err(exceeded)),
        };
        if charge.is_some_and(|charge| !charge.is_held()) {
            // A counted call need not be held too, unless more was held than is counted.
            self.keep_less(counted, key, charge.map_or(0, |charge| charge.weight()));
        }
        counted.add_quota_charge(charge, self);
        Ok(Ok(()))
    }

    /// What a rate limit says: of this pod, or of all together.
    pub(super) async fn rate_answer(
        &self,
        call: counter::Call<'_>,
    ) -> Result<Result<(u32, Option<RateCharge>), counter::Exceeded>, Refusal> {
        let Some(shared) = self.shared() else {
            return Ok(self.counters.take(call));
        };
        match shared.rate(call).await {
            Ok(answer) => Ok(answer),
            Err(RedisUnavailable) if shared.refuses() => Err(unavailable()),
            Err(RedisUnavailable) => Ok(self.counters.take(call)),
        }
    }

    /// What a quota says: of this pod, or of all together.
    pub(super) async fn quota_answer(
        &self,
        call: quota::Call<'_>,
        lease: Duration,
    ) -> Result<Result<Option<QuotaCharge>, quota::Exceeded>, Refusal> {
        let Some(shared) = self.shared() else {
            return Ok(self.quotas.take(call));
        };
        match shared.quota(call, lease).await {
            Ok(answer) => Ok(answer),
            Err(RedisUnavailable) if shared.refuses() => Err(unavailable()),
            Err(RedisUnavailable) => {
                let answer = self.quotas.take(call);
                if let Ok(Some(charge)) = &answer
                    && !charge.is_held()
                {
                    shared.add_calls(call.key, &call.allowance, charge.weight());
                }
                Ok(answer)
            }
        }
    }

    /// Gives back held calls up to the counted weight; one that weighs more is kept.
    fn keep_less(&self, counted: &mut Counted, key: Key, mut counts: u32) {
        for held in counted.held_quota_charges(key) {
            if held.weight() <= counts {
                counts -= held.weight();
                self.give_back_quota_charge(held);
            } else {
                counted.add_quota_charge(Some(held), self);
            }
        }
    }

    /// Reserves a tunnel permit for as long as the exchange and its tunnel live; `false`: none is left.
    pub(super) async fn reserve_tunnel(
        &self,
        exchange: &mut Exchange,
        key: Key,
        max: u32,
    ) -> Result<bool, Refusal> {
        let Some(shared) = self.shared() else {
            return Ok(self.reserve_local(exchange, key, Some(max)));
        };
        let leases = &mut exchange.evaluation.leases;
        let held = leases.iter().find(|lease| lease.key() == key);
        let answer = match held {
            Some(lease) => shared.fits(lease, max).await,
            None => shared.lease(key, max).await.map(|lease| {
                let taken = lease.is_some();
                leases.extend(lease);
                taken
            }),
        };
        match answer {
            Ok(false) => Ok(false),
            // Counted here besides, for the time when Redis is away.
            Ok(true) => Ok(self.reserve_local(exchange, key, None)),
            Err(RedisUnavailable) if shared.refuses() => Err(unavailable()),
            Err(RedisUnavailable) => {
                let taken = self.reserve_local(exchange, key, Some(max));
                let leases = &mut exchange.evaluation.leases;
                if taken && !leases.iter().any(|lease| lease.key() == key) {
                    leases.push(shared.lease_later(key));
                }
                Ok(taken)
            }
        }
    }

    fn reserve_local(&self, exchange: &mut Exchange, key: Key, max: Option<u32>) -> bool {
        let key = LimitKey::Counted(key.bytes());
        let reservations = &mut exchange.evaluation.reservations;
        if reservations.iter().any(|held| *held.key() == key) {
            // Several limits of the same key count a handshake once.
            return max.is_none_or(|max| self.sessions.count(&key) <= max);
        }
        let held = self.sessions.reserve(key, max);
        let taken = held.is_ok();
        reservations.extend(held);
        taken
    }

    /// Counts what is known only after the answer, instead of what was held until then.
    pub(super) async fn settle(&self, exchange: &mut Exchange, count: Count, weight: u32) {
        match count {
            Count::Rate(key, limit) => {
                self.settle_rate(exchange, (key, limit.period), weight)
                    .await;
            }
            Count::Quota(key, allowance) => {
                self.settle_quota(exchange, (key, &allowance), weight).await;
            }
        }
    }

    async fn settle_rate(
        &self,
        exchange: &mut Exchange,
        (key, period): (Key, Duration),
        weight: u32,
    ) {
        let counted = &mut exchange.evaluation.counted;
        let weight = weight.saturating_sub(counted.rate_charged_for(key));
        // Removed before any await, so that nothing is given back twice.
        let held = counted.held_rate_charges(key).into_iter();
        let (there, here): (Vec<_>, Vec<_>) = held.partition(RateCharge::is_shared);
        let shared = self.shared().filter(|_| weight > 0);
        let answer = match &shared {
            Some(shared) => Some(shared.settle_rate(&there, (key, period), weight).await),
            None => None,
        };
        let taken = match answer {
            Some(Ok(taken)) => {
                here.into_iter()
                    .for_each(|held| self.give_back_rate_charge(held));
                taken
            }
            // What Redis holds expires with its window.
            Some(Err(RedisUnavailable)) => self.counters.settle(&here, (key, period), weight),
            None => {
                there
                    .into_iter()
                    .for_each(|held| self.give_back_rate_charge(held));
                self.counters.settle(&here, (key, period), weight)
            }
        };
        let counted = &mut exchange.evaluation.counted;
        counted.add_rate_charge(taken, self);
    }

    async fn settle_quota(
        &self,
        exchange: &mut Exchange,
        (key, allowance): (Key, &Allowance),
        weight: u32,
    ) {
        let weight = weight.saturating_sub(exchange.evaluation.counted.quota_charged_for(key));
        let shared = self.shared().filter(|_| weight > 0);
        let charge = match &shared {
            Some(shared) => shared.settle_quota((key, allowance), weight).await,
            None => Err(RedisUnavailable),
        };
        let counted = &mut exchange.evaluation.counted;
        let held = counted.held_quota_charges(key);
        let charge = charge.unwrap_or_else(|RedisUnavailable| {
            if let Some(shared) = &shared {
                shared.add_calls(key, allowance, weight);
            }
            self.quotas.settle(&[], (key, allowance), weight)
        });
        // After counting, so that no other handshake gets the room in between.
        for held in held {
            self.give_back_quota_charge(held);
        }
        counted.add_quota_charge(charge, self);
    }

    /// Takes back what a refused handshake counted.
    pub(super) fn give_back_counted(&self, exchange: &mut Exchange) {
        let counted = &mut exchange.evaluation.counted;
        counted.deferred.clear();
        for taken in counted.rate_charges.drain(..) {
            self.give_back_rate_charge(taken);
        }
        for charge in counted.quota_charges.drain(..) {
            self.give_back_quota_charge(charge);
        }
    }

    /// Adds the bytes of tunnels to quotas, and closes the tunnels whose quota is used up.
    pub(crate) async fn account_bytes(self: &Arc<Self>) {
        self.byte_accounting.account(&**self);
        let Some(shared) = self.shared() else {
            self.byte_accounting
                .close(|key, allowance| self.quotas.bytes(key, allowance));
            return;
        };
        let used = shared.settle().await;
        let own = |key: Key, allowance: &Allowance| self.quotas.bytes(key, allowance);
        self.byte_accounting.close(|key, allowance| {
            let together = used.get(&key).copied();
            together.unwrap_or_else(|| own(key, allowance))
        });
    }
}

impl ByteCounts for Services {
    fn add_bytes(&self, key: Key, allowance: &Allowance, bytes: u64) {
        let shared = self.shared();
        if let Some(shared) = &shared {
            shared.add_bytes(key, allowance, bytes);
        }
        if shared.is_none_or(|shared| !shared.is_up()) {
            self.quotas.add_bytes(key, allowance, bytes);
        }
    }
}

/// How long Redis holds a count of this handshake if the pod dies.
fn lease(exchange: &Exchange) -> Duration {
    let deadline = exchange.evaluation.deadline;
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    left.map_or(LONGEST_LEASE, |left| {
        (left + LEASE_MARGIN).min(LONGEST_LEASE)
    })
}

pub(super) fn unavailable() -> Refusal {
    let message = "Limits cannot be checked";
    let reason = Reason::CountersUnavailable;
    Refusal::new(503, reason, Origin::Gateway, message)
        .header(RETRY_AFTER, RETRY_WHEN_AWAY)
        .detail("the shared counters are unavailable, and counters.redis.onFailure is Refuse")
}
