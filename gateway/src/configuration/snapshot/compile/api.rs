//! One API: its backend, its policies, its rules.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_config::{ApiConfig, GatewayLimits, ObjectKey};

use super::{Compilation, is_same};
use crate::backend;
use crate::backend::{ConnectOptions, InvalidBackendTls, InvalidPool, InvalidProxy, Pool, Proxy};
use crate::configuration::snapshot::Api;
use crate::exchange::{BackendUrl, InvalidBackendUrl};
use crate::policy::{HostHeader, InvalidHostHeader, InvalidPolicy, Pipeline, Scope, ScopePolicies};
use tidegate_config::error_chain;
use tidegate_tunnel::relay::Rules;

/// Why an API cannot be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidApi {
    #[error("backend.url")]
    Url(#[source] InvalidBackendUrl),
    #[error(transparent)]
    Pool(InvalidPool),
    #[error(transparent)]
    HostHeader(InvalidHostHeader),
    #[error("backend.tls")]
    Tls(#[source] InvalidBackendTls),
    #[error(transparent)]
    Proxy(InvalidProxy),
    #[error(transparent)]
    Policy(InvalidPolicy),
}

/// Parts of an API that depend on nothing else.
struct Parts {
    backend: BackendUrl,
    pool: Arc<Pool>,
    connect_options: ConnectOptions,
    host_header: Option<HostHeader>,
    policies: Arc<ScopePolicies>,
}

impl Compilation<'_> {
    pub(super) fn apis(&mut self, gateway: &Arc<ScopePolicies>) -> HashMap<ObjectKey, Arc<Api>> {
        let update = self.update;
        let mut apis = HashMap::with_capacity(update.config.apis.len());
        for config in &update.config.apis {
            if let Some(api) = self.api(config, gateway) {
                apis.insert(config.key.clone(), api);
            }
        }
        apis
    }

    fn api(&mut self, config: &Arc<ApiConfig>, gateway: &Arc<ScopePolicies>) -> Option<Arc<Api>> {
        let before = self
            .previous
            .and_then(|before| before.apis.get(&config.key));
        let unchanged = before.filter(|before| {
            is_same(&before.config, config)
                && !self.changed.contains(config.key.namespace.as_str())
                && !self.was_rejected("WebSocketApi", &config.key)
        });
        if let Some(api) = unchanged.filter(|_| self.surroundings_are_unchanged(gateway)) {
            return Some(Arc::clone(api));
        }
        let parts = match unchanged {
            Some(api) => Ok(Parts {
                backend: api.backend.clone(),
                pool: Arc::clone(&api.pool),
                connect_options: api.connect_options.clone(),
                host_header: api.host_header.clone(),
                policies: Arc::clone(&api.policies),
            }),
            None => self.parts(config, before.map(|before| &*before.pool)),
        };
        match parts {
            Ok(parts) => Some(self.assemble(config, parts, gateway, config.blocked.clone())),
            Err(error) => {
                let message = error_chain(&error);
                self.reject(
                    "WebSocketApi",
                    &config.key,
                    config.generation,
                    message.clone(),
                );
                match before {
                    Some(working) => Some(Arc::clone(working)),
                    None => self.blocked_api(config, gateway, message),
                }
            }
        }
    }

    pub(super) fn was_rejected(&self, kind: &str, key: &ObjectKey) -> bool {
        self.previous
            .is_some_and(|before| before.rejects(kind, key))
    }

    /// Are the settings that APIs inherit from their Gateway unchanged?
    fn surroundings_are_unchanged(&self, gateway: &Arc<ScopePolicies>) -> bool {
        self.previous.is_some_and(|before| {
            Arc::ptr_eq(&before.policies, gateway)
                && before.settings.drain == self.update.config.settings.drain
                && before.settings.limits == self.update.config.settings.limits
        })
    }

    fn parts(&self, config: &ApiConfig, before: Option<&Pool>) -> Result<Parts, InvalidApi> {
        let backend = BackendUrl::parse(&config.backend_url).map_err(InvalidApi::Url)?;
        let pool = Pool::new(
            &backend,
            &config.backend_pool,
            backend::HealthRules::of(config),
            before,
        );
        let pool = pool.map_err(InvalidApi::Pool)?;
        let host_header = config.host_header.as_deref().map(HostHeader::compile);
        let host_header = host_header.transpose().map_err(InvalidApi::HostHeader)?;
        let namespace = &config.key.namespace;
        let factory = &self.shared_runtime.backend_tls;
        let backend_tls = factory
            .compile(&config.backend_tls, namespace, self.secret_data())
            .map_err(InvalidApi::Tls)?;
        let proxy = config.backend_proxy.as_ref();
        let proxy = proxy.map(|proxy| Proxy::compile(proxy, namespace, self.secret_data()));
        let context = self.context(&config.key);
        let on = &config.on_handshake;
        let policies = ScopePolicies::compile(Scope::Api, on, &config.values, &context)
            .map_err(InvalidApi::Policy)?;
        Ok(Parts {
            backend,
            pool: Arc::new(pool),
            connect_options: ConnectOptions {
                tls: backend_tls,
                proxy: proxy.transpose().map_err(InvalidApi::Proxy)?,
                max_answer_head: 0,
            },
            host_header,
            policies: Arc::new(policies),
        })
    }

    fn assemble(
        &self,
        config: &Arc<ApiConfig>,
        parts: Parts,
        gateway: &ScopePolicies,
        blocked: Option<String>,
    ) -> Arc<Api> {
        let Parts {
            backend,
            pool,
            mut connect_options,
            host_header,
            policies,
        } = parts;
        let (limits, defaults) = (&config.limits, &self.update.config.settings.limits);
        let head = limits.max_response_header_bytes;
        connect_options.max_answer_head =
            head.unwrap_or(defaults.default_response_header_bytes()) as usize;
        let body = limits.max_response_body_bytes;
        Arc::new(Api {
            max_answer_body: body
                .unwrap_or(GatewayLimits::DEFAULT_RESPONSE_BODY_BYTES)
                .into(),
            host_header,
            pipeline: Pipeline::merge(&[gateway, &policies]),
            rules: Arc::new(Rules::new(config, &self.update.config.settings.drain)),
            metrics: self.shared_runtime.metrics.api(&config.key),
            config: Arc::clone(config),
            version: self.version(config),
            backend,
            pool,
            connect_options,
            blocked,
            policies,
        })
    }

    /// The version of an API. What it takes from its Gateway is no change of the API itself.
    fn version(&self, config: &ApiConfig) -> u64 {
        let before = self.previous;
        let Some(before) = before.and_then(|before| before.apis.get(&config.key)) else {
            return 0;
        };
        let is_changed = before.config.generation != config.generation
            && !before.config.has_same_traffic(config);
        before.version + u64::from(is_changed)
    }

    /// An API that never compiled keeps its route and refuses, so that no other API serves its requests.
    fn blocked_api(
        &self,
        config: &Arc<ApiConfig>,
        gateway: &ScopePolicies,
        message: String,
    ) -> Option<Arc<Api>> {
        let factory = &self.shared_runtime.backend_tls;
        let plain = factory.compile(
            &Default::default(),
            &config.key.namespace,
            self.secret_data(),
        );
        // Never dialled.
        let backend = BackendUrl::parse("ws://blocked.invalid").ok()?;
        let parts = Parts {
            pool: Arc::new(Pool::new(&backend, &[], backend::HealthRules::default(), None).ok()?),
            backend,
            connect_options: ConnectOptions {
                tls: plain.ok()?,
                proxy: None,
                max_answer_head: 0,
            },
            host_header: None,
            policies: Arc::new(ScopePolicies::none()),
        };
        Some(self.assemble(config, parts, gateway, Some(message)))
    }
}
