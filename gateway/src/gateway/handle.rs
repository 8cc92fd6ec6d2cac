//! The handle of a running gateway: start, status, shutdown, abort.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::Drain as DrainSettings;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::configuration::Applied;
use crate::configuration::snapshot::SharedRuntime;
use crate::configuration::state_dir::QuotaFile;
use crate::configuration::update::Update;
use crate::gateway::admin::Admin;
use crate::gateway::config_applier::{ConfigApplier, Drains};
use crate::gateway::dependencies;
use crate::gateway::{GatewayState, Options};
use crate::listener::BoundListener;
use crate::policy::Services;
use tidegate_tunnel::drain::{Drain, DrainTrigger};
use tidegate_tunnel::session::Sessions;

/// How often the access of all tunnels is checked again, in case an event was lost.
const SWEEP: Duration = Duration::from_secs(60);

/// How often to check whether the wall clock was set: a tunnel can outlive its token by this time.
const CLOCK_WATCH: Duration = Duration::from_secs(1);

/// How long tasks may take to end after they were cut.
const TASK_END_TIMEOUT: Duration = Duration::from_secs(1);

/// How long saving the quotas at the end may take: some megabytes at most.
const QUOTA_SAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The admin server's address is taken, or not ours.
    #[error("failed to bind the admin address {0}")]
    Admin(SocketAddr, #[source] io::Error),
    /// The system gives no random numbers.
    #[error("failed to set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running gateway. When dropped it ends at once; [`Gateway::shutdown`] drains it first.
pub struct Gateway {
    state: Arc<GatewayState>,
    admin_address: Option<SocketAddr>,
    /// Connections and their tunnels.
    connections: DrainTrigger,
    services: Arc<Services>,
    quota_file: Option<QuotaFile>,
    /// What must outlive the connections: configuration, listeners, admin server.
    control: DrainTrigger,
}

impl Gateway {
    /// Starts a gateway that serves the configurations of `updates` as they come.
    ///
    /// # Errors
    /// [`StartError`]: the admin address cannot be bound, or TLS cannot be set up.
    pub async fn start(
        options: Options,
        updates: watch::Receiver<Option<Arc<Update>>>,
    ) -> Result<Self, StartError> {
        let (connections, connection_drain) = Drain::pair();
        let (control, control_drain) = Drain::pair();
        let metrics = Arc::clone(&options.metrics);
        let state = GatewayState::new(Arc::clone(&metrics), Sessions::new());
        let admin = match options.admin_address {
            None => None,
            Some(address) => Some(bind_admin(address, &options, &state).await?),
        };
        let sessions = Arc::clone(&state.sessions);
        let both = (control_drain.clone(), connection_drain.clone());
        let ports = &options.admin_ports;
        let services = Services::away_from(ports, both, Handle::current(), sessions);
        if let Some(directory) = &options.token_directory {
            services.calls.read_tokens_from(directory.clone());
        }
        let quota_file = options.quota_file.clone().map(QuotaFile::new);
        if let Some(file) = &quota_file {
            restore(file, &services).await;
            supervise(
                &control_drain,
                file.clone().keep(Arc::clone(&services.quotas)),
            );
        }
        let gateway = Self {
            services: Arc::clone(&services),
            quota_file,
            admin_address: admin.as_ref().map(|(_, address)| *address),
            state: Arc::clone(&state),
            connections,
            control,
        };
        if let Some((admin, _)) = admin {
            supervise(&control_drain, admin.run(control_drain.clone()));
        }
        metrics.attach(Arc::<Services>::clone(&services));
        let shared_runtime = SharedRuntime::new(Arc::clone(&services), metrics);
        let shared_runtime = shared_runtime.map_err(|source| StartError::Tls(Box::new(source)))?;
        supervise(&control_drain, Arc::clone(&services).maintain());
        supervise(&control_drain, Arc::clone(&services).account_forever());
        supervise(
            &control_drain,
            dependencies::watch(Arc::clone(&state), Arc::clone(&services)),
        );
        supervise(&control_drain, sweep(Arc::clone(&state.sessions)));
        supervise(&control_drain, watch_clock(Arc::clone(&state.sessions)));
        let drains = Drains {
            connections: connection_drain,
            control: control_drain.clone(),
        };
        let applier = ConfigApplier::new(options, state, Arc::new(shared_runtime), drains);
        supervise(&control_drain, applier.run(updates));
        Ok(gateway)
    }

    /// The listeners and their addresses; none before the first configuration.
    pub fn bound(&self) -> Vec<BoundListener> {
        self.state.bound.borrow().clone()
    }

    /// Where the admin server listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Completes when a configuration is in use and all its listeners are bound.
    pub async fn ready(&self) {
        let mut complete = self.state.complete.subscribe();
        // The sender lives as long as `self`.
        let _ = complete.wait_for(|complete| *complete).await;
    }

    /// The configuration in use, and what is wrong with the newest one.
    pub fn status(&self) -> watch::Receiver<Applied> {
        self.state.applied.subscribe()
    }

    /// The update in use.
    pub fn serving(&self) -> watch::Receiver<Option<Arc<Update>>> {
        self.state.serving.subscribe()
    }

    /// How many tunnels are open.
    pub fn tunnels(&self) -> usize {
        self.state.sessions.len()
    }

    /// How many tunnels changes of the configuration have closed so far: access that was revoked, APIs that changed.
    pub fn closed_by_changes(&self) -> u64 {
        self.state.sessions.ended_by_changes()
    }

    /// Drains: refuses new handshakes, closes every tunnel as the configuration's drain settings say, waits, and
    /// cuts what is left after the hard stop. Dropping this future cuts at once.
    pub async fn shutdown(self) {
        self.state.start_draining();
        let settings = self.drain_settings();
        tracing::info!(tunnels = self.tunnels(), "draining");
        self.connections.ask();
        let sessions = &self.state.sessions;
        sessions.drain(settings.window.get(), settings.close_code);
        let finished = self.connections.finished();
        let in_time = tokio::time::timeout(settings.hard_stop.get(), finished).await;
        if in_time.is_err() {
            tracing::warn!(tunnels = self.tunnels(), "cutting what is left");
            sessions.cut();
            self.connections.insist();
            let _ = tokio::time::timeout(TASK_END_TIMEOUT, self.connections.finished()).await;
        }
        self.control.insist();
        let _ = tokio::time::timeout(TASK_END_TIMEOUT, self.control.finished()).await;
        let _ = tokio::time::timeout(TASK_END_TIMEOUT, self.services.account_bytes()).await;
        self.keep_quotas().await;
        tracing::info!("drained");
    }

    /// Saves the counts of quotas; the bytes of all tunnels are accounted for by now.
    async fn keep_quotas(&self) {
        let Some(file) = &self.quota_file else {
            return;
        };
        let saving = tokio::time::timeout(QUOTA_SAVE_TIMEOUT, file.save(&self.services.quotas));
        let saved = saving
            .await
            .unwrap_or_else(|_| Err("the disk is too slow".to_owned()));
        if let Err(error) = saved {
            tracing::warn!("quotas are not kept: {error}");
        }
    }

    fn drain_settings(&self) -> DrainSettings {
        let serving = self.state.serving.borrow();
        let update = serving.as_ref();
        update.map_or_else(DrainSettings::default, |update| {
            update.config.settings.drain
        })
    }

    /// Ends at once: every socket is cut.
    pub fn abort(&self) {
        self.state.sessions.cut();
        self.connections.insist();
        self.control.insist();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.abort();
    }
}

async fn bind_admin(
    address: SocketAddr,
    options: &Options,
    state: &Arc<GatewayState>,
) -> Result<(Admin, SocketAddr), StartError> {
    let failed = |source| StartError::Admin(address, source);
    let bound = Admin::bind(address, options, Arc::clone(state)).await;
    let admin = bound.map_err(failed)?;
    let bound = admin.address().map_err(failed)?;
    Ok((admin, bound))
}

/// Runs a task that never ends by itself until the gateway ends.
fn supervise(drain: &Drain, task: impl Future<Output = ()> + Send + 'static) {
    let until = drain.clone();
    drain.spawn(async move {
        tokio::select! {
            () = until.insisted() => {}
            () = task => {}
        }
    });
}

/// Loads the counts of quotas, before the first handshake could pass a quota that is used up.
async fn restore(file: &QuotaFile, services: &Arc<Services>) {
    let (file, quotas) = (file.clone(), Arc::clone(&services.quotas));
    let reading = tokio::task::spawn_blocking(move || file.load(&quotas)).await;
    if let Err(error) = reading {
        tracing::warn!("quotas start anew: {error}");
    }
}

async fn sweep(sessions: Arc<Sessions>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        sessions.sweep();
    }
}

async fn watch_clock(sessions: Arc<Sessions>) {
    loop {
        tokio::time::sleep(CLOCK_WATCH).await;
        sessions.watch_clock();
    }
}
