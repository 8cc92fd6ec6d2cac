//! One product: its policies, merged with those of each of its APIs.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_config::policy::OnHandshake;
use tidegate_config::{ObjectKey, ProductConfig};

use super::{Compilation, Fallback, is_same};
use crate::configuration::snapshot::{Api, Product};
use crate::policy::{Pipeline, Scope, ScopePolicies};
use tidegate_config::error_chain;

impl Compilation<'_> {
    pub(super) fn products(
        &mut self,
        gateway: &Arc<ScopePolicies>,
        apis: &HashMap<ObjectKey, Arc<Api>>,
    ) -> HashMap<ObjectKey, Arc<Product>> {
        let update = self.update;
        let mut products = HashMap::with_capacity(update.config.products.len());
        for config in &update.config.products {
            let Fallback {
                value: policies,
                blocked,
            } = self.product_policies(config);
            let product = Product {
                pipelines: pipelines(config, gateway, &policies, apis),
                config: Arc::clone(config),
                blocked: blocked.or_else(|| config.blocked.clone()),
                policies,
            };
            products.insert(config.key.clone(), Arc::new(product));
        }
        products
    }

    fn product_policies(&mut self, config: &Arc<ProductConfig>) -> Fallback<Arc<ScopePolicies>> {
        let before = self
            .previous
            .and_then(|before| before.products.get(&config.key));
        let unchanged = before.filter(|before| {
            is_same(&before.config, config)
                && !self.changed.contains(config.key.namespace.as_str())
                && !self.was_rejected("Product", &config.key)
        });
        if let Some(product) = unchanged {
            return Fallback {
                value: Arc::clone(&product.policies),
                blocked: None,
            };
        }
        let context = self.context(&config.key);
        let on = &config.on_handshake;
        match ScopePolicies::compile(Scope::Product, on, &config.values, &context) {
            Ok(policies) => Fallback {
                value: Arc::new(policies),
                blocked: None,
            },
            Err(error) => {
                let message = error_chain(&error);
                self.reject("Product", &config.key, config.generation, message.clone());
                match before {
                    Some(product) => Fallback {
                        value: Arc::clone(&product.policies),
                        blocked: product.blocked.clone(),
                    },
                    None => Fallback {
                        value: Arc::new(ScopePolicies::none()),
                        blocked: Some(message),
                    },
                }
            }
        }
    }
}

fn pipelines(
    config: &ProductConfig,
    gateway: &ScopePolicies,
    policies: &ScopePolicies,
    apis: &HashMap<ObjectKey, Arc<Api>>,
) -> HashMap<ObjectKey, Pipeline> {
    if config.on_handshake == OnHandshake::default() && config.values.is_empty() {
        return HashMap::new();
    }
    let key = |name: &String| ObjectKey::new(config.key.namespace.clone(), name.clone());
    let found = config.apis.iter().filter_map(|name| apis.get(&key(name)));
    let merged = found.map(|api| {
        let pipeline = Pipeline::merge(&[gateway, policies, &api.policies]);
        (api.config.key.clone(), pipeline)
    });
    merged.collect()
}
