//! The connection to Redis: every request has a timeout, and none is sent while Redis is unavailable.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, RedisError, ScriptInvocation, TlsCertificates};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::leases::RENEWAL;
use super::{RedisUnavailable, Settings, SharedCounters};
use crate::outage::{Outage, OutageTracker};
use tidegate_config::error_chain;

/// Time limit for an answer: a handshake waits for it at each step that counts.
const ANSWER: Duration = Duration::from_millis(500);

/// Time limit for a new connection; no handshake waits for it.
const CONNECT: Duration = Duration::from_secs(2);

/// How often to check whether Redis is available.
const PROBE: Duration = Duration::from_secs(1);

/// How the connection does, over all configurations.
#[derive(Debug, Default)]
pub(crate) struct Health {
    up: AtomicBool,
    succeeded: AtomicU64,
    failed: AtomicU64,
    outage: OutageTracker,
}

impl Health {
    /// Why counters are not shared at the moment.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.outage.outage()
    }

    /// Are counters shared at the moment?
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Requests that worked, and that did not.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.succeeded), load(&self.failed))
    }
}

pub(super) struct Connection {
    /// `None`: the URL is not one.
    client: Option<Client>,
    /// Another one after each request that failed.
    manager: ArcSwapOption<ConnectionManager>,
    up: AtomicBool,
    health: Arc<Health>,
}

impl Connection {
    /// To be made on the runtime that shall do the connecting.
    pub(super) fn new(settings: &Settings, health: Arc<Health>) -> Self {
        let client = client(settings);
        if let Err(error) = &client {
            // What the library says of a wrong URL may show it, password included.
            tracing::error!(kind = ?error.kind(), "the URL of the shared counters is not usable");
        }
        health.up.store(false, Ordering::Relaxed);
        match &client {
            Ok(_) => health.outage.worked(),
            Err(_) => health.outage.failed("the URL is not usable"),
        }
        let connection = Self {
            client: client.ok(),
            manager: ArcSwapOption::empty(),
            up: AtomicBool::new(false),
            health,
        };
        connection.renew();
        connection
    }

    /// Replaces the connection after a failure; it connects when needed. A connection with a missing answer would
    /// give it to the next request.
    fn renew(&self) {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER))
            // The next probe tries again.
            .set_number_of_retries(0);
        let manager = self
            .client
            .clone()
            .and_then(|client| ConnectionManager::new_lazy_with_config(client, config).ok());
        self.manager.store(manager.map(Arc::new));
    }

    fn manager(&self) -> Result<ConnectionManager, RedisUnavailable> {
        let manager = self.manager.load();
        manager.as_deref().cloned().ok_or(RedisUnavailable)
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisUnavailable> {
        let mut manager = self.manager()?;
        let answer = timeout(ANSWER, script.invoke_async(&mut manager)).await;
        self.note(answer)
    }

    /// Can it be written to?
    async fn probe(&self, name: &str) -> Result<(), RedisUnavailable> {
        let mut manager = self.manager()?;
        let mut command = redis::cmd("SET");
        command.arg(name).arg(1).arg("PX").arg(60_000);
        let answer = timeout(ANSWER + CONNECT, command.query_async(&mut manager)).await;
        self.note::<()>(answer)?;
        self.health.up.store(true, Ordering::Relaxed);
        self.health.outage.worked();
        if !self.up.swap(true, Ordering::Relaxed) {
            tracing::info!("counters are shared");
        }
        Ok(())
    }

    fn note<T>(
        &self,
        answer: Result<Result<T, RedisError>, tokio::time::error::Elapsed>,
    ) -> Result<T, RedisUnavailable> {
        let error = match answer {
            Ok(Ok(value)) => {
                self.health.succeeded.fetch_add(1, Ordering::Relaxed);
                return Ok(value);
            }
            Ok(Err(error)) => error_chain(&error),
            Err(error) => error_chain(&error),
        };
        self.health.failed.fetch_add(1, Ordering::Relaxed);
        self.health.outage.failed(&error);
        self.health.up.store(false, Ordering::Relaxed);
        if self.up.swap(false, Ordering::Relaxed) {
            tracing::warn!("shared counters are unavailable: {error}");
        }
        self.renew();
        Err(RedisUnavailable)
    }
}

fn client(settings: &Settings) -> Result<Client, RedisError> {
    let url = settings.url.as_str();
    match &settings.authorities {
        None => Client::open(url),
        Some(authorities) => {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: Some(authorities.clone()),
            };
            Client::build_with_tls(url, certificates)
        }
    }
}

/// Probes the connection and renews the leases until the counters are dropped.
pub(super) async fn upkeep(shared: Weak<SharedCounters>) {
    let mut ticks = interval(PROBE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed: Option<Instant> = None;
    let mut told = false;
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let was_up = shared.connection.is_up();
        let probed = shared
            .connection
            .probe(&format!("{}:probe", shared.prefix))
            .await;
        if probed.is_err() {
            if !told && !was_up {
                tracing::warn!("shared counters are unavailable since the start");
            }
            told = true;
            continue;
        }
        told = true;
        let due = renewed.is_none_or(|at| at.elapsed() >= RENEWAL);
        if (due || !was_up) && shared.renew_leases().await.is_ok() {
            renewed = Some(Instant::now());
        }
    }
}
