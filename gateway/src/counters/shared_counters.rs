//! Counters that all pods of a Gateway share, in Redis or Valkey: rate limits, quotas, live tunnels.
//!
//! One atomic script per step, so one round trip; all of them run on the control runtime, where the
//! connection lives. Nothing waits while Redis is unavailable: callers get an error at once, and
//! `connection` probes until it is back. Keys are hashes that include the Gateway's name: Redis does not
//! reveal who was counted. Time is that of the Redis server, because the pods' clocks may differ.

mod connection;
mod leases;
mod pending;
mod scripts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, ScriptInvocation};
use tidegate_config::{ObjectKey, OnFailure};
use tokio::runtime::Handle;
use url::Url;

pub(crate) use connection::Health;
pub(crate) use leases::Lease;

use crate::counters::counter::{self, Key, Limit, RETRY_WHEN_HELD, RateCharge, hashed};
use crate::counters::quota::{self, Allowance, QuotaCharge, UsedUp};
use connection::Connection;
use leases::Leases;
use pending::Pending;
use scripts::Scripts;
use tidegate_tunnel::drain::Drain;

/// Redis did not answer in time, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shared counters are unavailable")]
pub(crate) struct RedisUnavailable;

/// What a quota's script counts.
struct Counting {
    /// Calls that must be free; 0: no check.
    needed: u32,
    more: u32,
    bytes: u64,
}

/// What a quota's script answers: see there.
type QuotaAnswer = (u8, i64, i64, i64, i64);

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

fn weight(value: i64) -> u32 {
    u32::try_from(number(value)).unwrap_or(u32::MAX)
}

/// Settings of the shared counters.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) gateway: ObjectKey,
    /// May contain a password.
    pub(crate) url: String,
    /// Certificate authorities instead of the system's, PEM.
    pub(crate) authorities: Option<Vec<u8>>,
    pub(crate) on_failure: OnFailure,
}

impl Settings {
    /// Host and port of the server, as it may be shown.
    pub(crate) fn place(&self) -> String {
        let url = Url::parse(&self.url).ok();
        let host = url.as_ref().and_then(Url::host_str);
        let port = url.as_ref().and_then(Url::port).unwrap_or(6379);
        host.map_or_else(
            || "counters.redis".to_owned(),
            |host| format!("{host}:{port}"),
        )
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

/// The counters of a Gateway in one Redis.
pub(crate) struct SharedCounters {
    pub(crate) settings: Settings,
    prefix: String,
    scripts: Scripts,
    connection: Connection,
    leases: Leases,
    pending: Pending,
    drain: Drain,
    runtime: Handle,
}

impl fmt::Debug for SharedCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCounters").finish_non_exhaustive()
    }
}

impl SharedCounters {
    /// Starts to connect; tasks are `drain`'s and run on `runtime`.
    pub(crate) fn start(
        settings: Settings,
        health: &Arc<Health>,
        drain: &Drain,
        runtime: &Handle,
    ) -> Arc<Self> {
        // Connecting is the control runtime's matter.
        let _inside = runtime.enter();
        let of: [u8; 16] = hashed(&["gateway", &settings.gateway.to_string()]);
        let shared = Arc::new(Self {
            prefix: format!("tidegate:{}", hex::encode(of)),
            scripts: Scripts::new(),
            connection: Connection::new(&settings, Arc::clone(health)),
            leases: Leases::default(),
            pending: Pending::default(),
            drain: drain.clone(),
            runtime: runtime.clone(),
            settings,
        });
        let upkeep = connection::upkeep(Arc::downgrade(&shared));
        let until = drain.clone();
        drain.spawn_on(
            async move {
                tokio::select! {
                    () = until.insisted() => {}
                    () = upkeep => {}
                }
            },
            runtime,
        );
        shared
    }

    /// Does it answer at the moment?
    pub(crate) fn is_up(&self) -> bool {
        self.connection.is_up()
    }

    /// Is a handshake refused if it cannot be counted?
    pub(crate) fn refuses(&self) -> bool {
        self.settings.on_failure == OnFailure::Refuse
    }

    /// As [`counter::Counters::take`].
    ///
    /// # Errors
    /// [`RedisUnavailable`]: Redis did not answer.
    pub(crate) async fn rate(
        self: &Arc<Self>,
        call: counter::Call<'_>,
    ) -> Result<Result<(u32, Option<RateCharge>), counter::Exceeded>, RedisUnavailable> {
        let own = call.own();
        let Limit { calls, period } = call.limit;
        let mut script = self.scripts.rate.prepare_invoke();
        self.window_keys(&mut script, call.key);
        script
            .arg(period.as_millis() as u64)
            .arg(calls)
            .arg(call.weight)
            .arg(own.counted)
            .arg(own.held)
            .arg(u8::from(call.provisional))
            .arg(RETRY_WHEN_HELD.as_millis() as u64);
        let answer: (i64, i64, String, i64) = self.run(script).await?;
        let (1, remaining, slot, more) = answer else {
            let wait = Duration::from_millis(number(answer.1));
            return Ok(Err(counter::Exceeded { wait }));
        };
        let slot = slot.parse().unwrap_or_default();
        let (more, remaining) = (weight(more), weight(remaining));
        let charge = RateCharge::shared(call.key, slot, (more, call.provisional));
        Ok(Ok((remaining, (more > 0).then_some(charge))))
    }

    /// As [`counter::Counters::settle`].
    ///
    /// # Errors
    /// [`RedisUnavailable`]: Redis did not answer.
    pub(crate) async fn settle_rate(
        self: &Arc<Self>,
        held: &[RateCharge],
        (key, period): (Key, Duration),
        weight: u32,
    ) -> Result<Option<RateCharge>, RedisUnavailable> {
        let script = self.rate_back_script(held, (key, period), weight);
        let slot: String = self.run(script).await?;
        let slot = slot.parse().unwrap_or_default();
        Ok((weight > 0).then(|| RateCharge::shared(key, slot, (weight, false))))
    }

    /// Gives back what a handshake counted or held, in the background.
    pub(crate) fn give_back_rate(self: &Arc<Self>, charge: RateCharge) {
        let shared = Arc::clone(self);
        self.spawn(async move {
            let at = (charge.key(), Duration::ZERO);
            let script = shared.rate_back_script(&[charge], at, 0);
            // Lost if Redis becomes unavailable now: one call too many is counted.
            let _: Result<String, RedisUnavailable> = shared.ask(&script).await;
        });
    }

    fn rate_back_script(
        &self,
        back: &[RateCharge],
        (key, period): (Key, Duration),
        weight: u32,
    ) -> ScriptInvocation<'_> {
        let mut script = self.scripts.rate_back.prepare_invoke();
        self.window_keys(&mut script, key);
        script.arg(period.as_millis() as u64).arg(weight);
        for charge in back.iter().filter(|charge| charge.is_shared()) {
            script
                .arg(charge.slot().to_string())
                .arg(charge.weight())
                .arg(u8::from(charge.is_held()));
        }
        script
    }

    /// As [`quota::Quotas::take`]. What is held for the handshake expires after `lease` if this pod dies.
    ///
    /// # Errors
    /// [`RedisUnavailable`]: Redis did not answer.
    pub(crate) async fn quota(
        self: &Arc<Self>,
        call: quota::Call<'_>,
        lease: Duration,
    ) -> Result<Result<Option<QuotaCharge>, quota::Exceeded>, RedisUnavailable> {
        let own = call.own();
        let more = own.more(call.weight, call.provisional);
        let (least, more_now) = match call.provisional {
            // The script decides how much is held.
            true => (1, 0),
            false => (call.weight.max(1), more),
        };
        let count = Counting {
            needed: least.max(own.sum()) - own.sum(),
            more: more_now,
            bytes: 0,
        };
        let mut script = self.quota_script(call.key, &call.allowance, count);
        let number = self.leases.number();
        if call.provisional && more > 0 {
            script
                .arg(self.leases.name(number))
                .arg(more)
                .arg(lease.as_millis() as u64);
        }
        let (code, _, wait, end, kept): QuotaAnswer = self.run(script).await?;
        let what = match code {
            1 => UsedUp::Bandwidth,
            2 => UsedUp::Calls,
            _ if call.provisional => {
                let kept = weight(kept);
                let charge = QuotaCharge::leased(call.key, number, kept);
                return Ok(Ok((kept > 0).then_some(charge)));
            }
            _ => {
                let charge = QuotaCharge::shared(call.key, end, more);
                return Ok(Ok((more > 0).then_some(charge)));
            }
        };
        let wait = u64::try_from(wait).ok().map(Duration::from_millis);
        Ok(Err(quota::Exceeded { what, wait }))
    }

    /// As [`quota::Quotas::settle`], but what was held has to be given back separately.
    ///
    /// # Errors
    /// [`RedisUnavailable`]: Redis did not answer.
    pub(crate) async fn settle_quota(
        self: &Arc<Self>,
        (key, allowance): (Key, &Allowance),
        weight: u32,
    ) -> Result<Option<QuotaCharge>, RedisUnavailable> {
        let count = Counting {
            needed: 0,
            more: weight,
            bytes: 0,
        };
        let script = self.quota_script(key, allowance, count);
        let (_, _, _, end, _): QuotaAnswer = self.run(script).await?;
        Ok((weight > 0).then(|| QuotaCharge::shared(key, end, weight)))
    }

    /// Gives back what a handshake counted or held, in the background.
    pub(crate) fn give_back_quota(self: &Arc<Self>, charge: QuotaCharge) {
        let shared = Arc::clone(self);
        self.spawn(async move {
            let mut script = shared.scripts.quota_back.prepare_invoke();
            shared.quota_keys(&mut script, charge.key());
            if charge.is_held() {
                script
                    .arg("")
                    .arg(0)
                    .arg(shared.leases.name(charge.lease()));
            } else {
                script.arg(charge.end()).arg(charge.weight());
            }
            // Lost if Redis becomes unavailable now: what is held expires.
            let _: Result<i64, RedisUnavailable> = shared.ask(&script).await;
        });
    }

    fn quota_script(
        &self,
        key: Key,
        allowance: &Allowance,
        count: Counting,
    ) -> ScriptInvocation<'_> {
        let most = |most: Option<u64>| most.map_or("-1".to_owned(), |most| most.to_string());
        let (length, start) = allowance.periods.cut();
        let mut script = self.scripts.quota.prepare_invoke();
        self.quota_keys(&mut script, key);
        script
            .arg(length)
            .arg(start)
            .arg(most(allowance.calls))
            .arg(most(allowance.bytes))
            .arg(count.needed)
            .arg(count.more)
            .arg(count.bytes)
            .arg(RETRY_WHEN_HELD.as_millis() as u64);
        script
    }

    fn quota_keys(&self, script: &mut ScriptInvocation<'_>, key: Key) {
        script
            .key(self.name("q", key))
            .key(self.name("p", key))
            .key(self.name("h", key));
    }

    fn window_keys(&self, script: &mut ScriptInvocation<'_>, key: Key) {
        script.key(self.name("r", key)).key(self.name("s", key));
    }

    /// What belongs to one key has one hash tag: it stays together in a cluster.
    fn name(&self, kind: &str, key: Key) -> String {
        format!("{}:{kind}:{{{key}}}", self.prefix)
    }

    /// Runs a script on the control runtime.
    async fn run<T>(self: &Arc<Self>, script: ScriptInvocation<'_>) -> Result<T, RedisUnavailable>
    where
        T: FromRedisValue + Send + 'static,
    {
        if !self.connection.is_up() {
            return Err(RedisUnavailable);
        }
        self.ask(&script).await
    }

    async fn ask<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisUnavailable> {
        self.connection.ask(script).await
    }

    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.drain.spawn_on(task, &self.runtime);
    }
}
