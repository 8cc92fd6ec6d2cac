//! The state of the gateway, for its handle, the admin server and the acknowledgement.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::configuration::Applied;
use crate::configuration::update::Update;
use crate::handshake::Explainer;
use crate::listener::BoundListener;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Traces;
use tidegate_tunnel::session::Sessions;

/// Written by the config applier and the shutdown, read by the handle, the admin server and the metrics.
pub(crate) struct GatewayState {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) traces: Arc<Traces>,
    /// From the first configuration on.
    pub(crate) explainer: OnceLock<Explainer>,
    pub(crate) serving: watch::Sender<Option<Arc<Update>>>,
    pub(crate) applied: watch::Sender<Applied>,
    pub(crate) bound: watch::Sender<Vec<BoundListener>>,
    /// True once a configuration was in use with all its listeners bound. It stays true: a later listener that
    /// cannot be bound must not make a pod unready that serves all others.
    pub(crate) complete: watch::Sender<bool>,
    draining: watch::Sender<bool>,
}

impl GatewayState {
    pub(crate) fn new(metrics: Arc<Metrics>, sessions: Arc<Sessions>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            sessions,
            traces: Arc::default(),
            explainer: OnceLock::new(),
            serving: watch::Sender::new(None),
            applied: watch::Sender::new(Applied::default()),
            bound: watch::Sender::new(Vec::new()),
            complete: watch::Sender::new(false),
            draining: watch::Sender::new(false),
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    pub(crate) fn start_draining(&self) {
        self.draining.send_replace(true);
        self.metrics.draining.set(1);
    }

    /// Why the pod is not ready; `None`: it is ready.
    pub(crate) fn why_not_ready(&self) -> Option<String> {
        if self.is_draining() {
            return Some("draining".to_owned());
        }
        if *self.complete.borrow() {
            return None;
        }
        let applied = self.applied.borrow();
        if let Some(error) = &applied.error {
            return Some(error.clone());
        }
        let why = match applied.revision {
            0 => "waiting for a configuration",
            _ => "not all listeners are bound",
        };
        Some(why.to_owned())
    }
}
