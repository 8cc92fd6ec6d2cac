//! Serves Gateways from files in one process, without a cluster. Planner and gateway are the same as in a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_api::{PRIMARY_KEY, SECONDARY_KEY};
use tidegate_config::ObjectKey;
use tidegate_config::error_chain;
use tidegate_gateway::{
    AdminPorts, Applied, BoundListener, Gateway, Options, Ports, StartError, Update,
};
use tidegate_plan::{GatewayPlan, KeyRequest, Plan, Planner, Previous, unusable_key};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::echo_server::Greeting;
use crate::finding::Finding;
use crate::identity::{self, Coverage, Identities};
use crate::input::Input;
use crate::keys::KeyStore;
use crate::objects::{Loaded, Loader, Object, ObjectId, Objects};
use crate::stand_in::StandIns;
use crate::summary::{ApiUrls, Summary, api_urls};
use crate::world::{findings, world};

/// How to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The manifests.
    pub input: Input,
    /// Address that the listeners bind.
    pub bind_address: IpAddr,
    /// Ports that the listeners bind.
    pub ports: Ports,
    /// Where the admin servers listen.
    pub admin: AdminAddress,
    /// File with the token that admin servers require; `None`: they refuse every request that needs it.
    pub admin_token: Option<PathBuf>,
    /// Keeps generated subscription keys.
    pub keys: KeyStore,
    /// Echo servers are in place of all backends, with this greeting; `None`: the backends are used.
    pub echo: Option<Greeting>,
    /// Directory that keeps quota counters; `None`: they start at zero.
    pub quotas: Option<PathBuf>,
    /// Directory with tokens of a service account, one file per audience; `None`: there are none.
    pub tokens: Option<PathBuf>,
}

/// Where the admin servers of all Gateways listen: the first one here, each further Gateway on the next port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// There are none.
    Nowhere,
    /// Here. A port that is taken is an error.
    Required(SocketAddr),
    /// Here. Instead of a port that is taken, any other one.
    Preferred(SocketAddr),
}

/// The result of a reload.
#[derive(Debug, Default)]
pub struct Report {
    /// How often what is served has changed.
    pub revision: u64,
    /// What became of each object, since the last reload.
    pub changes: Vec<String>,
    /// Every API that is served.
    pub apis: Vec<ApiUrls>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// What is wrong with the manifests.
    pub findings: Vec<Finding>,
    /// The keys that this reload generated.
    pub generated: Vec<KeyRequest>,
    /// Secrets that this reload removed: their Subscription is gone.
    pub removed: Vec<ObjectKey>,
    /// When the next reload is due although no file changes.
    pub next: Option<Instant>,
}

/// The running Gateways of some manifests.
pub struct Standalone {
    settings: Settings,
    loader: Loader,
    identities: Identities,
    planner: Planner,
    /// Ports of all admin servers in this process: no gateway may forward to one of them.
    admin_ports: AdminPorts,
    /// Ports for admin servers that others have.
    taken_admin: BTreeSet<u16>,
    served: BTreeMap<ObjectKey, Served>,
    stand_ins: Option<StandIns>,
    revision: u64,
    summary: Summary,
    /// Tunnels that Gateways had which are gone.
    closed_before: u64,
}

struct Served {
    gateway: Gateway,
    updates: watch::Sender<Option<Arc<Update>>>,
    status: watch::Receiver<Applied>,
}

/// A port of a Gateway's configuration, and where it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The Gateway.
    pub gateway: ObjectKey,
    /// The port that the manifest names.
    pub port: u16,
    /// The address.
    pub address: SocketAddr,
}

impl Standalone {
    /// Serves nothing until the first [`reload`](Self::reload).
    pub fn new(settings: Settings) -> Self {
        Self {
            stand_ins: settings.echo.map(StandIns::new),
            settings,
            loader: Loader::default(),
            identities: Identities::default(),
            planner: Planner::default(),
            admin_ports: AdminPorts::default(),
            taken_admin: BTreeSet::new(),
            served: BTreeMap::new(),
            revision: 0,
            summary: Summary::default(),
            closed_before: 0,
        }
    }

    /// Reads the manifests again and applies them. A broken object keeps its last valid version; a Gateway that
    /// was removed is drained.
    ///
    /// # Errors
    ///
    /// When the files cannot be listed, or a Gateway cannot start.
    pub async fn reload(&mut self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let mut objects = self.load(&mut report)?;
        let plan = self.plan(&mut objects, &mut report)?;
        let found = &mut report.findings;
        found.extend(findings(&plan, &objects));
        found.append(&mut objects.findings);
        found.sort();
        found.dedup();
        report.next = report
            .next
            .into_iter()
            .chain(moment(plan.next_change))
            .min();
        self.summarize(&objects, &plan, &mut report);
        self.serve(plan, &mut report.notes).await?;
        report.revision = self.revision;
        Ok(report)
    }

    fn summarize(&mut self, objects: &Objects, plan: &Plan, report: &mut Report) {
        let keys = &self.settings.keys;
        let is_key = |loaded: &Loaded| keys.holds(&loaded.document.file);
        let summary = Summary::new(objects, plan, &report.findings, is_key);
        report.changes = self.summary.changes(&summary);
        report.apis = api_urls(objects, plan);
        if plan.gateways.is_empty() {
            let text = "the manifests have no Gateway: nothing is served";
            report.notes.push(text.to_owned());
        }
        self.summary = summary;
    }

    /// Reads the manifests and the generated keys. Keys of a Subscription that is gone are removed.
    fn load(&mut self, report: &mut Report) -> anyhow::Result<Objects> {
        let Settings { input, keys, .. } = &self.settings;
        let read = input.read(&keys.files());
        let mut objects = self.loader.load_documents(read.documents, read.findings);
        self.identities.assign(&mut objects, keys);
        let coverage = Coverage {
            files: &read.files,
            paths: input.paths(),
        };
        let stale = self.identities.stale(&objects, keys, &coverage);
        for secret in stale.secrets {
            remove(secret, &mut objects, report);
        }
        report.next = stale.next;
        if let Some(stand_ins) = &mut self.stand_ins {
            stand_ins.replace(&mut objects)?;
        }
        Ok(objects)
    }

    /// Makes the plan. If keys must be generated, generates them and plans again.
    fn plan(&mut self, objects: &mut Objects, report: &mut Report) -> anyhow::Result<Plan> {
        let plan = self.plan_once(objects);
        for request in &plan.key_requests {
            match self.generate(request, objects) {
                Ok(()) => {
                    report.findings.extend(replaced(request, objects));
                    report.generated.push(request.clone());
                }
                Err(finding) => report.findings.push(*finding),
            }
        }
        if report.generated.is_empty() {
            return Ok(plan);
        }
        *objects = self.load(report)?;
        Ok(self.plan_once(objects))
    }

    /// Generates keys; not into a file that cannot be read, because it may still hold some.
    fn generate(&self, request: &KeyRequest, objects: &Objects) -> Result<(), Box<Finding>> {
        let keys = &self.settings.keys;
        let path = keys.path(&request.secret);
        let id = secret_id(&request.secret);
        let owner = &request.subscription;
        let failed = |text| Box::new(Finding::of_file(&path, 1, text));
        if objects.findings.iter().any(|found| found.file == path) {
            let text = "repair the file, or remove it";
            return Err(failed(format!("Subscription {owner} has no keys: {text}")));
        }
        let (Some(subscription), Some(manifest)) = (
            identity::subscription(objects, owner),
            identity::manifest_of(objects, owner),
        ) else {
            return Ok(());
        };
        let secret = match objects.all.get(&id).map(|loaded| &loaded.object) {
            Some(Object::Secret(secret)) => Some(&**secret),
            _ => None,
        };
        let saved = keys.generate(request, subscription, secret, manifest);
        saved.map_err(|error| failed(error_chain(&error)))
    }

    fn plan_once(&mut self, objects: &Objects) -> Plan {
        let mut world = world(objects, jiff::Timestamp::now().as_second());
        for (key, served) in &self.served {
            if let Some(update) = &*served.updates.borrow() {
                let secret_data = Arc::new(update.secret_data.clone());
                let previous = Previous::of(&update.config, secret_data);
                world.previous.insert(key.clone(), Arc::new(previous));
            }
        }
        self.planner.plan(&world).clone()
    }

    async fn serve(&mut self, plan: Plan, notes: &mut Vec<String>) -> anyhow::Result<()> {
        let wanted: BTreeSet<_> = plan.gateways.keys().cloned().collect();
        let gone: Vec<_> = self
            .served
            .keys()
            .filter(|key| !wanted.contains(key))
            .cloned()
            .collect();
        let is_changed = |(key, plan): (&ObjectKey, &GatewayPlan)| {
            let served = self.served.get(key);
            served.is_none_or(|served| !is_served(served.updates.borrow().as_deref(), plan))
        };
        if !gone.is_empty() || plan.gateways.iter().any(is_changed) {
            self.revision += 1;
        }
        for key in gone {
            if let Some(served) = self.served.remove(&key) {
                self.closed_before += served.gateway.closed_by_changes();
                self.closed_before += served.gateway.tunnels() as u64;
                served.gateway.shutdown().await;
            }
        }
        for (key, plan) in plan.gateways {
            match self.served.get(&key) {
                Some(served) => {
                    let revision = self.revision;
                    served
                        .updates
                        .send_if_modified(|current| replace_if_changed(current, plan, revision));
                }
                None => {
                    let served = self.start(&key, plan, notes).await?;
                    self.served.insert(key, served);
                }
            }
        }
        Ok(())
    }

    async fn start(
        &mut self,
        key: &ObjectKey,
        plan: GatewayPlan,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Served> {
        let update = Update {
            revision: self.revision,
            config: plan.config,
            secret_data: Arc::unwrap_or_clone(plan.secret_data),
        };
        let (updates, receiver) = watch::channel(Some(Arc::new(update)));
        let (address, is_required) = match self.settings.admin {
            AdminAddress::Nowhere => (None, true),
            AdminAddress::Required(first) => (Some(self.next_admin(first)), true),
            AdminAddress::Preferred(first) => (Some(self.next_admin(first)), false),
        };
        let started = Gateway::start(self.options(key, address), receiver.clone()).await;
        let gateway = match started {
            Err(StartError::Admin(taken, error)) if !is_required => {
                notes.push(format!(
                    "the admin server of Gateway {key} takes another port, because {taken} cannot be bound: {error}"
                ));
                self.taken_admin.insert(taken.port());
                let any = SocketAddr::new(taken.ip(), 0);
                Gateway::start(self.options(key, Some(any)), receiver).await?
            }
            started => started.map_err(with_admin_flag)?,
        };
        let status = gateway.status();
        Ok(Served {
            gateway,
            updates,
            status,
        })
    }

    /// The first of the ports from this one on that no other Gateway has, and no other process had.
    fn next_admin(&self, mut address: SocketAddr) -> SocketAddr {
        let served = self.served.values();
        let own = served.filter_map(|served| Some(served.gateway.admin_address()?.port()));
        let taken: BTreeSet<_> = own.chain(self.taken_admin.iter().copied()).collect();
        while address.port() != 0 && taken.contains(&address.port()) {
            address.set_port(address.port().wrapping_add(1));
        }
        address
    }

    fn options(&self, key: &ObjectKey, admin_address: Option<SocketAddr>) -> Options {
        let quotas = self.settings.quotas.as_ref();
        Options {
            bind_address: self.settings.bind_address,
            ports: self.settings.ports,
            admin_address,
            admin_token_file: self.settings.admin_token.clone(),
            admin_ports: self.admin_ports.clone(),
            quota_file: quotas.map(|dir| dir.join(format!("{}.{}.json", key.namespace, key.name))),
            token_directory: self.settings.tokens.clone(),
            ..Options::local()
        }
    }

    /// Waits until every Gateway has applied its configuration or reports an error, at most `limit`.
    pub async fn settled(&mut self, limit: Duration) -> BTreeMap<ObjectKey, Applied> {
        for served in self.served.values_mut() {
            let revision = served.updates.borrow().as_ref().map_or(0, |u| u.revision);
            let applied = |state: &Applied| state.revision >= revision || state.error.is_some();
            // At a timeout, the current state is the result.
            let _ = tokio::time::timeout(limit, served.status.wait_for(applied)).await;
        }
        self.states()
    }

    /// What each Gateway has applied.
    pub fn states(&mut self) -> BTreeMap<ObjectKey, Applied> {
        let served = self.served.iter_mut();
        let state = |(key, served): (&ObjectKey, &mut Served)| {
            (key.clone(), served.status.borrow_and_update().clone())
        };
        served.map(state).collect()
    }

    /// Waits until a Gateway's state is another one than [`states`](Self::states) gave last.
    pub async fn changed(&mut self) {
        let changed = self.served.values_mut().map(|served| {
            Box::pin(async {
                // The sender lives as long as the gateway.
                let _ = served.status.changed().await;
            })
        });
        let changed: Vec<_> = changed.collect();
        if changed.is_empty() {
            std::future::pending::<()>().await;
        }
        futures::future::select_all(changed).await;
    }

    /// How many tunnels reloads have closed so far.
    pub fn closed_tunnels(&self) -> u64 {
        let served = self.served.values();
        let closed = served.map(|served| served.gateway.closed_by_changes());
        self.closed_before + closed.sum::<u64>()
    }

    /// The bound address of every listener, by Gateway.
    pub fn bound(&self) -> Vec<(ObjectKey, BoundListener)> {
        let of = |(key, served): (&ObjectKey, &Served)| {
            let key = key.clone();
            served
                .gateway
                .bound()
                .into_iter()
                .map(move |bound| (key.clone(), bound))
                .collect::<Vec<_>>()
        };
        self.served.iter().flat_map(of).collect()
    }

    /// Where each port of each Gateway is bound.
    pub fn ports(&self) -> Vec<Bound> {
        let mut ports = Vec::new();
        for (gateway, served) in &self.served {
            let update = served.updates.borrow().clone();
            let listeners = update.iter().flat_map(|u| &u.config.settings.listeners);
            let bound = served.gateway.bound();
            for listener in listeners {
                let found = bound.iter().find(|bound| bound.name == listener.name);
                ports.extend(found.map(|bound| Bound {
                    gateway: gateway.clone(),
                    port: listener.port,
                    address: bound.address,
                }));
            }
        }
        ports
    }

    /// The address of every admin server, by Gateway.
    pub fn admin_addresses(&self) -> Vec<(ObjectKey, SocketAddr)> {
        let of = |(key, served): (&ObjectKey, &Served)| {
            Some((key.clone(), served.gateway.admin_address()?))
        };
        self.served.iter().filter_map(of).collect()
    }

    /// Which echo server is in which backend's place.
    pub fn stand_ins(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.stand_ins.iter().flat_map(StandIns::list)
    }

    /// Drains all Gateways concurrently.
    pub async fn shutdown(self) {
        let draining = self
            .served
            .into_values()
            .map(|served| served.gateway.shutdown());
        futures::future::join_all(draining).await;
    }
}

/// Keys that were replaced because they cannot be used.
fn replaced(request: &KeyRequest, objects: &Objects) -> Vec<Finding> {
    let Some(loaded) = objects.all.get(&secret_id(&request.secret)) else {
        return Vec::new();
    };
    let (document, Object::Secret(secret)) = (&loaded.document, &loaded.object) else {
        return Vec::new();
    };
    let slots = [
        (request.primary, PRIMARY_KEY),
        (request.secondary, SECONDARY_KEY),
    ];
    let finding = |(generation, name): (Option<i64>, &str)| {
        let must = generation.and_then(|_| unusable_key(secret, name))?;
        let is_text = document.value["stringData"][name].is_string();
        let section = if is_text { "stringData" } else { "data" };
        let text = format!("must {must}: it is replaced by a generated key");
        Some(Finding {
            is_warning: true,
            ..document.finding(Some(&format!("{section}.{name}")), text)
        })
    };
    slots.into_iter().filter_map(finding).collect()
}

/// Removes the file with these keys.
fn remove(secret: ObjectKey, objects: &mut Objects, report: &mut Report) {
    let Some(loaded) = objects.all.remove(&secret_id(&secret)) else {
        return;
    };
    let file = loaded.document.file;
    match std::fs::remove_file(&file) {
        Ok(()) => report.removed.push(secret),
        Err(error) => {
            let text = format!("its Subscription is gone, and it cannot be removed: {error}");
            report.findings.push(Finding::of_file(&file, 1, text));
        }
    }
}

fn secret_id(key: &ObjectKey) -> ObjectId {
    ObjectId {
        kind: "Secret".to_owned(),
        key: key.clone(),
    }
}

/// When a second of the wall clock, in seconds since 1970, is over: within that second the old result may still be
/// right.
fn moment(second: Option<i64>) -> Option<Instant> {
    let wait = second?.saturating_sub(jiff::Timestamp::now().as_second());
    let wait = wait.max(0).unsigned_abs().saturating_add(1);
    Instant::now().checked_add(Duration::from_secs(wait))
}

fn with_admin_flag(error: StartError) -> anyhow::Error {
    let is_admin = matches!(error, StartError::Admin(..));
    let error = anyhow::Error::from(error);
    match is_admin {
        true => error.context("set another --admin-address"),
        false => error,
    }
}

fn is_served(update: Option<&Update>, plan: &GatewayPlan) -> bool {
    update.is_some_and(|update| {
        update.config == plan.config && update.secret_data == *plan.secret_data
    })
}

/// Replaces the update if the plan differs from it. Returns whether it did.
fn replace_if_changed(current: &mut Option<Arc<Update>>, plan: GatewayPlan, revision: u64) -> bool {
    if is_served(current.as_deref(), &plan) {
        return false;
    }
    let GatewayPlan {
        config,
        secret_data,
    } = plan;
    *current = Some(Arc::new(Update {
        revision,
        config,
        secret_data: Arc::unwrap_or_clone(secret_data),
    }));
    true
}

#[cfg(test)]
mod tests;
