//! Subscriptions: where they stand, what their keys open, on which Gateways.

use std::collections::{BTreeMap, HashMap};

use kube::ResourceExt;
use tidegate_api::{Approval, Reason, Scope, Subscription, SubscriptionPhase, SubscriptionState};
use tidegate_config::{ObjectKey, SubscriptionConfig, SubscriptionScope};

use crate::index::{Index, generation_of, oldest_first};
use crate::keys::{self, Keys, Owners};
use crate::problem::{Problem, verdict};
use crate::product::Products;
use crate::{KeyRequest, SubscriptionVerdict, World};

/// What subscriptions are judged by.
pub(crate) struct Surroundings<'s, 'a> {
    pub(crate) world: &'s World,
    pub(crate) index: &'s Index<'a>,
    pub(crate) products: &'s Products<'a>,
    /// Gateways that serve an API.
    pub(crate) gateways_of_api: &'s BTreeMap<ObjectKey, Vec<ObjectKey>>,
    /// Gateways that serve a product.
    pub(crate) gateways_of_product: &'s BTreeMap<ObjectKey, Vec<ObjectKey>>,
}

/// What comes out for all subscriptions.
#[derive(Default)]
pub(crate) struct Judged {
    /// Active ones by Gateway, sorted by key.
    pub(crate) configs: BTreeMap<ObjectKey, Vec<SubscriptionConfig>>,
    pub(crate) verdicts: BTreeMap<ObjectKey, SubscriptionVerdict>,
    /// Sorted by Secret.
    pub(crate) requests: Vec<KeyRequest>,
    /// How many are active, by Product.
    pub(crate) active: HashMap<ObjectKey, u32>,
    /// The next moment at which one expires.
    pub(crate) next_expiry: Option<i64>,
}

/// One subscription while it is judged.
struct Case<'k> {
    key: &'k ObjectKey,
    subscription: &'k Subscription,
    phase: SubscriptionPhase,
    keys: Keys,
    problems: Vec<Problem>,
}

/// What a subscription opens, and where that is served.
struct Target<'t> {
    scope: SubscriptionScope,
    gateways: &'t [ObjectKey],
}

/// Subscriptions that count against a limit, by product and owner.
type Places<'k> = HashMap<(ObjectKey, &'k str), u32>;

/// Judges all subscriptions, oldest first: keys and places are given out in that order.
pub(crate) fn judge(around: &Surroundings<'_, '_>) -> Judged {
    let mut judged = Judged::default();
    let mut owners = Owners::default();
    let mut places = Places::new();
    for key in oldest_first(&around.index.subscriptions) {
        let subscription = around.index.subscriptions[key];
        let mut case = around.case(key, subscription, &mut places);
        owners.claim(key, &mut case.keys);
        around.settle(case, &mut judged);
    }
    for configs in judged.configs.values_mut() {
        configs.sort_by(|a, b| a.key.cmp(&b.key));
    }
    judged.requests.sort_by(|a, b| a.secret.cmp(&b.secret));
    judged
}

impl Surroundings<'_, '_> {
    fn case<'k>(
        &self,
        key: &'k ObjectKey,
        subscription: &'k Subscription,
        places: &mut Places<'k>,
    ) -> Case<'k> {
        let mut problems = Vec::new();
        let mut phase = self.phase(key, subscription);
        if let Some(problem) = self.over_limit(key, subscription, phase, places) {
            problems.push(problem);
            phase = SubscriptionPhase::Submitted;
        }
        Case {
            key,
            subscription,
            phase,
            keys: keys::read(key, subscription, is_alive(phase), self.world),
            problems,
        }
    }

    /// What ended for good comes first, then what may change again.
    fn phase(&self, key: &ObjectKey, subscription: &Subscription) -> SubscriptionPhase {
        let spec = &subscription.spec;
        let product = spec.scope.product.as_ref();
        let product = product.and_then(|name| self.product(key, name));
        let undecided = product.is_some_and(|product| product.spec.approval_required)
            && spec.approval != Some(Approval::Approved);
        if spec.state == SubscriptionState::Cancelled {
            SubscriptionPhase::Cancelled
        } else if spec.approval == Some(Approval::Rejected) {
            SubscriptionPhase::Rejected
        } else if expiry(subscription).is_some_and(|expiry| expiry <= self.world.now) {
            SubscriptionPhase::Expired
        } else if undecided {
            SubscriptionPhase::Submitted
        } else if spec.state == SubscriptionState::Suspended {
            SubscriptionPhase::Suspended
        } else {
            SubscriptionPhase::Active
        }
    }

    fn product(&self, key: &ObjectKey, name: &str) -> Option<&tidegate_api::Product> {
        let product = ObjectKey::new(&key.namespace, name);
        self.index.products.get(&product).copied()
    }

    /// Takes one of the places that the product gives each owner. Subscriptions without an owner
    /// stand alone.
    fn over_limit<'k>(
        &self,
        key: &ObjectKey,
        subscription: &'k Subscription,
        phase: SubscriptionPhase,
        places: &mut Places<'k>,
    ) -> Option<Problem> {
        let spec = &subscription.spec;
        let (Some(name), Some(owner)) = (&spec.scope.product, &spec.owner) else {
            return None;
        };
        let limit = self.product(key, name)?.spec.subscriptions_limit?;
        if !is_alive(phase) {
            return None;
        }
        let product = ObjectKey::new(&key.namespace, name);
        let taken = places.entry((product, owner)).or_default();
        *taken += 1;
        (*taken > limit).then(|| {
            let text = format!(
                "Product {name} allows {limit} subscriptions per owner, and {owner} has older ones"
            );
            Problem::accepted(Reason::LimitReached, text)
        })
    }

    /// Renders what is active, and says what is to be said.
    fn settle(&self, case: Case<'_>, judged: &mut Judged) {
        let Case {
            key,
            subscription,
            phase,
            keys,
            mut problems,
        } = case;
        let mut gateways = Vec::new();
        match self.target(key, &subscription.spec.scope) {
            Err(problem) => problems.push(problem),
            Ok(target) if phase == SubscriptionPhase::Active && !keys.hashes.is_empty() => {
                gateways = target.gateways.to_vec();
                let config = config(key, subscription, target.scope, keys.hashes);
                for gateway in &gateways {
                    let configs = judged.configs.entry(gateway.clone()).or_default();
                    configs.push(config.clone());
                }
            }
            Ok(_) => {}
        }
        problems.extend(keys.problems);
        judged.requests.extend(keys.request);
        judged.count(key, subscription, phase);
        judged.next_expiry = expiry(subscription)
            .filter(|expiry| *expiry > self.world.now && is_alive(phase))
            .into_iter()
            .chain(judged.next_expiry)
            .min();
        let verdict = SubscriptionVerdict {
            verdict: verdict(generation_of(subscription), &problems),
            phase,
            keys: keys.status,
            gateways,
        };
        judged.verdicts.insert(key.clone(), verdict);
    }

    fn target(&self, key: &ObjectKey, scope: &Scope) -> Result<Target<'_>, Problem> {
        let sibling = |name: &str| ObjectKey::new(&key.namespace, name);
        match (&scope.product, &scope.api, &scope.gateway) {
            (Some(name), None, None) => self.product_target(&sibling(name)),
            (None, Some(name), None) => {
                let api = sibling(name);
                if !self.index.apis.contains_key(&api) {
                    return Err(missing(Reason::ApiNotFound, "WebSocketApi", &api, "api"));
                }
                let gateways = self
                    .gateways_of_api
                    .get(&api)
                    .map_or(&[][..], Vec::as_slice);
                Ok(Target {
                    scope: SubscriptionScope::Api(api.name),
                    gateways,
                })
            }
            (None, None, Some(name)) => {
                let found = self.index.gateways.get_key_value(&sibling(name));
                let Some((gateway, _)) = found else {
                    let gateway = sibling(name);
                    return Err(missing(
                        Reason::GatewayNotFound,
                        "Gateway",
                        &gateway,
                        "gateway",
                    ));
                };
                let gateways = std::slice::from_ref(gateway);
                Ok(Target {
                    scope: SubscriptionScope::Gateway,
                    gateways,
                })
            }
            _ => Err(
                Problem::invalid("exactly one of product, api, gateway must be set")
                    .at("spec.scope"),
            ),
        }
    }

    fn product_target(&self, product: &ObjectKey) -> Result<Target<'_>, Problem> {
        let Some(draft) = self.products.get(product) else {
            return Err(missing(
                Reason::ProductNotFound,
                "Product",
                product,
                "product",
            ));
        };
        if !draft.is_published() {
            let text = format!("Product {product} is not published: its keys open nothing");
            return Err(Problem::accepted(Reason::NotPublished, text).at("spec.scope.product"));
        }
        let gateways = self
            .gateways_of_product
            .get(product)
            .map_or(&[][..], Vec::as_slice);
        let scope = SubscriptionScope::Product(product.name.clone());
        Ok(Target { scope, gateways })
    }
}

impl Judged {
    fn count(&mut self, key: &ObjectKey, subscription: &Subscription, phase: SubscriptionPhase) {
        if let (Some(product), SubscriptionPhase::Active) =
            (&subscription.spec.scope.product, phase)
        {
            let product = ObjectKey::new(&key.namespace, product);
            *self.active.entry(product).or_default() += 1;
        }
    }
}

fn missing(reason: Reason, kind: &str, key: &ObjectKey, field: &str) -> Problem {
    let text = format!("{kind} {key} does not exist");
    Problem::unresolved(reason, text).at(&format!("spec.scope.{field}"))
}

fn config(
    key: &ObjectKey,
    subscription: &Subscription,
    scope: SubscriptionScope,
    key_hashes: Vec<String>,
) -> SubscriptionConfig {
    let spec = &subscription.spec;
    SubscriptionConfig {
        key: key.clone(),
        generation: generation_of(subscription),
        display_name: spec
            .display_name
            .clone()
            .unwrap_or_else(|| subscription.name_any()),
        owner: spec.owner.clone(),
        scope,
        key_hashes,
        expires_at: expiry(subscription),
    }
}

fn expiry(subscription: &Subscription) -> Option<i64> {
    subscription
        .spec
        .expires_at
        .as_ref()
        .map(|time| time.0.as_second())
}

/// May its keys ever work (again)?
fn is_alive(phase: SubscriptionPhase) -> bool {
    match phase {
        SubscriptionPhase::Submitted | SubscriptionPhase::Active | SubscriptionPhase::Suspended => {
            true
        }
        SubscriptionPhase::Rejected | SubscriptionPhase::Cancelled | SubscriptionPhase::Expired => {
            false
        }
    }
}
