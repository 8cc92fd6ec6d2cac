//! The handle of a running gateway: start, watch, end well or at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::Drain as Farewell;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::configuration::Applied;
use crate::configuration::snapshot::Lasting;
use crate::configuration::state_dir::QuotaFile;
use crate::configuration::update::Update;
use crate::gateway::admin::Admin;
use crate::gateway::dependencies;
use crate::gateway::takeover::{Drains, Takeover};
use crate::gateway::{Options, State};
use crate::listener::BoundListener;
use crate::policy::Services;
use tidegate_tunnel::drain::{Drain, DrainTrigger};
use tidegate_tunnel::session::Sessions;

/// How often all tunnels are judged again: the backstop behind every event that got lost.
const SWEEP: Duration = Duration::from_secs(60);

/// How often it is looked whether the wall clock was set: so long can a tunnel outlive its token then.
const CLOCK_WATCH: Duration = Duration::from_secs(1);

/// After the last call, tasks need a moment to drop their sockets.
const LAST_CALL: Duration = Duration::from_secs(1);

/// For the last writing of quotas, some megabytes at most.
const LAST_WORDS: Duration = Duration::from_secs(5);

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

/// A running gateway. Dropped, it ends at once; see [`Gateway::shutdown`] for the good way.
pub struct Gateway {
    state: Arc<State>,
    admin_address: Option<SocketAddr>,
    /// Connections and their tunnels.
    connections: DrainTrigger,
    services: Arc<Services>,
    quota_file: Option<QuotaFile>,
    /// Everything that must outlive them: sources of change, listeners, the admin server.
    control: DrainTrigger,
}

impl Gateway {
    /// Starts to serve what comes through `updates`, as soon as it comes.
    pub async fn start(
        options: Options,
        updates: watch::Receiver<Option<Arc<Update>>>,
    ) -> Result<Self, StartError> {
        let (connections, connection_drain) = Drain::pair();
        let (control, control_drain) = Drain::pair();
        let metrics = Arc::clone(&options.metrics);
        let state = State::new(Arc::clone(&metrics), Sessions::new());
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
        let lasting = Lasting::new(Arc::clone(&services), metrics);
        let lasting = lasting.map_err(|source| StartError::Tls(Box::new(source)))?;
        supervise(&control_drain, Arc::clone(&services).maintain());
        supervise(&control_drain, Arc::clone(&services).book());
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
        let takeover = Takeover::new(options, state, Arc::new(lasting), drains);
        supervise(&control_drain, takeover.run(updates));
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

    /// Completes when a whole configuration is in use and its listeners are bound.
    pub async fn ready(&self) {
        let mut complete = self.state.complete.subscribe();
        // The sender lives as long as `self`.
        let _ = complete.wait_for(|complete| *complete).await;
    }

    /// What it serves at the moment, and what is wrong with the newest configuration.
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

    /// Ends well: refuses new handshakes, says goodbye to every tunnel as the configuration asks,
    /// waits, and cuts what is left after the hard stop. Whoever drops this future cuts at once.
    pub async fn shutdown(self) {
        self.state.start_draining();
        let farewell = self.farewell();
        tracing::info!(tunnels = self.tunnels(), "draining");
        self.connections.ask();
        let sessions = &self.state.sessions;
        sessions.drain(farewell.window.get(), farewell.close_code);
        let finished = self.connections.finished();
        let in_time = tokio::time::timeout(farewell.hard_stop.get(), finished).await;
        if in_time.is_err() {
            tracing::warn!(tunnels = self.tunnels(), "cutting what is left");
            sessions.cut();
            self.connections.insist();
            let _ = tokio::time::timeout(LAST_CALL, self.connections.finished()).await;
        }
        self.control.insist();
        let _ = tokio::time::timeout(LAST_CALL, self.control.finished()).await;
        let _ = tokio::time::timeout(LAST_CALL, self.services.book_bytes()).await;
        self.keep_quotas().await;
        tracing::info!("drained");
    }

    /// All tunnels are booked now.
    async fn keep_quotas(&self) {
        let Some(file) = &self.quota_file else {
            return;
        };
        let saving = tokio::time::timeout(LAST_WORDS, file.save(&self.services.quotas));
        let saved = saving
            .await
            .unwrap_or_else(|_| Err("the disk is too slow".to_owned()));
        if let Err(error) = saved {
            tracing::warn!("quotas are not kept: {error}");
        }
    }

    fn farewell(&self) -> Farewell {
        let serving = self.state.serving.borrow();
        let update = serving.as_ref();
        update.map_or_else(Farewell::default, |update| update.config.settings.drain)
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
    state: &Arc<State>,
) -> Result<(Admin, SocketAddr), StartError> {
    let failed = |source| StartError::Admin(address, source);
    let bound = Admin::bind(address, options, Arc::clone(state)).await;
    let admin = bound.map_err(failed)?;
    let bound = admin.address().map_err(failed)?;
    Ok((admin, bound))
}

/// Runs what never ends by itself until the gateway ends.
fn supervise(drain: &Drain, task: impl Future<Output = ()> + Send + 'static) {
    let until = drain.clone();
    drain.spawn(async move {
        tokio::select! {
            () = until.insisted() => {}
            () = task => {}
        }
    });
}

/// Before the first handshake, so that none passes a quota that is used up.
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
