//! The steps of a plan, in order.

use std::collections::BTreeMap;

use tidegate_config::{ApiConfig, GatewayConfig, ObjectKey, ProductConfig};

use crate::api::{self, Placement};
use crate::attach::Gateways;
use crate::expressions::Expressions;
use crate::index::{ObjectIndex, oldest_first};
use crate::nested::{self, WarningsByApi};
use crate::product::{self, Products, Rendering};
use crate::references::References;
use crate::routes::Routes;
use crate::subscription::{self, SubscriptionContext, SubscriptionPlan};
use crate::{GatewayPlan, OnGateway, Plan, ProductVerdict, World, gateway, policies, secret_data};

/// Plans, and remembers between two plans what would only be computed again.
///
/// What it remembers never changes the outcome: a new planner gives the same plan.
#[derive(Debug, Default)]
pub struct Planner {
    expressions: Expressions,
}

/// Plans once.
pub fn plan(world: &World) -> Plan {
    Planner::default().plan(world)
}

impl Planner {
    /// Plans what every Gateway serves, and what is to be said about every object.
    pub fn plan(&mut self, world: &World) -> Plan {
        self.expressions.next_pass();
        let index = ObjectIndex::new(world);
        let products = product::resolve(&index);
        let mut plan = Plan::default();

        // 1. Gateways by themselves, then APIs onto them, the oldest first.
        let placement = self.place_apis(world, &index, &products, &mut plan);
        let Placement {
            gateways,
            mut references,
            warnings,
            ..
        } = placement;
        note_warnings(warnings, &mut plan);

        // 2. Products go where their APIs are.
        let gateways_of_api = reach(plan.api_verdicts.iter().map(|(k, v)| (k, &v.gateways)));
        let mut rendering = Rendering {
            world,
            references: &mut references,
            expressions: &mut self.expressions,
            gateways_of: &gateways_of_api,
            gateways: &index.gateways,
        };
        let (rendered, product_verdicts) = render_products(&products, &mut rendering);
        plan.product_verdicts = product_verdicts;

        // 3. Every fragment that is included has been expanded by now.
        for (key, fragment) in references.fragments.clone() {
            let verdict = policies::judge(&key, fragment, &mut references, &mut self.expressions);
            plan.fragment_verdicts.insert(key, verdict);
        }

        // 4. Subscriptions go where their scope is.
        let gateways_of_product =
            reach(plan.product_verdicts.iter().map(|(k, v)| (k, &v.gateways)));
        let subscriptions = subscription::plan(&SubscriptionContext {
            world,
            index: &index,
            products: &products,
            gateways_of_api: &gateways_of_api,
            gateways_of_product: &gateways_of_product,
        });

        // 5. Everything together.
        assemble(plan, gateways, rendered, subscriptions, references)
    }

    fn place_apis<'w, 'e>(
        &'e mut self,
        world: &'w World,
        index: &ObjectIndex<'w>,
        products: &Products<'_>,
        plan: &mut Plan,
    ) -> Placement<'w, 'e> {
        let mut placement = self.placement(world, index, products);
        for (key, api) in oldest_first(&index.apis) {
            let verdict = api::place(key, api, &mut placement);
            plan.api_verdicts.insert(key.clone(), verdict);
        }
        nested::look(
            &placement.gateways,
            &placement.routes,
            &mut placement.warnings,
        );
        placement
    }

    fn placement<'w, 'e>(
        &'e mut self,
        world: &'w World,
        index: &ObjectIndex<'w>,
        products: &Products<'_>,
    ) -> Placement<'w, 'e> {
        let mut references = References::new(world);
        let mut gateways = Gateways::new();
        for (key, gateway) in &index.gateways {
            let draft = gateway::check(key, gateway, world, &mut references, &mut self.expressions);
            gateways.insert(key.clone(), draft);
        }
        let routes = served_routes(world, index, &gateways);
        Placement {
            world,
            gateways,
            references,
            expressions: &mut self.expressions,
            routes,
            warnings: WarningsByApi::new(),
            previous: previous_apis(world),
            products_of: product::by_api(products),
            product_values: product::values_by_api(products),
        }
    }
}

/// What was served before, by Gateway and API.
fn previous_apis(world: &World) -> BTreeMap<ObjectKey, BTreeMap<ObjectKey, &ApiConfig>> {
    let previous = world.previous.iter().map(|(key, config)| {
        let apis = config.apis.iter().map(|api| (api.key.clone(), api));
        (key.clone(), apis.collect())
    });
    previous.collect()
}

/// The routes that APIs have which still ask for their Gateway.
fn served_routes(world: &World, index: &ObjectIndex<'_>, gateways: &Gateways<'_>) -> Routes {
    let mut routes = Routes::default();
    for (key, config) in &world.previous {
        let Some(gateway) = gateways.get(key) else {
            continue;
        };
        for api in &config.apis {
            let stays = index.apis.get(&api.key).is_some_and(|object| {
                let mut asked = object.spec.gateways.iter();
                asked.any(|asked| {
                    let namespace = asked.namespace.as_ref().unwrap_or(&api.key.namespace);
                    asked.name == key.name && *namespace == key.namespace
                })
            });
            if stays {
                routes.was_served(gateway, api);
            }
        }
    }
    routes
}

/// Says in the verdicts what there is to look at.
fn note_warnings(warnings: WarningsByApi, plan: &mut Plan) {
    for (key, warnings) in warnings {
        if let Some(verdict) = plan.api_verdicts.get_mut(&key) {
            verdict.warnings = warnings.into_texts();
            let accepted = &mut verdict.conditions.accepted;
            if accepted.status {
                accepted.message = format!("warning: {}", verdict.warnings.join("; "));
            }
        }
    }
}

/// Gateways of each object.
fn reach<'v>(
    objects: impl Iterator<Item = (&'v ObjectKey, &'v Vec<OnGateway>)>,
) -> BTreeMap<ObjectKey, Vec<ObjectKey>> {
    let names = |gateways: &Vec<OnGateway>| gateways.iter().map(|on| on.gateway.clone()).collect();
    objects
        .map(|(key, gateways)| (key.clone(), names(gateways)))
        .collect()
}

type RenderedProducts = BTreeMap<ObjectKey, Vec<ProductConfig>>;

fn render_products(
    products: &Products<'_>,
    rendering: &mut Rendering<'_, '_>,
) -> (RenderedProducts, BTreeMap<ObjectKey, ProductVerdict>) {
    let mut rendered = RenderedProducts::new();
    let mut verdicts = BTreeMap::new();
    for (key, draft) in products {
        let (configs, verdict) = rendering.render(key, draft);
        for (gateway, config) in configs {
            rendered.entry(gateway).or_default().push(config);
        }
        verdicts.insert(key.clone(), verdict);
    }
    (rendered, verdicts)
}

fn with_secret_data(config: GatewayConfig, references: &References<'_>) -> GatewayPlan {
    let before = &references.world.previous_secret_data;
    let before = before.get(&config.settings.key).map(AsRef::as_ref);
    let secret_data = secret_data::of(&config, &references.secret_data, before);
    GatewayPlan {
        config,
        secret_data,
    }
}

/// Everything together.
fn assemble(
    mut plan: Plan,
    gateways: Gateways<'_>,
    mut products: RenderedProducts,
    mut subscriptions: SubscriptionPlan<'_>,
    references: References<'_>,
) -> Plan {
    for (key, draft) in gateways {
        plan.gateway_verdicts.insert(key.clone(), draft.verdict());
        let config = GatewayConfig {
            settings: draft.settings,
            apis: draft.apis.into_values().collect(),
            products: products.remove(&key).unwrap_or_default(),
            subscriptions: subscriptions.configs.remove(&key).unwrap_or_default(),
            inactive: subscriptions
                .inactive
                .remove(&key)
                .unwrap_or_default()
                .few(),
        };
        let gateway = with_secret_data(config, &references);
        plan.gateways.insert(key, gateway);
    }
    for (product, active) in subscriptions.active {
        if let Some(verdict) = plan.product_verdicts.get_mut(product) {
            verdict.subscriptions = active;
        }
    }
    plan.subscription_verdicts = subscriptions.verdicts;
    plan.key_requests = subscriptions.requests;
    plan.next_change = subscriptions.next_expiry;
    plan.wanted_secrets = references.wanted_secrets;
    plan.wanted_secrets.append(&mut subscriptions.wanted);
    plan.wanted_config_maps = references.wanted_config_maps;
    plan
}
