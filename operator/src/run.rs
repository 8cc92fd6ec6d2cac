//! Puts the operator together and runs it until it is told to stop.

use std::time::Duration;

use kube::{Client, Config};
use tidegate_config::ObjectKey;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, AdminError, Heartbeat};
use crate::chores::Chores;
use crate::drain::Drain;
use crate::gather::{Health, Scope, SharedIndex, Sink, Waker, spawn_watches};
use crate::lease::{Campaign, Leadership};
use crate::metrics::Metrics;
use crate::pass::{Installation, Pass};
use crate::settings::Settings;
use crate::turn::Loop;
use crate::write::Writer;

/// How long writes under way may take when stopping, before the Lease is given back.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long everything else may take after that.
const FAREWELL: Duration = Duration::from_secs(3);

/// Why the operator could not start, or ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Neither a kubeconfig nor a service account.
    #[error("failed to find out how to reach the API server")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The configuration is there but cannot be used.
    #[error("failed to make a client for the API server")]
    Client(#[source] Box<kube::Error>),
    /// A metric's name is not valid or used twice.
    #[error("failed to register metrics")]
    Metrics(#[source] prometheus::Error),
    /// The admin endpoint is not available.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// No signal can be received.
    #[error("failed to listen for signals")]
    Signal(#[source] std::io::Error),
    /// Told to stop twice.
    #[error("stopped without finishing")]
    Aborted,
}

/// Runs the operator until SIGTERM or SIGINT.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let config = Config::infer()
        .await
        .map_err(|error| RunError::Config(Box::new(error)))?;
    let client = Client::try_from(config).map_err(|error| RunError::Client(Box::new(error)))?;
    let drain = Drain::default();
    let metrics = Metrics::new().map_err(RunError::Metrics)?;
    let health = Health::default();
    let heartbeat = Heartbeat::new();
    let sink = Sink {
        index: SharedIndex::default(),
        waker: Waker::default(),
        health: health.clone(),
        metrics: metrics.clone(),
    };
    let scopes = Scope::of(&settings.watch_namespaces);
    spawn_watches(&client, &scopes, &sink, &drain);
    let admin = Admin {
        health,
        heartbeat: heartbeat.clone(),
        metrics,
    };
    let bound = admin.serve(settings.admin_address, &drain).await?;
    tracing::info!(address = %bound, "admin endpoint is up");
    let end = CancellationToken::new();
    let (leadership, campaign) = campaign(&client, &settings, &drain, &end);
    let work = spawn_work(&client, &settings, (sink, heartbeat), leadership, &drain);
    signals.next().await;
    tracing::info!("stopping");
    tokio::select! {
        () = stop(&drain, &end, work, campaign) => Ok(()),
        () = signals.next() => Err(RunError::Aborted),
    }
}

/// Starts the election; without one this replica leads.
fn campaign(
    client: &Client,
    settings: &Settings,
    drain: &Drain,
    end: &CancellationToken,
) -> (Leadership, Option<JoinHandle<()>>) {
    if !settings.leader_elect {
        return (Leadership::forever(), None);
    }
    let namespace = settings.lease_namespace(client.default_namespace());
    let name = &settings.lease_name;
    let identity = settings.identity();
    tracing::info!(namespace, name, identity, "taking part in the election");
    let (campaign, leadership) = Campaign::new(client.clone(), &namespace, name, identity);
    let task = drain.spawn(campaign.run(end.clone()));
    (leadership, Some(task))
}

/// Starts the loop of passes and the chores.
fn spawn_work(
    client: &Client,
    settings: &Settings,
    (sink, heartbeat): (Sink, Heartbeat),
    leadership: Leadership,
    drain: &Drain,
) -> [JoinHandle<()>; 2] {
    let Sink {
        index,
        waker,
        health,
        metrics,
    } = sink;
    let writer = Writer::new(
        client.clone(),
        leadership.clone(),
        index.clone(),
        metrics.clone(),
    );
    let chores = Chores::default();
    let replica = settings.replica();
    let doing = chores
        .clone()
        .run(writer.clone(), replica, waker.clone(), drain.clone());
    let lease_namespace = settings.lease_namespace(client.default_namespace());
    let site = Installation {
        image: settings.gateway_image.clone(),
        namespaces: settings.watch_namespaces.clone(),
        election: ObjectKey::new(lease_namespace, &settings.lease_name),
    };
    let turning = Loop {
        pass: Pass::new(writer, chores, site),
        index,
        waker,
        health,
        heartbeat,
        leadership,
        metrics,
        drain: drain.clone(),
    };
    [drain.spawn(doing), drain.spawn(turning.run())]
}

/// Finishes what is under way, then lets the next replica lead.
async fn stop(
    drain: &Drain,
    end: &CancellationToken,
    work: [JoinHandle<()>; 2],
    campaign: Option<JoinHandle<()>>,
) {
    drain.ask();
    // A task that panicked has ended too.
    let _ = tokio::time::timeout(PATIENCE, futures::future::join_all(work)).await;
    end.cancel();
    if let Some(campaign) = campaign {
        let _ = tokio::time::timeout(FAREWELL, campaign).await;
    }
    if !drain.finished(FAREWELL).await {
        tracing::warn!("some tasks did not end in time");
    }
}

/// The signals that ask the operator to stop.
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
