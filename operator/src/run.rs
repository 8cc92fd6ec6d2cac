//! Puts the operator together and runs it until SIGTERM or SIGINT.

use std::time::Duration;

use kube::{Client, Config};
use tidegate_config::ObjectKey;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, AdminError, Heartbeat};
use crate::drain::Drain;
use crate::leader_election::{LeaderElection, Leadership};
use crate::metrics::Metrics;
use crate::reconcile::{Context, Installation, ReconcileLoop, Reconciler};
use crate::settings::Settings;
use crate::status::StatusWriter;
use crate::watch::{SharedCache, Trigger, WatchContext, WatchHealth, WatchScope, spawn_watches};
use crate::work_queue::{WorkQueue, Worker};
use crate::write::Writer;

/// When the operator stops: time for the writes in progress, before the Lease is released.
const WRITES_TIMEOUT: Duration = Duration::from_secs(1);

/// When the operator stops: time for everything else after that.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the operator could not start, or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is neither a kubeconfig nor a service account.
    #[error("failed to find a kubeconfig or a service account")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The kubeconfig or the service account cannot be used.
    #[error("failed to create a client for the API server")]
    Client(#[source] Box<kube::Error>),
    /// A metric's name is not valid or used twice.
    #[error("failed to register metrics")]
    Metrics(#[source] prometheus::Error),
    /// The admin server could not start.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Signals cannot be received.
    #[error("failed to listen for signals")]
    Signal(#[source] std::io::Error),
    /// A second signal arrived.
    #[error("stopped by a second signal before everything had finished")]
    Aborted,
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
///
/// When the operator could not start, and [`RunError::Aborted`] when a second signal arrived.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let config = Config::infer()
        .await
        .map_err(|error| RunError::Config(Box::new(error)))?;
    let client = Client::try_from(config).map_err(|error| RunError::Client(Box::new(error)))?;
    let drain = Drain::default();
    let metrics = Metrics::new().map_err(RunError::Metrics)?;
    let heartbeat = Heartbeat::new();
    let watches = WatchContext {
        cache: SharedCache::default(),
        trigger: Trigger::default(),
        health: WatchHealth::default(),
        metrics: metrics.clone(),
    };
    let scopes = WatchScope::of_namespaces(&settings.watch_namespaces);
    spawn_watches(&client, &scopes, &watches, &drain);
    let admin = Admin {
        health: watches.health.clone(),
        heartbeat: heartbeat.clone(),
        metrics,
    };
    let bound = admin.serve(settings.admin_address, &drain).await?;
    tracing::info!(address = %bound, "admin server is up");
    let stop_election = CancellationToken::new();
    let (leadership, election) = spawn_election(&client, &settings, &drain, &stop_election);
    let tasks = spawn_reconciling(&client, &settings, (watches, heartbeat), leadership, &drain);
    signals.next().await;
    tracing::info!("stopping");
    tokio::select! {
        () = stop(&drain, &stop_election, tasks, election) => Ok(()),
        () = signals.next() => Err(RunError::Aborted),
    }
}

/// Starts the leader election; without one this replica always leads.
fn spawn_election(
    client: &Client,
    settings: &Settings,
    drain: &Drain,
    stop: &CancellationToken,
) -> (Leadership, Option<JoinHandle<()>>) {
    if !settings.leader_elect {
        return (Leadership::always(), None);
    }
    let namespace = settings.lease_namespace(client.default_namespace());
    let name = &settings.lease_name;
    let identity = settings.identity();
    tracing::info!(
        namespace,
        name,
        identity,
        "taking part in the leader election"
    );
    let (election, leadership) = LeaderElection::new(client.clone(), &namespace, name, identity);
    let task = drain.spawn(election.run(stop.clone()));
    (leadership, Some(task))
}

/// Starts the reconcile loop and the worker of its queue.
fn spawn_reconciling(
    client: &Client,
    settings: &Settings,
    (watches, heartbeat): (WatchContext, Heartbeat),
    leadership: Leadership,
    drain: &Drain,
) -> [JoinHandle<()>; 2] {
    let WatchContext {
        cache,
        trigger,
        health,
        metrics,
    } = watches;
    let writer = Writer::new(
        client.clone(),
        leadership.clone(),
        cache.clone(),
        metrics.clone(),
    );
    let queue = WorkQueue::default();
    let worker = Worker {
        queue: queue.clone(),
        writer: writer.clone(),
        statuses: StatusWriter::new(
            client.clone(),
            writer.clone(),
            metrics.clone(),
            settings.replica(),
        ),
        trigger: trigger.clone(),
    };
    let context = Context {
        client: client.clone(),
        cache: cache.clone(),
        metrics: metrics.clone(),
        installation: installation(client, settings),
    };
    let reconcile_loop = ReconcileLoop {
        reconciler: Reconciler::new(context, writer, queue),
        cache,
        trigger,
        health,
        heartbeat,
        leadership,
        metrics,
        drain: drain.clone(),
    };
    let worker = drain.spawn(worker.run(drain.clone()));
    [worker, drain.spawn(reconcile_loop.run())]
}

fn installation(client: &Client, settings: &Settings) -> Installation {
    let lease_namespace = settings.lease_namespace(client.default_namespace());
    Installation {
        image: settings.gateway_image.clone(),
        namespaces: settings.watch_namespaces.clone(),
        election: ObjectKey::new(lease_namespace, &settings.lease_name),
    }
}

/// Finishes what is in progress, then releases the Lease.
async fn stop(
    drain: &Drain,
    stop_election: &CancellationToken,
    tasks: [JoinHandle<()>; 2],
    election: Option<JoinHandle<()>>,
) {
    drain.ask();
    // A task that panicked has ended too.
    let _ = tokio::time::timeout(WRITES_TIMEOUT, futures::future::join_all(tasks)).await;
    stop_election.cancel();
    if let Some(election) = election {
        let _ = tokio::time::timeout(STOP_TIMEOUT, election).await;
    }
    if !drain.finished(STOP_TIMEOUT).await {
        tracing::warn!("some tasks did not end in time");
    }
}

/// The signals that stop the operator.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(RunError::Signal)?,
            interrupt: signal(SignalKind::interrupt()).map_err(RunError::Signal)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
