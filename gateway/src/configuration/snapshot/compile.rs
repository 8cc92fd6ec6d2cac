//! An update to a snapshot. Pure but for the metric handles that APIs keep.

mod api;
mod product;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tidegate_config::{ClientCertificates, GatewaySettings, ObjectKey, Rejected, SecretData};

use super::changed::changed_namespaces;
use super::port::{Listener, Port};
use super::{Api, SharedRuntime, Snapshot};
use crate::configuration::route::Router;
use crate::configuration::update::Update;
use crate::exchange::access::AccessIndex;
use crate::exchange::client_address::TrustedProxies;
use crate::exchange::hop::Hop;
use crate::policy::{Context, Scope, ScopePolicies};
use crate::telemetry::record::AccessLog;
use crate::telemetry::span::Tracer;
use crate::tls::ServerTls;
use tidegate_config::error_chain;

/// One compilation: the update, the previous snapshot, and what was rejected.
struct Compilation<'a> {
    update: &'a Update,
    previous: Option<&'a Snapshot>,
    shared_runtime: &'a SharedRuntime,
    /// Namespaces whose secret data differs from the previous snapshot's.
    changed: HashSet<&'a str>,
    rejected: Vec<Rejected>,
}

/// What is served instead of a broken object.
struct Fallback<T> {
    value: T,
    /// Set when nothing ever worked.
    blocked: Option<String>,
}

pub(super) fn compile(
    update: &Arc<Update>,
    previous: Option<&Snapshot>,
    shared_runtime: &SharedRuntime,
) -> (Snapshot, Vec<Rejected>) {
    let mut work = Compilation {
        update,
        previous,
        shared_runtime,
        changed: previous.map_or_else(HashSet::new, |before| {
            changed_namespaces(&before.update.secret_data, &update.secret_data)
        }),
        rejected: Vec::new(),
    };
    let settings = work.settings();
    let gateway = work.gateway_policies();
    let apis = work.apis(&gateway.value);
    let products = work.products(&gateway.value, &apis);
    let snapshot = Snapshot {
        trusted_proxies: work.trusted_proxies(),
        hop: Hop::new(&update.config.settings, shared_runtime.process),
        tracer: work.tracer(),
        access_log: work.access_log(),
        ports: work.ports(&apis),
        blocked: gateway.blocked,
        access: work.access(),
        settings,
        apis,
        products,
        policies: gateway.value,
        rejected: work.rejected.clone(),
        update: Arc::clone(update),
    };
    (snapshot, work.rejected)
}

/// What is shared is not compared.
fn is_same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

impl Compilation<'_> {
    fn secret_data(&self) -> &SecretData {
        &self.update.secret_data
    }

    fn reject(&mut self, kind: &str, key: &ObjectKey, generation: i64, message: String) {
        self.rejected.push(Rejected {
            kind: kind.to_owned(),
            key: key.clone(),
            generation,
            message,
        });
    }

    fn reject_gateway(&mut self, message: String) {
        let settings = &self.update.config.settings;
        self.reject("Gateway", &settings.key, settings.generation, message);
    }

    fn settings(&self) -> Arc<GatewaySettings> {
        let settings = &self.update.config.settings;
        let unchanged = self.previous.filter(|before| *before.settings == *settings);
        unchanged.map_or_else(
            || Arc::new(settings.clone()),
            |before| Arc::clone(&before.settings),
        )
    }

    fn trusted_proxies(&mut self) -> TrustedProxies {
        match TrustedProxies::parse(&self.update.config.settings.trusted_proxies) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.reject_gateway(error.to_string());
                let before = self.previous.map(|before| before.trusted_proxies.clone());
                before.unwrap_or_default()
            }
        }
    }

    /// The previous tracer is reused: it has spans in its queue.
    fn tracer(&mut self) -> Option<Arc<Tracer>> {
        let update = self.update;
        let settings = &update.config.settings;
        let wanted = settings.telemetry.traces.as_ref()?;
        let before = self.previous.and_then(|before| before.tracer.clone());
        if let Some(before) = before.clone().filter(|before| before.is_of(wanted)) {
            return Some(before);
        }
        let exports = &self.shared_runtime.services.spans;
        match exports.start(wanted, &settings.key) {
            Ok(tracer) => Some(Arc::new(tracer)),
            Err(error) => {
                self.reject_gateway(error_chain(&error));
                before
            }
        }
    }

    fn access_log(&mut self) -> Arc<AccessLog> {
        let wanted = &self.update.config.settings.telemetry.access_log;
        match AccessLog::compile(wanted.as_ref()) {
            Ok(compiled) => Arc::new(compiled),
            Err(error) => {
                self.reject_gateway(format!("telemetry.accessLog.text: {error}"));
                let before = self.previous.map(|before| Arc::clone(&before.access_log));
                before.unwrap_or_default()
            }
        }
    }

    fn gateway_policies(&mut self) -> Fallback<Arc<ScopePolicies>> {
        let settings = &self.update.config.settings;
        if let Some(before) = self.previous
            && !before.rejects("Gateway", &settings.key)
            && before.update.config.settings.on_handshake == settings.on_handshake
            && before.update.config.settings.values == settings.values
            && !self.changed.contains(settings.key.namespace.as_str())
        {
            return Fallback {
                value: Arc::clone(&before.policies),
                blocked: None,
            };
        }
        let context = self.context(&settings.key);
        let compiled = ScopePolicies::compile(
            Scope::Gateway,
            &settings.on_handshake,
            &settings.values,
            &context,
        );
        match compiled {
            Ok(policies) => Fallback {
                value: Arc::new(policies),
                blocked: None,
            },
            Err(error) => {
                let message = error_chain(&error);
                self.reject_gateway(message.clone());
                match self.previous {
                    Some(before) => Fallback {
                        value: Arc::clone(&before.policies),
                        blocked: before.blocked.clone(),
                    },
                    None => Fallback {
                        value: Arc::new(ScopePolicies::none()),
                        blocked: Some(message),
                    },
                }
            }
        }
    }

    fn context<'b>(&'b self, key: &'b ObjectKey) -> Context<'b> {
        Context {
            namespace: &key.namespace,
            object: key,
            secret_data: self.secret_data(),
            services: &self.shared_runtime.services,
        }
    }

    fn access(&self) -> Arc<AccessIndex> {
        let config = &self.update.config;
        let same = |before: &&Snapshot| {
            before.update.config.products == config.products
                && before.update.config.subscriptions == config.subscriptions
                && before.update.config.inactive == config.inactive
        };
        if let Some(before) = self.previous.filter(same) {
            return Arc::clone(&before.access);
        }
        let mut index = AccessIndex::default();
        for product in &config.products {
            index.add_product(&product.key, &product.apis, product.open);
        }
        for subscription in &config.subscriptions {
            index.add_subscription(subscription);
        }
        for subscription in &config.inactive {
            index.add_inactive(subscription);
        }
        Arc::new(index.sorted())
    }

    fn ports(&mut self, apis: &HashMap<ObjectKey, Arc<Api>>) -> BTreeMap<u16, Arc<Port>> {
        let mut routers = self.routers(apis);
        let mut ports: BTreeMap<u16, Port> = BTreeMap::new();
        for config in &self.update.config.settings.listeners {
            let tls = match self.listener_tls(&config.name) {
                Ok(tls) => tls,
                Err(message) => {
                    self.reject_gateway(format!("listener {}: {message}", config.name));
                    // The previous version is no substitute if it accepts clients that this one would not.
                    let wanted = config.tls.as_ref().and_then(|tls| tls.client_auth.as_ref());
                    let wanted = wanted.map_or(ClientCertificates::Off, |auth| auth.mode);
                    let before = self.previous_tls(&config.name);
                    let Some(before) = before.filter(|tls| tls.demands_at_least(wanted)) else {
                        continue;
                    };
                    Some(before)
                }
            };
            let listener = Listener {
                config: config.clone(),
                tls,
                router: routers.remove(config.name.as_str()).unwrap_or_default(),
            };
            match ports.get_mut(&config.port) {
                None => drop(ports.insert(config.port, Port::new(listener))),
                Some(port) if port.suits(config) => port.add(listener),
                Some(_) => self.reject_gateway(format!(
                    "listener {}: another listener has port {} with another protocol or proxyProtocol",
                    config.name, config.port
                )),
            }
        }
        ports
            .into_iter()
            .map(|(number, port)| (number, Arc::new(port)))
            .collect()
    }

    /// APIs by listener. The configuration lists the older of two conflicting APIs only.
    fn routers<'b>(
        &self,
        apis: &'b HashMap<ObjectKey, Arc<Api>>,
    ) -> HashMap<&'b str, Router<Arc<Api>>> {
        let mut routers: HashMap<&str, Router<Arc<Api>>> = HashMap::new();
        for key in self.update.config.apis.iter().map(|api| &api.key) {
            let Some(api) = apis.get(key) else { continue };
            for listener in &api.config.listeners {
                let router = routers.entry(listener).or_default();
                router.add(
                    &api.config.hostnames,
                    &api.config.path,
                    api.config.path_match,
                    api,
                );
            }
        }
        routers
    }

    fn listener_tls(&self, name: &str) -> Result<Option<Arc<ServerTls>>, String> {
        let listeners = &self.update.config.settings.listeners;
        let config = listeners.iter().find(|listener| listener.name == name);
        let Some(tls) = config.and_then(|config| config.tls.as_ref()) else {
            let plain = config.is_some_and(|c| c.protocol == tidegate_config::Protocol::Ws);
            return if plain {
                Ok(None)
            } else {
                Err("tls is missing".to_owned())
            };
        };
        let before = self.previous_tls(name);
        let http2 = config.is_some_and(|config| config.http2);
        ServerTls::compile(
            tls,
            http2,
            self.secret_data(),
            &self.shared_runtime.tls,
            before.as_ref(),
        )
        .map(Some)
        .map_err(|error| error_chain(&error))
    }

    fn previous_tls(&self, name: &str) -> Option<Arc<ServerTls>> {
        let mut listeners = self
            .previous?
            .ports
            .values()
            .flat_map(|port| &port.listeners);
        listeners
            .find(|listener| listener.config.name == name)?
            .tls
            .clone()
    }
}
