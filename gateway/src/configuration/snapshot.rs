//! The configuration in use: parsed, compiled, and swapped as a whole.
//!
//! Compiling never fails as a whole. A broken object is reported and keeps its last compiled version; one that
//! never compiled refuses all handshakes. What did not change is reused from the previous snapshot, so that
//! one changed API among thousands costs little.

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

pub(crate) use port::{Listener, Port, PortProtocol};

/// What outlives snapshots and is used to compile them.
#[derive(Debug)]
pub(crate) struct SharedRuntime {
    pub(crate) services: Arc<Services>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tls: TlsBasis,
    pub(crate) backend_tls: Arc<ClientTlsFactory>,
    /// Random number of this process, for a Gateway without uid.
    process: u64,
}

impl SharedRuntime {
    /// # Errors
    /// The system gives no random numbers.
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
    /// As [`Access::api_version`], counted from 0 by this process.
    pub(crate) version: u64,
    /// Its path and query hold for the whole pool.
    pub(crate) backend: BackendUrl,
    pub(crate) pool: Arc<Pool>,
    pub(crate) connect_options: ConnectOptions,
    /// Host header for the backend; `None`: its authority.
    pub(crate) host_header: Option<HostHeader>,
    /// Bytes of a refusal's body that are passed on.
    pub(crate) max_answer_body: u64,
    /// Without a product.
    pipeline: Pipeline,
    pub(crate) rules: Arc<Rules>,
    pub(crate) metrics: Arc<ApiMetrics>,
    /// Why every handshake is refused, for the log; `None`: it is not.
    pub(crate) blocked: Option<String>,
    policies: Arc<ScopePolicies>,
}

/// One product, ready to serve.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) config: Arc<ProductConfig>,
    /// As [`Api::blocked`].
    pub(crate) blocked: Option<String>,
    /// By API; missing if the product adds nothing to the API's policies.
    pipelines: HashMap<ObjectKey, Pipeline>,
    policies: Arc<ScopePolicies>,
}

/// The whole configuration, compiled.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) trusted_proxies: TrustedProxies,
    /// Name of the Gateway in `Via`.
    pub(crate) hop: Hop,
    /// By configured port.
    pub(crate) ports: BTreeMap<u16, Arc<Port>>,
    /// Why every handshake is refused: the Gateway's own policies never compiled.
    pub(crate) blocked: Option<String>,
    pub(crate) access: Arc<AccessIndex>,
    apis: HashMap<ObjectKey, Arc<Api>>,
    products: HashMap<ObjectKey, Arc<Product>>,
    policies: Arc<ScopePolicies>,
    /// Receives the spans of handshakes, if they are exported.
    pub(crate) tracer: Option<Arc<Tracer>>,
    pub(crate) access_log: Arc<AccessLog>,
    /// Objects that are not served as the revision says. They are compiled again with the next revision, changed
    /// or not, so that they are reported as long as they are wrong.
    rejected: Vec<Rejected>,
    update: Arc<Update>,
}

impl Snapshot {
    /// Compiles a revision, reusing what has not changed since `previous`. Gives the objects that are not
    /// served as the revision says.
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

    /// Numbers of backends that get no handshakes at the moment, by API.
    pub(crate) fn unavailable_backends(&self) -> Vec<(ObjectKey, UnavailableBackends)> {
        let now = Instant::now();
        let apis = self.apis.iter();
        apis.filter_map(|(key, api)| Some((key.clone(), api.pool.unavailable(now)?)))
            .collect()
    }

    /// APIs whose backends have active health checks.
    pub(crate) fn checked(&self) -> impl Iterator<Item = Target> {
        self.apis().filter_map(|api| api.checked())
    }

    /// The product `key`.
    pub(crate) fn find_product(&self, key: &ObjectKey) -> Option<&Arc<Product>> {
        self.products.get(key)
    }
}

impl Api {
    /// A check has no request for a template of the Host header: it sends the backend's authority.
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

    fn api_version(&self, key: &ObjectKey) -> Option<u64> {
        self.apis.get(key).map(|api| api.version)
    }

    fn product(&self, key: &ObjectKey) -> Option<&ProductConfig> {
        self.products.get(key).map(|product| &*product.config)
    }

    fn subscription(&self, key: &ObjectKey) -> Option<&SubscriptionConfig> {
        self.access.subscription(key)
    }
}
