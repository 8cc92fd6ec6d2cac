//! Subscriptions: where they stand, what their keys open, on which Gateways.

mod inactive;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kube::ResourceExt;
use tidegate_api::{Approval, Reason, Subscription, SubscriptionPhase, SubscriptionState};
use tidegate_config::{ObjectKey, SubscriptionConfig, SubscriptionScope};

use crate::approval::ApprovalState;
use crate::generated_keys::secret_key;
use crate::index::{ObjectIndex, generation_of, order_of_age};
use crate::keys::{self, KeyHolder, Keys};
use crate::problem::{Problem, conditions};
use crate::product::{ProductDraft, Products};
use crate::subscription::inactive::Inactive;
use crate::{KeyRequest, SubscriptionVerdict, World};

/// What subscriptions are planned by.
pub(crate) struct SubscriptionContext<'s> {
    pub(crate) world: &'s World,
    pub(crate) index: &'s ObjectIndex<'s>,
    pub(crate) products: &'s Products<'s>,
    /// Gateways that serve an API.
    pub(crate) gateways_of_api: &'s BTreeMap<ObjectKey, Vec<ObjectKey>>,
    /// Gateways that serve a product.
    pub(crate) gateways_of_product: &'s BTreeMap<ObjectKey, Vec<ObjectKey>>,
}

/// What comes out for all subscriptions.
#[derive(Default)]
pub(crate) struct SubscriptionPlan<'s> {
    /// Active ones by Gateway, sorted by key.
    pub(crate) configs: BTreeMap<ObjectKey, Vec<SubscriptionConfig>>,
    /// Those that give no access, by Gateway.
    pub(crate) inactive: BTreeMap<ObjectKey, Inactive>,
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

/// A subscription while it is planned.
struct SubscriptionDraft<'s> {
    key: &'s ObjectKey,
    subscription: &'s Subscription,
    /// The Product of its scope, when it exists.
    product: Option<(&'s ObjectKey, &'s ProductDraft<'s>)>,
    phase: SubscriptionPhase,
    approval: ApprovalState,
    problems: Vec<Problem>,
}

/// What a subscription opens, and where that is served.
struct AccessTarget<'s> {
    scope: SubscriptionScope,
    gateways: &'s [ObjectKey],
}

/// Subscriptions that count against a limit, by product and owner.
type Counts<'s> = HashMap<(&'s ObjectKey, &'s str), u32>;

/// Plans all subscriptions. The limits and the keys are given out in order of age; everything else is done
/// in order of keys, in which the maps are: at 50,000 sorting would take longer than the rest.
pub(crate) fn plan<'s>(context: &SubscriptionContext<'s>) -> SubscriptionPlan<'s> {
    let subscriptions: Vec<_> = context.index.subscriptions.iter().collect();
    let order = order_of_age(subscriptions.iter().map(|(_, subscription)| **subscription));
    let mut drafts: Vec<_> = subscriptions
        .iter()
        .map(|(key, s)| context.draft(key, s))
        .collect();
    limit(&mut drafts, &order);
    let secrets: Vec<_> = drafts
        .iter()
        .map(|c| secret_key(c.key, c.subscription))
        .collect();
    let keyed = drafts.iter().zip(&secrets);
    let mut keys: Vec<_> = keyed
        .map(|(draft, secret)| (draft.key, draft.read_keys(secret, context.world)))
        .collect();
    keys::make_unique(&mut keys, &order);

    let mut planned = SubscriptionPlan::default();
    let settled = drafts.into_iter().zip(keys);
    let settled = settled
        .map(|(draft, (key, keys))| (key.clone(), context.settle(draft, keys, &mut planned)));
    planned.verdicts = settled.collect();
    planned.requests.sort_by(|a, b| a.secret.cmp(&b.secret));
    planned.wanted = secrets.into_iter().collect();
    planned
}

impl SubscriptionDraft<'_> {
    fn read_keys(&self, secret: &ObjectKey, world: &World) -> Keys {
        let holder = KeyHolder {
            key: self.key,
            subscription: self.subscription,
            secret,
            alive: is_alive(self.phase),
        };
        keys::read(&holder, world)
    }
}

/// Counts the subscriptions of each owner to products with a limit. Those without an owner do not count.
fn limit(drafts: &mut [SubscriptionDraft<'_>], order: &[usize]) {
    let mut counts = Counts::new();
    for &position in order {
        let draft = &mut drafts[position];
        if let Some(product) = draft.product
            && is_alive(draft.phase)
            && let Some(problem) = over_limit(draft.subscription, product, &mut counts)
        {
            draft.problems.push(problem);
            draft.phase = SubscriptionPhase::Submitted;
        }
    }
}

impl<'s> SubscriptionContext<'s> {
    fn draft(&self, key: &'s ObjectKey, subscription: &'s Subscription) -> SubscriptionDraft<'s> {
        let name = subscription.spec.scope.product.as_ref();
        let product = name.and_then(|name| {
            let product = ObjectKey::new(&key.namespace, name);
            self.products.get_key_value(&product)
        });
        let approval = ApprovalState::of(subscription);
        let asks = product.is_some_and(|(_, draft)| draft.product.spec.approval_required);
        let undecided = asks && !approval.is_covered();
        let phase = self.phase(subscription, undecided);
        let waits = phase == SubscriptionPhase::Submitted;
        let problem = approval.problem().filter(|_| waits);
        SubscriptionDraft {
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
    fn settle(
        &self,
        mut draft: SubscriptionDraft<'s>,
        keys: Keys,
        planned: &mut SubscriptionPlan<'s>,
    ) -> SubscriptionVerdict {
        let mut problems = std::mem::take(&mut draft.problems);
        let is_active = draft.phase == SubscriptionPhase::Active;
        let mut gateways = Vec::new();
        match self.target(&draft) {
            Ok(target) if is_active && !keys.hashes.is_empty() => {
                gateways = target.gateways.to_vec();
                let config = config(&draft, target.scope, keys.hashes);
                planned.serve(config, target.gateways);
            }
            target => {
                problems.extend(target.err());
                self.note_inactive(&draft, &problems, keys.hashes, planned);
            }
        }
        problems.extend(keys.problems);
        planned.requests.extend(keys.request);
        planned.note(&draft, self.world.now);
        SubscriptionVerdict {
            conditions: conditions(generation_of(draft.subscription), &problems),
            phase: draft.phase,
            approved: draft.approval.into_terms(),
            keys: keys.status,
            gateways,
        }
    }

    fn target(&self, draft: &SubscriptionDraft<'s>) -> Result<AccessTarget<'s>, Problem> {
        let sibling = |name: &str| ObjectKey::new(&draft.key.namespace, name);
        let scope = &draft.subscription.spec.scope;
        match (&scope.product, &scope.api, &scope.gateway) {
            (Some(name), None, None) => {
                let missing = || missing(Reason::ProductNotFound, "Product", &sibling(name));
                let (product, draft) = draft
                    .product
                    .ok_or_else(|| missing().at("spec.scope.product"))?;
                self.product_target(product, draft)
            }
            (None, Some(name), None) => {
                let target = self.api_target(sibling(name));
                target.map_err(|problem| problem.at("spec.scope.api"))
            }
            (None, None, Some(name)) => {
                let target = self.gateway_target(&sibling(name));
                target.map_err(|problem| problem.at("spec.scope.gateway"))
            }
            _ => {
                let problem = Problem::invalid("exactly one of product, api, gateway must be set");
                Err(problem.at("spec.scope"))
            }
        }
    }

    fn api_target(&self, api: ObjectKey) -> Result<AccessTarget<'s>, Problem> {
        if !self.index.apis.contains_key(&api) {
            return Err(missing(Reason::ApiNotFound, "WebSocketApi", &api));
        }
        let gateways = self.gateways_of_api.get(&api);
        Ok(AccessTarget {
            scope: SubscriptionScope::Api(api.name),
            gateways: gateways.map_or(&[][..], Vec::as_slice),
        })
    }

    fn gateway_target(&self, gateway: &ObjectKey) -> Result<AccessTarget<'s>, Problem> {
        let found = self.index.gateways.get_key_value(gateway);
        let missing = || missing(Reason::GatewayNotFound, "Gateway", gateway);
        let (found, _) = found.ok_or_else(missing)?;
        Ok(AccessTarget {
            scope: SubscriptionScope::Gateway,
            gateways: std::slice::from_ref(found),
        })
    }

    fn product_target(
        &self,
        product: &ObjectKey,
        draft: &ProductDraft<'_>,
    ) -> Result<AccessTarget<'s>, Problem> {
        if !draft.is_published() {
            let text = format!("Product {product} is not published, so its keys give no access");
            return Err(Problem::accepted(Reason::NotPublished, text).at("spec.scope.product"));
        }
        let gateways = self.gateways_of_product.get(product);
        Ok(AccessTarget {
            scope: SubscriptionScope::Product(product.name.clone()),
            gateways: gateways.map_or(&[][..], Vec::as_slice),
        })
    }
}

impl<'s> SubscriptionPlan<'s> {
    /// Counts it if it is active, and notes when it expires.
    fn note(&mut self, draft: &SubscriptionDraft<'s>, now: i64) {
        if let (Some((product, _)), SubscriptionPhase::Active) = (draft.product, draft.phase) {
            *self.active.entry(product).or_default() += 1;
        }
        let expiry = expiry(draft.subscription);
        let expiry = expiry.filter(|expiry| *expiry > now && is_alive(draft.phase));
        self.next_expiry = expiry.into_iter().chain(self.next_expiry).min();
    }

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

/// Counts one more subscription of an owner to a product with a limit.
fn over_limit<'s>(
    subscription: &'s Subscription,
    (product, draft): (&'s ObjectKey, &ProductDraft<'_>),
    counts: &mut Counts<'s>,
) -> Option<Problem> {
    let limit = draft.product.spec.subscriptions_limit?;
    let owner = subscription.spec.owner.as_ref()?;
    let taken = counts.entry((product, owner)).or_default();
    *taken += 1;
    (*taken > limit).then(|| {
        let name = &product.name;
        let text = format!(
            "Product {name} allows {limit} subscriptions per owner, and {owner} has that many older ones"
        );
        Problem::accepted(Reason::LimitReached, text)
    })
}

fn missing(reason: Reason, kind: &'static str, key: &ObjectKey) -> Problem {
    Problem::missing(reason, kind, key.clone())
}

fn config(
    draft: &SubscriptionDraft<'_>,
    scope: SubscriptionScope,
    key_hashes: Vec<String>,
) -> SubscriptionConfig {
    let subscription = draft.subscription;
    let spec = &subscription.spec;
    let display_name = spec.display_name.clone();
    SubscriptionConfig {
        key: draft.key.clone(),
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
