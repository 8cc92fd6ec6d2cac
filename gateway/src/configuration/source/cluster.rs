//! The cluster source: watches the ConfigMaps of one Gateway and fetches its Secrets by name.
//!
//! The only module that knows Kubernetes. Nothing is ever read from a mounted volume: those lag by
//! a minute. One watch sees the shards before the index that names them, because the API server
//! sends events in the order of the writes.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config};
use tidegate_config::{AssembleError, ConfigIndex, LABEL_GATEWAY, ObjectKey};
use tokio::time::{Instant, sleep_until};

use self::backoff::{Backoff, WatchBackoff};
use self::secrets::Secrets;
use self::store::Store;
use crate::configuration::source::Feed;
use crate::configuration::source::Problem;
use crate::configuration::state_dir::StateDir;
use crate::configuration::update::Update;
use tidegate_config::error_chain;

mod ack;
mod backoff;
mod secrets;
mod store;
#[cfg(test)]
mod tests;

pub use ack::{Ack, Pod};

/// How long one watch call lasts. A connection that dies silently is noticed only after this time, so it bounds
/// how late revoked access takes effect; reopening costs one request.
const WATCH_SECONDS: u32 = 30;

/// Connect timeout: an unreachable API server must not delay the start from disk.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the API server may take before the backup is used: long enough that a pod which can
/// reach it never serves an old configuration, short beside the time a pod takes to start.
const COLD_START: Duration = Duration::from_secs(3);

/// Shortest time between two log lines about an unreachable API server.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(60);

/// Events are collected for this time: a full list is one change, not hundreds.
const BATCH: usize = 1024;

/// The part of the cluster that the pods of one Gateway may read.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    gateway: ObjectKey,
}

/// Why there is no client for the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a service account nor a kubeconfig.
    #[error("failed to find out how to reach the API server")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The client cannot be built from what was found.
    #[error("failed to set up the API server's client")]
    Client(#[source] Box<kube::Error>),
}

impl Cluster {
    /// Sets up a client from the service account or kubeconfig; sends no request yet.
    ///
    /// # Errors
    /// [`ConnectError`]: there is neither, or it is not valid.
    pub async fn connect(gateway: ObjectKey) -> Result<Self, ConnectError> {
        let infer = Config::infer().await;
        let mut config = infer.map_err(|source| ConnectError::Config(Box::new(source)))?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let client = Client::try_from(config);
        let client = client.map_err(|source| ConnectError::Client(Box::new(source)))?;
        Ok(Self { client, gateway })
    }

    /// The acknowledgement of this pod.
    pub fn ack(&self, pod: Pod) -> Ack {
        Ack::new(&self.client, &self.gateway, pod)
    }

    /// Publishes every new configuration, for ever. The backup is used once, when the API server
    /// does not answer at the start.
    pub async fn run(self, feed: Feed, backup: Option<StateDir>) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.gateway.namespace);
        let labels = format!("{LABEL_GATEWAY}={}", self.gateway.name);
        let config = watcher::Config::default()
            .labels(&labels)
            .timeout(WATCH_SECONDS);
        let events = watcher(api, config).backoff(WatchBackoff::default());
        let mut events = pin!(events.ready_chunks(BATCH));
        let mut cold_start = backup.map(|dir| (Instant::now() + COLD_START, dir));
        let mut follower = Follower::new(self, feed);
        loop {
            let cold = cold_start.as_ref().map(|(at, _)| *at);
            tokio::select! {
                Some(batch) = events.next() => {
                    follower.take(batch);
                    follower.settle().await;
                }
                () = at(follower.retry) => follower.settle().await,
                () = at(cold) => {
                    if let Some((_, dir)) = cold_start.take() {
                        follower.start_cold(&dir).await;
                    }
                }
            }
            if follower.feed.has_published() {
                cold_start = None;
            }
        }
    }
}

/// Waits for ever when there is nothing to wait for.
async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Follows the watches: the objects and what was published of them.
struct Follower {
    gateway: ObjectKey,
    feed: Feed,
    store: Store,
    secrets: Secrets,
    published: Option<ConfigIndex>,
    backoff: Backoff,
    /// When a lost watch was logged last.
    complained: Option<Instant>,
    /// When to try again, if the failure may be temporary.
    retry: Option<Instant>,
}

impl Follower {
    fn new(cluster: Cluster, feed: Feed) -> Self {
        Self {
            secrets: Secrets::new(&cluster.client, &cluster.gateway.namespace),
            store: Store::new(&cluster.gateway),
            gateway: cluster.gateway,
            feed,
            published: None,
            backoff: Backoff::default(),
            complained: None,
            retry: None,
        }
    }

    fn take(&mut self, batch: Vec<Result<Event<ConfigMap>, watcher::Error>>) {
        for event in batch {
            match event {
                Ok(event) => self.store.apply(event),
                Err(error) => self.complain(&error),
            }
        }
    }

    /// Only before anything was published a lost watch is a problem of the configuration: later,
    /// what was seen last stays the newest one known.
    fn complain(&mut self, error: &watcher::Error) {
        let message = format!("failed to watch the configuration: {}", error_chain(error));
        if self.feed.has_published() {
            let now = Instant::now();
            if self
                .complained
                .is_none_or(|last| now > last + COMPLAIN_AGAIN)
            {
                tracing::warn!("{message}");
                self.complained = Some(now);
            }
        } else {
            self.feed.problem(Problem {
                reason: "watch_failed",
                message,
            });
        }
    }

    /// Publishes the content of the store, if it is complete and new.
    async fn settle(&mut self) {
        if !self.store.is_listed() {
            return;
        }
        self.retry = None;
        let index = match self.store.index(&self.gateway) {
            Ok(index) => index,
            Err(problem) => return self.feed.problem(problem),
        };
        if self.published.as_ref() == Some(&index) {
            self.backoff.restart();
            return self.feed.solved();
        }
        match self.assemble(&index).await {
            Ok(update) => {
                self.feed.publish(update);
                self.published = Some(index);
                self.backoff.restart();
            }
            Err(problem) => {
                self.feed.problem(problem);
                self.retry = Some(Instant::now() + self.backoff.step());
            }
        }
    }

    async fn assemble(&mut self, index: &ConfigIndex) -> Result<Update, Problem> {
        let secrets = self.secrets.fetch(&index.secrets).await?;
        let shards = self.store.texts(index);
        let index = index.clone();
        // Hashing and parsing tens of megabytes would delay other tasks of this thread.
        let assembled = tokio::task::spawn_blocking(move || {
            let shard = |name: &str| shards.get(name).map(|text| &**text);
            let secret = |name: &str| secrets.get(name).map(|text| &**text);
            Update::assemble(&index, shard, secret)
        });
        match assembled.await {
            Ok(update) => update.map_err(|error: AssembleError| Problem::from(&error)),
            Err(error) => Err(Problem {
                reason: "internal",
                message: error_chain(&error),
            }),
        }
    }

    /// Serves the backup until the API server answers, unless it did in the meantime.
    async fn start_cold(&mut self, backup: &StateDir) {
        if self.feed.has_published() {
            return;
        }
        match backup.load().await {
            Ok(update) if update.config.settings.key == self.gateway => {
                tracing::warn!(
                    revision = update.revision,
                    "the API server does not answer: starting with the saved configuration"
                );
                self.feed.publish(update);
                self.feed.problem(Problem {
                    reason: "saved_configuration",
                    message: "serving the configuration saved on disk; the API server has not \
                              answered yet"
                        .to_owned(),
                });
            }
            Ok(update) => tracing::warn!(
                "the saved configuration is of Gateway {}: not used",
                update.config.settings.key
            ),
            Err(error) => tracing::info!("no saved configuration: {}", error_chain(&error)),
        }
    }
}
