//! A gateway in this process, fed by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_gateway::{Gateway, Metrics, Options, Update};
use tokio::sync::watch;

use crate::support::config::Config;
use crate::support::{LIMIT, within};

/// A running gateway on free ports of 127.0.0.1.
pub(crate) struct TestGateway {
    pub(crate) gateway: Gateway,
    pub(crate) metrics: Arc<Metrics>,
    updates: watch::Sender<Option<Arc<Update>>>,
    revision: u64,
}

impl TestGateway {
    /// Starts and waits until it serves `config`.
    pub(crate) async fn start(config: &Config) -> Self {
        let mut started = Self::start_empty(Options::local()).await;
        started.apply(config).await;
        within("the listeners", started.gateway.ready()).await;
        started
    }

    /// Starts without a configuration.
    pub(crate) async fn start_empty(mut options: Options) -> Self {
        // Fails when another test was first, and then there is one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        if options.workers == 0 {
            options.workers = 2;
        }
        let metrics = Arc::clone(&options.metrics);
        let (updates, receiver) = watch::channel(None);
        let gateway = Gateway::start(options, receiver).await.unwrap();
        Self {
            gateway,
            metrics,
            updates,
            revision: 40,
        }
    }

    /// Gives it the next revision and waits until that is in use.
    pub(crate) async fn apply(&mut self, config: &Config) {
        self.offer(config);
        let (revision, mut status) = (self.revision, self.gateway.status());
        let applied = status.wait_for(|applied| applied.revision == revision);
        within("the revision to be taken over", applied)
            .await
            .unwrap();
    }

    /// Gives it the next revision, whatever it makes of it.
    pub(crate) fn offer(&mut self, config: &Config) {
        self.revision += 1;
        let update = Arc::new(config.update(self.revision));
        self.updates.send_replace(Some(update));
    }

    /// Where a listener listens.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let bound = self.gateway.bound();
        let found = bound.iter().find(|bound| bound.name == listener);
        found.expect("no such listener").address
    }

    /// URL of `path` on the listener `plain`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address("plain"))
    }

    /// The value of a metric with exactly these labels, as written; 0 when there is none.
    pub(crate) fn metric(&self, name_and_labels: &str) -> f64 {
        let text = self.metrics.render();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name_and_labels)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric has this value.
    pub(crate) async fn metric_is(&self, name_and_labels: &str, value: f64) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        while self.metric(name_and_labels) != value {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{name_and_labels} is {}, not {value}",
                self.metric(name_and_labels)
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
