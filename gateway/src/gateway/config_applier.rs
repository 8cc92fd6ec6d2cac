//! Applies configurations: compiles one completely, swaps the snapshot, then updates tunnels, listeners and
//! status. Tunnels whose access was revoked are closed here.
//!
//! A broken object affects only itself; the snapshot takes care of that. Here a configuration is applied as a
//! whole, or not at all.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidegate_config::Rejected;
use tokio::sync::watch;

use crate::backend::health::HealthChecks;
use crate::configuration::snapshot::{SharedRuntime, Snapshot};
use crate::configuration::update::Update;
use crate::configuration::{Applied, Problem};
use crate::connections::Connections;
use crate::gateway::{GatewayState, Options};
use crate::handshake::Explainer;
use crate::handshake::Shared;
use crate::listener::BoundListener;
use crate::listener::{Listeners, Listening};
use crate::telemetry::record::Recorder;
use tidegate_config::error_chain;
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::session::Access;

/// Pause before a port in use is tried again: usually the previous process is about to end.
const BIND_AGAIN: Duration = Duration::from_secs(2);

/// Applies the updates of the configuration.
pub(super) struct ConfigApplier {
    options: Options,
    state: Arc<GatewayState>,
    shared_runtime: Arc<SharedRuntime>,
    drains: Drains,
    /// From the first configuration on.
    running: Option<Running>,
    health: HealthChecks,
    /// The newest update that was handled, whether it could be applied or not.
    seen: Option<Arc<Update>>,
    /// Why it could not be applied: an internal error, since compiling does not fail.
    fault: Option<Problem>,
    /// The problem counted last.
    counted: Option<Problem>,
}

/// Where tasks are spawned.
pub(super) struct Drains {
    pub(super) connections: Drain,
    pub(super) control: Drain,
}

/// What exists from the first configuration on.
struct Running {
    shared: Arc<Shared>,
    listeners: Listeners,
    /// Objects of the snapshot that did not compile.
    rejected: Vec<Rejected>,
    /// Listeners that could not bind.
    unbound: Vec<Rejected>,
}

impl ConfigApplier {
    pub(super) fn new(
        options: Options,
        state: Arc<GatewayState>,
        shared_runtime: Arc<SharedRuntime>,
        drains: Drains,
    ) -> Self {
        let metrics = Arc::clone(&state.metrics);
        let control = drains.control.clone();
        Self {
            health: HealthChecks::new(
                control,
                metrics,
                Arc::clone(&shared_runtime.services.unhealthy),
                shared_runtime.services.guard.admin_ports(),
            ),
            options,
            state,
            shared_runtime,
            drains,
            running: None,
            seen: None,
            fault: None,
            counted: None,
        }
    }

    /// Follows the updates and the source's problems for ever.
    pub(super) async fn run(mut self, mut updates: watch::Receiver<Option<Arc<Update>>>) {
        let none = || watch::channel(None).1;
        let mut problems = self.options.problems.take().unwrap_or_else(none);
        loop {
            let update = updates.borrow_and_update().clone();
            if let Some(update) = update
                && !self.has_seen(&update)
            {
                self.take(update).await;
            }
            self.listen();
            let problem = problems.borrow_and_update().clone();
            self.tell(problem);
            tokio::select! {
                () = changed(&mut updates) => {}
                () = changed(&mut problems) => {}
                () = tokio::time::sleep(BIND_AGAIN), if self.lacks_listeners() => {}
            }
        }
    }

    fn has_seen(&self, update: &Arc<Update>) -> bool {
        let seen = self.seen.as_ref();
        seen.is_some_and(|seen| Arc::ptr_eq(seen, update))
    }

    fn lacks_listeners(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| !running.unbound.is_empty())
    }

    /// Compiles off this thread, then swaps.
    async fn take(&mut self, update: Arc<Update>) {
        self.seen = Some(Arc::clone(&update));
        let previous = self.running.as_ref().map(|r| r.shared.snapshot.load_full());
        let (of, shared_runtime) = (Arc::clone(&update), Arc::clone(&self.shared_runtime));
        let compile = move || Snapshot::compile(&of, previous.as_deref(), &shared_runtime);
        let swapped = match tokio::task::spawn_blocking(compile).await {
            Ok((snapshot, rejected)) => self
                .swap(update, Arc::new(snapshot), rejected)
                .map_err(|error| error_chain(&error)),
            Err(error) => Err(error_chain(&error)),
        };
        self.fault = swapped.err().map(|message| {
            tracing::error!("failed to apply a configuration: {message}");
            Problem {
                reason: "internal",
                message,
            }
        });
    }

    fn swap(
        &mut self,
        update: Arc<Update>,
        snapshot: Arc<Snapshot>,
        rejected: Vec<Rejected>,
    ) -> io::Result<()> {
        let count = rejected.len();
        // Before the swap: handshakes of the new snapshot rely on them.
        let open = snapshot.settings.allow_metadata_addresses;
        self.shared_runtime.services.guard.set_open(open);
        let services = &self.shared_runtime.services;
        services.share(&snapshot.settings, &update.secret_data);
        match &mut self.running {
            Some(running) => {
                running.shared.snapshot.store(Arc::clone(&snapshot));
                running.rejected = rejected;
            }
            None => self.running = Some(self.begin(Arc::clone(&snapshot), rejected)?),
        }
        self.tell_as(&snapshot);
        self.health.reconcile(snapshot.checked(), &snapshot.hop);
        self.close_revoked_tunnels(snapshot);
        // Last: whoever sees this revision sees all that it changed.
        let revision = update.revision;
        self.state.serving.send_replace(Some(update));
        tracing::info!(revision, rejected = count, "configuration applied");
        Ok(())
    }

    /// Closes every tunnel whose access this configuration has revoked: its key, subscription, product or API is
    /// gone or changed. `Sessions::reconcile` (`tunnel/src/session/registry.rs`) decides once per group of
    /// tunnels with the same access.
    fn close_revoked_tunnels(&self, snapshot: Arc<Snapshot>) {
        self.state.sessions.reconcile(snapshot);
    }

    /// Sets up access log and metrics as configured, and drops metrics of objects that are gone.
    fn tell_as(&self, snapshot: &Snapshot) {
        if let Some(running) = &self.running {
            let log = Arc::clone(&snapshot.access_log);
            running.shared.recorder.log_as(log);
        }
        let metrics = &self.state.metrics;
        metrics.label_messages(snapshot.settings.telemetry.metrics.as_ref());
        let api = |key: &_| snapshot.api(key).is_some();
        metrics.retain_apis(api);
        metrics.retain_messages(
            api,
            |key| snapshot.product(key).is_some(),
            |key| snapshot.subscription(key).is_some(),
        );
    }

    fn begin(&self, snapshot: Arc<Snapshot>, rejected: Vec<Rejected>) -> io::Result<Running> {
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::new(snapshot),
            services: Arc::clone(&self.shared_runtime.services),
            sessions: Arc::clone(&self.state.sessions),
            connections: Connections::new(
                Arc::clone(&self.state.sessions),
                Arc::clone(&self.state.metrics),
                workers(&self.options),
            ),
            metrics: Arc::clone(&self.state.metrics),
            recorder: Recorder::new(Arc::clone(&self.state.metrics)),
            traces: Arc::clone(&self.state.traces),
            drain: self.drains.connections.clone(),
        });
        // Weak: the metrics may outlive the connections.
        let asked = Arc::downgrade(&shared);
        self.state.metrics.count_backends(move || {
            let shared = asked.upgrade();
            shared.map_or_else(Vec::new, |shared| {
                shared.snapshot.load().unavailable_backends()
            })
        });
        let control = self.drains.control.clone();
        let listeners = Listeners::start(
            (self.options.bind_address, self.options.ports),
            self.options.workers,
            Arc::clone(&shared),
            control,
        )?;
        // Set once, and only here.
        let _ = self
            .state
            .explainer
            .set(Explainer::new(Arc::clone(&shared)));
        Ok(Running {
            listeners,
            shared,
            rejected,
            unbound: Vec::new(),
        })
    }

    /// Binds and closes listeners as the configuration in use requires.
    fn listen(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        let snapshot = running.shared.snapshot.load_full();
        let Listening { bound, failed } = running.listeners.reconcile(&snapshot);
        let rejected = |(name, address, error)| Rejected {
            kind: "Gateway".to_owned(),
            key: snapshot.settings.key.clone(),
            generation: snapshot.settings.generation,
            message: format!("listener {name} cannot be bound to {address}: {error}"),
        };
        running.unbound = failed.into_iter().map(rejected).collect();
        if running.unbound.is_empty() {
            self.state.complete.send_replace(true);
        }
        self.state.bound.send_if_modified(|current| {
            let new = *current != bound;
            for listener in bound.iter().filter(|listener| !current.contains(listener)) {
                announce(listener);
            }
            *current = bound;
            new
        });
    }

    /// Updates status and metrics.
    fn tell(&mut self, of_source: Option<Problem>) {
        let problem = self.fault.clone().or(of_source);
        let metrics = &self.state.metrics;
        if let Some(problem) = &problem
            && self.counted.as_ref() != Some(problem)
        {
            metrics.config_error(problem.reason);
        }
        let revision = self
            .state
            .serving
            .borrow()
            .as_ref()
            .map_or(0, |u| u.revision);
        let running = self.running.iter();
        let applied = Applied {
            revision,
            rejected: running
                .flat_map(|running| running.rejected.iter().chain(&running.unbound).cloned())
                .collect(),
            synchronized: revision != 0 && problem.is_none(),
            error: problem.as_ref().map(|problem| problem.message.clone()),
            unreachable: self.state.applied.borrow().unreachable.clone(),
        };
        metrics
            .config_revision
            .set(i64::try_from(revision).unwrap_or(i64::MAX));
        metrics.config_synchronized.set(applied.synchronized.into());
        let rejected = i64::try_from(applied.rejected.len()).unwrap_or(i64::MAX);
        metrics.config_rejected_objects.set(rejected);
        self.counted = problem;
        self.state.applied.send_if_modified(|current| {
            let new = *current != applied;
            *current = applied;
            new
        });
    }
}

/// Number of threads that serve connections.
fn workers(options: &Options) -> usize {
    match options.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn announce(listener: &BoundListener) {
    let BoundListener {
        name,
        protocol,
        address,
    } = listener;
    tracing::info!(listener = name, ?protocol, %address, "listening");
}

/// Waits for a change; for ever when the sender is gone.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        pending::<()>().await;
    }
}
