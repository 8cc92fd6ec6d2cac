//! What a gateway serves right now: everything parsed and compiled, swapped whole.
//!
//! Compiling never fails as a whole. A broken object is reported and keeps its last version that
//! worked; one that never worked refuses all handshakes. What did not change is taken over from
//! the snapshot before, so that one changed API among thousands costs little.

mod changed;
mod compile;
mod port;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tidegate_config::{
    ApiConfig, GatewaySettings, ObjectKey, ProductConfig, Rejected, SubscriptionConfig,
};

use crate::backend::health::Target;
use crate::backend::{ClientTlsFactory, ConnectOptions, Pool};
use crate::configuration::update::Update;
use crate::exchange::BackendUrl;
use crate::exchange::access::AccessIndex;
use crate::exchange::client_address::TrustedProxies;
use crate::exchange::hop::Hop;
use crate::policy::{HostHeader, Pipeline, ScopePolicies, Services};
use crate::telemetry::metrics::UnavailableBackends;
use crate::telemetry::metrics::{ApiMetrics, Metrics};
use crate::telemetry::record::AccessLog;
use crate::telemetry::span::Tracer;
use crate::tls::{InvalidTls, TlsBasis};
use tidegate_tunnel::relay::Rules;
use tidegate_tunnel::session::Access;

pub(crate) use port::{Listener, Port, Terms};

/// What outlives snapshots, and what they are compiled with.
#[derive(Debug)]
pub(crate) struct SharedRuntime {
    pub(crate) services: Arc<Services>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tls: TlsBasis,
    pub(crate) backend_tls: Arc<ClientTlsFactory>,
    /// Tells this process from others, where a Gateway has no uid.
    process: u64,
}

impl SharedRuntime {
    /// Fails only when the system gives no random numbers.
    pub(crate) fn new(services: Arc<Services>, metrics: Arc<Metrics>) -> Result<Self, InvalidTls> {
        let tls = TlsBasis::new()?;
        Ok(Self {
            backend_tls: Arc::clone(&services.calls.tls),
            services,
            metrics,
            tls,
            process: rand::random(),
        })
    }
}

/// One API, ready to serve.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) config: Arc<ApiConfig>,
    /// Its path and query hold for the whole pool.
    pub(crate) backend: BackendUrl,
    pub(crate) pool: Arc<Pool>,
    pub(crate) connect_options: ConnectOptions,
    /// What the backend gets as Host; none: its own name.
    pub(crate) host_header: Option<HostHeader>,
    /// So many bytes of a refusal's body are passed on.
    pub(crate) max_answer_body: u64,
    /// Without a product.
    pipeline: Pipeline,
    pub(crate) rules: Arc<Rules>,
    pub(crate) metrics: Arc<ApiMetrics>,
    /// Why every handshake is refused, when it is; for the log.
    pub(crate) blocked: Option<String>,
    policies: Arc<ScopePolicies>,
}

/// One product, ready to serve.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) config: Arc<ProductConfig>,
    /// As [`Api::blocked`].
    pub(crate) blocked: Option<String>,
    /// By API; not there where the product adds nothing to the API's own.
    pipelines: HashMap<ObjectKey, Pipeline>,
    policies: Arc<ScopePolicies>,
}

/// The whole configuration, compiled.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) trusted_proxies: TrustedProxies,
    /// What the Gateway is called in `Via`.
    pub(crate) hop: Hop,
    /// By configured port.
    pub(crate) ports: BTreeMap<u16, Arc<Port>>,
    /// Why every handshake is refused, when the Gateway's own policies never worked.
    pub(crate) blocked: Option<String>,
    pub(crate) access: Arc<AccessIndex>,
    apis: HashMap<ObjectKey, Arc<Api>>,
    products: HashMap<ObjectKey, Arc<Product>>,
    policies: Arc<ScopePolicies>,
    /// Takes the spans of handshakes, where they go anywhere.
    pub(crate) tracer: Option<Arc<Tracer>>,
    pub(crate) access_log: Arc<AccessLog>,
    /// What the revision says that this does not serve. Looked at again with the next revision,
    /// changed or not: as long as it is wrong, it is told.
    rejected: Vec<Rejected>,
    update: Arc<Update>,
}

impl Snapshot {
    /// Compiles a whole revision, with whatever `previous` has that is still right. Lists the
    /// objects that are not served as the revision says.
    pub(crate) fn compile(
        update: &Arc<Update>,
        previous: Option<&Self>,
        shared_runtime: &SharedRuntime,
    ) -> (Self, Vec<Rejected>) {
        compile::compile(update, previous, shared_runtime)
    }

    fn rejects(&self, kind: &str, key: &ObjectKey) -> bool {
        self.rejected
            .iter()
            .any(|rejected| rejected.kind == kind && rejected.key == *key)
    }

    /// All APIs, in no order.
    pub(crate) fn apis(&self) -> impl Iterator<Item = &Arc<Api>> {
        self.apis.values()
    }

    /// How many backends of which API get no handshakes at the moment.
    pub(crate) fn unavailable_backends(&self) -> Vec<(ObjectKey, UnavailableBackends)> {
        let now = Instant::now();
        let apis = self.apis.iter();
        apis.filter_map(|(key, api)| Some((key.clone(), api.pool.unavailable(now)?)))
            .collect()
    }

    /// Whose backends are to be checked.
    pub(crate) fn checked(&self) -> impl Iterator<Item = Target> {
        self.apis().filter_map(|api| api.checked())
    }

    /// The product `key`.
    pub(crate) fn find_product(&self, key: &ObjectKey) -> Option<&Arc<Product>> {
        self.products.get(key)
    }
}

impl Api {
    /// A Host header that is a template has no request to read from in a check: there the backend's
    /// own name stands in.
    fn checked(&self) -> Option<Target> {
        let check = self.config.health_check.as_ref()?;
        let host = self.host_header.as_ref().and_then(HostHeader::literal);
        Some(Target {
            api: Arc::clone(&self.config),
            rule: check.active.clone()?,
            pool: Arc::clone(&self.pool),
            connect_options: self.connect_options.clone(),
            host: host.map(str::to_owned),
        })
    }

    /// Its steps in the context of a product, or alone.
    pub(crate) fn pipeline_in<'a>(&'a self, product: Option<&'a Product>) -> &'a Pipeline {
        product
            .and_then(|product| product.pipelines.get(&self.config.key))
            .unwrap_or(&self.pipeline)
    }
}

impl Access for Snapshot {
    fn settings(&self) -> &GatewaySettings {
        &self.settings
    }

    fn api(&self, key: &ObjectKey) -> Option<&ApiConfig> {
        self.apis.get(key).map(|api| &*api.config)
    }

    fn product(&self, key: &ObjectKey) -> Option<&ProductConfig> {
        self.products.get(key).map(|product| &*product.config)
    }

    fn subscription(&self, key: &ObjectKey) -> Option<&SubscriptionConfig> {
        self.access.subscription(key)
    }
}
