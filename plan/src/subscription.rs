//! Subscriptions: where they stand, what their keys open, on which Gateways.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kube::ResourceExt;
use tidegate_api::{Approval, Reason, Subscription, SubscriptionPhase, SubscriptionState};
use tidegate_config::{ObjectKey, SubscriptionConfig, SubscriptionScope};

use crate::approval::Standing;
use crate::index::{Index, generation_of, order_of_age};
use crate::keys::{self, Holder, Keys};
use crate::problem::{Problem, verdict};
use crate::product::{ProductDraft, Products};
use crate::{KeyRequest, SubscriptionVerdict, World};

/// What subscriptions are judged by.
pub(crate) struct Surroundings<'s> {
    pub(crate) world: &'s World,
    pub(crate) index: &'s Index<'s>,
    pub(crate) products: &'s Products<'s>,
    /// Gateways that serve an API.
    pub(crate) gateways_of_api: &'s BTreeMap<ObjectKey, Vec<ObjectKey>>,
    /// Gateways that serve a product.
    pub(crate) gateways_of_product: &'s BTreeMap<ObjectKey, Vec<ObjectKey>>,
}

/// What comes out for all subscriptions.
#[derive(Default)]
pub(crate) struct Judged<'s> {
    /// Active ones by Gateway, sorted by key.
    pub(crate) configs: BTreeMap<ObjectKey, Vec<SubscriptionConfig>>,
    pub(crate) verdicts: BTreeMap<ObjectKey, SubscriptionVerdict>,
    /// Secrets with keys, existing or not.
    pub(crate) wanted: BTreeSet<ObjectKey>,
    /// Sorted by Secret.
    pub(crate) requests: Vec<KeyRequest>,
    /// How many are active, by Product.
    pub(crate) active: HashMap<&'s ObjectKey, u32>,
    /// The next moment at which one expires.
    pub(crate) next_expiry: Option<i64>,
}

/// One subscription while it is judged.
struct Case<'s> {
    key: &'s ObjectKey,
    subscription: &'s Subscription,
    /// The Product of its scope, when it exists.
    product: Option<(&'s ObjectKey, &'s ProductDraft<'s>)>,
    phase: SubscriptionPhase,
    approval: Standing,
    problems: Vec<Problem>,
}

/// What a subscription opens, and where that is served.
struct Target<'s> {
    scope: SubscriptionScope,
    gateways: &'s [ObjectKey],
}

/// Subscriptions that count against a limit, by product and owner.
type Places<'s> = HashMap<(&'s ObjectKey, &'s str), u32>;

/// Judges all subscriptions. Places and keys are given out in order of age; everything else is done
/// in order of keys, in which the maps are: at 50,000 sorting would take longer than judging.
pub(crate) fn judge<'s>(around: &Surroundings<'s>) -> Judged<'s> {
    let subscriptions: Vec<_> = around.index.subscriptions.iter().collect();
    let order = order_of_age(subscriptions.iter().map(|(_, subscription)| **subscription));
    let mut cases: Vec<_> = subscriptions
        .iter()
        .map(|(key, s)| around.case(key, s))
        .collect();
    limit(&mut cases, &order);
    let secrets: Vec<_> = cases
        .iter()
        .map(|c| keys::secret_key(c.key, c.subscription))
        .collect();
    let read = |(case, secret): (&Case<'s>, &ObjectKey)| {
        let holder = Holder {
            key: case.key,
            subscription: case.subscription,
            secret,
            alive: is_alive(case.phase),
        };
        (case.key, keys::read(&holder, around.world))
    };
    let mut keys: Vec<_> = cases.iter().zip(&secrets).map(read).collect();
    keys::make_unique(&mut keys, &order);

    let mut judged = Judged::default();
    let settled = cases.into_iter().zip(keys);
    let settled =
        settled.map(|(case, (key, keys))| (key.clone(), around.settle(case, keys, &mut judged)));
    judged.verdicts = settled.collect();
    judged.requests.sort_by(|a, b| a.secret.cmp(&b.secret));
    judged.wanted = secrets.into_iter().collect();
    judged
}

/// Gives out the places of products with a limit. Subscriptions without an owner stand alone.
fn limit(cases: &mut [Case<'_>], order: &[usize]) {
    let mut places = Places::new();
    for &position in order {
        let case = &mut cases[position];
        if let Some((product, draft)) = case.product
            && is_alive(case.phase)
            && let Some(problem) = over_limit(case.subscription, product, draft, &mut places)
        {
            case.problems.push(problem);
            case.phase = SubscriptionPhase::Submitted;
        }
    }
}

impl<'s> Surroundings<'s> {
    fn case(&self, key: &'s ObjectKey, subscription: &'s Subscription) -> Case<'s> {
        let name = subscription.spec.scope.product.as_ref();
        let product = name.and_then(|name| {
            let product = ObjectKey::new(&key.namespace, name);
            self.products.get_key_value(&product)
        });
        let approval = Standing::of(subscription);
        let asks = product.is_some_and(|(_, draft)| draft.product.spec.approval_required);
        let undecided = asks && !approval.is_covered();
        let phase = self.phase(subscription, undecided);
        let waits = phase == SubscriptionPhase::Submitted;
        let problem = approval.problem().filter(|_| waits);
        Case {
            key,
            subscription,
            product,
            phase,
            approval,
            problems: problem.into_iter().collect(),
        }
    }

    /// What ended for good comes first, then what may change again.
    fn phase(&self, subscription: &Subscription, undecided: bool) -> SubscriptionPhase {
        let spec = &subscription.spec;
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

    /// Renders what is active, and says what is to be said.
    fn settle(&self, case: Case<'s>, keys: Keys, judged: &mut Judged<'s>) -> SubscriptionVerdict {
        let target = self.target(&case);
        let Case {
            key,
            subscription,
            product,
            phase,
            approval,
            mut problems,
        } = case;
        let active = phase == SubscriptionPhase::Active;
        let mut gateways = Vec::new();
        match target {
            Err(problem) => problems.push(problem),
            Ok(target) if active && !keys.hashes.is_empty() => {
                gateways = target.gateways.to_vec();
                let config = config(key, subscription, target.scope, keys.hashes);
                judged.serve(config, target.gateways);
            }
            Ok(_) => {}
        }
        problems.extend(keys.problems);
        judged.requests.extend(keys.request);
        if let (Some((product, _)), true) = (product, active) {
            *judged.active.entry(product).or_default() += 1;
        }
        let expiry = expiry(subscription);
        let expiry = expiry.filter(|expiry| *expiry > self.world.now && is_alive(phase));
        judged.next_expiry = expiry.into_iter().chain(judged.next_expiry).min();
        SubscriptionVerdict {
            verdict: verdict(generation_of(subscription), &problems),
            phase,
            approved: approval.into_terms(),
            keys: keys.status,
            gateways,
        }
    }

    fn target(&self, case: &Case<'s>) -> Result<Target<'s>, Problem> {
        let sibling = |name: &str| ObjectKey::new(&case.key.namespace, name);
        let scope = &case.subscription.spec.scope;
        match (&scope.product, &scope.api, &scope.gateway) {
            (Some(name), None, None) => match case.product {
                Some((product, draft)) => self.product_target(product, draft),
                None => {
                    let product = sibling(name);
                    Err(missing(
                        Reason::ProductNotFound,
                        "Product",
                        &product,
                        "product",
                    ))
                }
            },
            (None, Some(name), None) => {
                let api = sibling(name);
                if !self.index.apis.contains_key(&api) {
                    return Err(missing(Reason::ApiNotFound, "WebSocketApi", &api, "api"));
                }
                let gateways = self.gateways_of_api.get(&api);
                Ok(Target {
                    scope: SubscriptionScope::Api(api.name),
                    gateways: gateways.map_or(&[][..], Vec::as_slice),
                })
            }
            (None, None, Some(name)) => {
                let gateway = sibling(name);
                let Some((found, _)) = self.index.gateways.get_key_value(&gateway) else {
                    return Err(missing(
                        Reason::GatewayNotFound,
                        "Gateway",
                        &gateway,
                        "gateway",
                    ));
                };
                Ok(Target {
                    scope: SubscriptionScope::Gateway,
                    gateways: std::slice::from_ref(found),
                })
            }
            _ => Err(
                Problem::invalid("exactly one of product, api, gateway must be set")
                    .at("spec.scope"),
            ),
        }
    }

    fn product_target(
        &self,
        product: &ObjectKey,
        draft: &ProductDraft<'_>,
    ) -> Result<Target<'s>, Problem> {
        if !draft.is_published() {
            let text = format!("Product {product} is not published: its keys open nothing");
            return Err(Problem::accepted(Reason::NotPublished, text).at("spec.scope.product"));
        }
        let gateways = self.gateways_of_product.get(product);
        Ok(Target {
            scope: SubscriptionScope::Product(product.name.clone()),
            gateways: gateways.map_or(&[][..], Vec::as_slice),
        })
    }
}

impl Judged<'_> {
    fn serve(&mut self, config: SubscriptionConfig, gateways: &[ObjectKey]) {
        let Some((last, others)) = gateways.split_last() else {
            return;
        };
        for gateway in others {
            let configs = self.configs.entry(gateway.clone()).or_default();
            configs.push(config.clone());
        }
        self.configs.entry(last.clone()).or_default().push(config);
    }
}

/// Takes one of the places that a product gives each owner.
fn over_limit<'s>(
    subscription: &'s Subscription,
    product: &'s ObjectKey,
    draft: &ProductDraft<'_>,
    places: &mut Places<'s>,
) -> Option<Problem> {
    let limit = draft.product.spec.subscriptions_limit?;
    let owner = subscription.spec.owner.as_ref()?;
    let taken = places.entry((product, owner)).or_default();
    *taken += 1;
    (*taken > limit).then(|| {
        let name = &product.name;
        let text = format!(
            "Product {name} allows {limit} subscriptions per owner, and {owner} has older ones"
        );
        Problem::accepted(Reason::LimitReached, text)
    })
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
    let display_name = spec.display_name.clone();
    SubscriptionConfig {
        key: key.clone(),
        generation: generation_of(subscription),
        display_name: display_name.unwrap_or_else(|| subscription.name_any()),
        owner: spec.owner.clone(),
        scope,
        key_hashes,
        expires_at: expiry(subscription),
        allow_tracing: spec.allow_tracing,
    }
}

fn expiry(subscription: &Subscription) -> Option<i64> {
    let time = subscription.spec.expires_at.as_ref();
    time.map(|time| time.0.as_second())
}

/// May its keys ever work (again)?
fn is_alive(phase: SubscriptionPhase) -> bool {
    use SubscriptionPhase as P;
    match phase {
        P::Submitted | P::Active | P::Suspended => true,
        P::Rejected | P::Cancelled | P::Expired => false,
    }
}
