//! Where limits count: in this pod, or together with the other pods as long as that works.

use std::sync::Arc;

use http::HeaderValue;
use http::header::RETRY_AFTER;

use super::Services;
use super::increment::Count;
use crate::counter::{self, Key, Taken};
use crate::exchange::Exchange;
use crate::quota::{self, Allowance, Book, Booked};
use crate::refusal::{Origin, Reason, Refusal};
use crate::session::LimitKey;
use crate::shared_counters::Away;

/// It is looked once a second whether Redis is back.
const RETRY_WHEN_AWAY: HeaderValue = HeaderValue::from_static("1");

impl Services {
    /// Counts a call of a rate limit.
    pub(super) async fn take(
        &self,
        call: counter::Call<'_>,
    ) -> Result<Result<(u32, Option<Taken>), counter::Exceeded>, Refusal> {
        let Some(shared) = self.shared() else {
            return Ok(self.counters.take(call));
        };
        match shared.rate(call, true).await {
            Ok(answer) => Ok(answer),
            Err(Away) if shared.refuses() => Err(unavailable()),
            Err(Away) => Ok(self.counters.take(call)),
        }
    }

    /// Counts a call of a quota.
    pub(super) async fn book_call(
        &self,
        call: quota::Call<'_>,
    ) -> Result<Result<Option<Booked>, quota::Exceeded>, Refusal> {
        let Some(shared) = self.shared() else {
            return Ok(self.quotas.take(call));
        };
        match shared.quota(call).await {
            Ok(answer) => Ok(answer),
            Err(Away) if shared.refuses() => Err(unavailable()),
            Err(Away) => {
                let answer = self.quotas.take(call);
                if let Ok(Some(booked)) = &answer {
                    shared.add_calls(call.key, &call.allowance, booked.weight());
                }
                Ok(answer)
            }
        }
    }

    /// Takes a place among live tunnels, for as long as the exchange and its tunnel live; `false`:
    /// there is none.
    pub(super) async fn take_place(
        &self,
        exchange: &mut Exchange,
        key: Key,
        max: u32,
    ) -> Result<bool, Refusal> {
        let Some(shared) = self.shared() else {
            return Ok(self.take_own_place(exchange, key, Some(max)));
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
            Ok(true) => Ok(self.take_own_place(exchange, key, None)),
            Err(Away) if shared.refuses() => Err(unavailable()),
            Err(Away) => {
                let taken = self.take_own_place(exchange, key, Some(max));
                let leases = &mut exchange.evaluation.leases;
                if taken && !leases.iter().any(|lease| lease.key() == key) {
                    leases.push(shared.lease_later(key));
                }
                Ok(taken)
            }
        }
    }

    fn take_own_place(&self, exchange: &mut Exchange, key: Key, max: Option<u32>) -> bool {
        let key = LimitKey::Counted(key.bytes());
        let places = &mut exchange.evaluation.places;
        if places.iter().any(|place| *place.key() == key) {
            // Several limits of the same key count a handshake once.
            return max.is_none_or(|max| self.sessions.count(&key) <= max);
        }
        let place = self.sessions.reserve(key, max);
        let taken = place.is_ok();
        places.extend(place);
        taken
    }

    /// Counts what is only known after the answer.
    pub(super) async fn count(&self, count: Count, weight: u32) {
        if weight == 0 {
            return;
        }
        match (count, self.shared()) {
            (Count::Rate(key, limit), shared) => {
                let call = counter::Call {
                    key,
                    limit,
                    weight,
                    own: &[],
                };
                let counted = match shared {
                    Some(shared) => shared.rate(call, false).await.is_ok(),
                    None => false,
                };
                if !counted {
                    self.counters.add(key, limit.period, weight);
                }
            }
            (Count::Quota(key, allowance), None) => {
                self.quotas.add_calls(key, &allowance, weight);
            }
            (Count::Quota(key, allowance), Some(shared)) => {
                if !shared.is_up() {
                    self.quotas.add_calls(key, &allowance, weight);
                }
                shared.add_calls(key, &allowance, weight);
            }
        }
    }

    /// Takes back what a refused handshake counted.
    pub(super) fn give_back_counted(&self, exchange: &mut Exchange) {
        let shared = self.shared();
        for taken in exchange.evaluation.taken.drain(..) {
            match &shared {
                Some(shared) if taken.is_shared() => shared.give_back_rate(taken),
                _ => self.counters.give_back(taken),
            }
        }
        for booked in exchange.evaluation.booked.drain(..) {
            match &shared {
                Some(shared) if booked.is_shared() => shared.give_back_quota(booked),
                _ => self.quotas.give_back(booked),
            }
        }
    }

    /// Books what tunnels have relayed, and closes those whose quota is used up.
    pub(crate) async fn book_bytes(self: &Arc<Self>) {
        self.ledger.book(&**self);
        let Some(shared) = self.shared() else {
            self.ledger
                .close(|key, allowance| self.quotas.bytes(key, allowance));
            return;
        };
        let used = shared.settle().await;
        let own = |key: Key, allowance: &Allowance| self.quotas.bytes(key, allowance);
        self.ledger.close(|key, allowance| {
            let together = used.get(&key).copied();
            together.unwrap_or_else(|| own(key, allowance))
        });
    }
}

impl Book for Services {
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

pub(super) fn unavailable() -> Refusal {
    let message = "Limits can not be checked";
    let reason = Reason::CountersUnavailable;
    Refusal::new(503, reason, Origin::Gateway, message)
        .header(RETRY_AFTER, RETRY_WHEN_AWAY)
        .detail("the shared counters are away, and counters.redis.onFailure is Refuse")
}
