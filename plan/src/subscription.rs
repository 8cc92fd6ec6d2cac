//! Subscriptions: where they stand, what their keys open, on which Gateways.

mod inactive;

use std::collections::BTreeMap;

use kube::ResourceExt;
use tidegate_api::{Approval, Reason, Subscription, SubscriptionPhase, SubscriptionState};
use tidegate_config::{ObjectKey, SubscriptionConfig, SubscriptionScope};

use crate::approval::ApprovalState;
use crate::generated_keys::secret_key;
use crate::index::generation_of;
use crate::keys::{self, KeyHolder, Keys};
use crate::problem::{Problem, conditions};
use crate::product::{ProductDraft, Products};
pub(crate) use crate::subscription::inactive::{Inactive, InactiveSubscriptions};
use crate::{ApiVerdict, KeyRequest, OnGateway, ProductVerdict, SubscriptionVerdict, World};

/// What subscriptions are planned by.
#[derive(Clone, Copy)]
pub(crate) struct SubscriptionContext<'s> {
    pub(crate) world: &'s World,
    pub(crate) products: &'s Products,
    /// Which Gateways serve an API.
    pub(crate) apis: &'s BTreeMap<ObjectKey, ApiVerdict>,
    /// Which Gateways serve a product.
    pub(crate) rendered: &'s BTreeMap<ObjectKey, ProductVerdict>,
}

/// What a subscription asks for that others may have: the older one gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// A place among the subscriptions of its owner to a product with a limit.
    pub(crate) place: Option<PlaceKey>,
    /// Hashes of its keys.
    pub(crate) keys: Vec<String>,
}

/// A product with a limit, and an owner.
pub(crate) type PlaceKey = (ObjectKey, String);

/// What a subscription gets of its claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// The limit of its product, if older ones reach it.
    pub(crate) over_limit: Option<u32>,
    /// Keys that older subscriptions have, and which.
    pub(crate) taken: Vec<(String, ObjectKey)>,
}

/// A subscription as it is served.
pub(crate) struct Settled {
    /// Its configuration on the Gateways of the verdict; `None`: no Gateway serves it.
    pub(crate) config: Option<SubscriptionConfig>,
    /// Why it gives no access, for the Gateways at which its keys would work.
    pub(crate) inactive: Option<Inactive>,
    pub(crate) verdict: SubscriptionVerdict,
    /// Keys to be generated for it.
    pub(crate) request: Option<KeyRequest>,
    /// The Product that it is active in.
    pub(crate) active_in: Option<ObjectKey>,
    /// When it expires, if that is to come.
    pub(crate) expires: Option<i64>,
}

/// A subscription while it is planned.
struct SubscriptionDraft<'s> {
    key: &'s ObjectKey,
    subscription: &'s Subscription,
    /// The Product of its scope, when it exists.
    product: Option<(&'s ObjectKey, &'s ProductDraft)>,
    phase: SubscriptionPhase,
    approval: ApprovalState,
    problems: Vec<Problem>,
}

/// What a subscription opens, and where that is served.
struct AccessTarget {
    scope: SubscriptionScope,
    gateways: Vec<ObjectKey>,
}

impl SubscriptionDraft<'_> {
    /// Those without an owner do not count against a limit.
    fn place(&self) -> Option<PlaceKey> {
        let (product, draft) = self.product.filter(|_| is_alive(self.phase))?;
        draft.product.spec.subscriptions_limit?;
        let owner = self.subscription.spec.owner.clone()?;
        Some((product.clone(), owner))
    }

    /// Waits while older ones of the same owner reach the limit of its product.
    fn limit(&mut self, over: Option<u32>) {
        let Some((limit, (product, _))) = over.zip(self.product) else {
            return;
        };
        let owner = self.subscription.spec.owner.as_deref().unwrap_or_default();
        let name = &product.name;
        let text = format!(
            "Product {name} allows {limit} subscriptions per owner, and {owner} has that many older ones"
        );
        self.problems
            .push(Problem::accepted(Reason::LimitReached, text));
        self.phase = SubscriptionPhase::Submitted;
    }

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

impl<'s> SubscriptionContext<'s> {
    /// What a subscription asks for.
    pub(crate) fn claims(&self, key: &'s ObjectKey, subscription: &'s Subscription) -> Claims {
        let draft = self.draft(key, subscription);
        let secret = secret_key(key, subscription);
        Claims {
            place: draft.place(),
            keys: draft.read_keys(&secret, self.world).hashes,
        }
    }

    /// Renders a subscription if it is active, and says what is to be said.
    pub(crate) fn settle(
        &self,
        key: &'s ObjectKey,
        subscription: &'s Subscription,
        granted: &Granted,
    ) -> Settled {
        let mut draft = self.draft(key, subscription);
        draft.limit(granted.over_limit);
        let secret = secret_key(key, subscription);
        let mut keys = draft.read_keys(&secret, self.world);
        for (hash, older) in &granted.taken {
            keys.take_away(hash, older);
        }
        self.serve(draft, keys)
    }

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

    fn serve(&self, mut draft: SubscriptionDraft<'s>, keys: Keys) -> Settled {
        let mut problems = std::mem::take(&mut draft.problems);
        let is_active = draft.phase == SubscriptionPhase::Active;
        let (mut gateways, mut served, mut inactive) = (Vec::new(), None, None);
        match self.target(&draft) {
            Ok(target) if is_active && !keys.hashes.is_empty() => {
                gateways = target.gateways;
                let config = config(&draft, target.scope, keys.hashes);
                served = (!gateways.is_empty()).then_some(config);
            }
            target => {
                problems.extend(target.err());
                inactive = self.inactive(&draft, &problems, keys.hashes);
            }
        }
        problems.extend(keys.problems);
        let product = draft.product.filter(|_| is_active);
        let expires = expiry(draft.subscription);
        Settled {
            config: served,
            inactive,
            request: keys.request,
            active_in: product.map(|(key, _)| key.clone()),
            expires: expires.filter(|at| *at > self.world.now && is_alive(draft.phase)),
            verdict: SubscriptionVerdict {
                conditions: conditions(generation_of(draft.subscription), &problems),
                phase: draft.phase,
                approved: draft.approval.into_terms(),
                keys: keys.status,
                gateways,
            },
        }
    }

    fn target(&self, draft: &SubscriptionDraft<'s>) -> Result<AccessTarget, Problem> {
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

    fn api_target(&self, api: ObjectKey) -> Result<AccessTarget, Problem> {
        if !self.world.apis.contains_key(&api) {
            return Err(missing(Reason::ApiNotFound, "WebSocketApi", &api));
        }
        let verdict = self.apis.get(&api);
        Ok(AccessTarget {
            gateways: verdict.map_or_else(Vec::new, |verdict| names(&verdict.gateways)),
            scope: SubscriptionScope::Api(api.name),
        })
    }

    fn gateway_target(&self, gateway: &ObjectKey) -> Result<AccessTarget, Problem> {
        if !self.world.gateways.contains_key(gateway) {
            return Err(missing(Reason::GatewayNotFound, "Gateway", gateway));
        }
        Ok(AccessTarget {
            scope: SubscriptionScope::Gateway,
            gateways: vec![gateway.clone()],
        })
    }

    fn product_target(
        &self,
        product: &ObjectKey,
        draft: &ProductDraft,
    ) -> Result<AccessTarget, Problem> {
        if !draft.is_published() {
            let text = format!("Product {product} is not published, so its keys give no access");
            return Err(Problem::accepted(Reason::NotPublished, text).at("spec.scope.product"));
        }
        let verdict = self.rendered.get(product);
        Ok(AccessTarget {
            scope: SubscriptionScope::Product(product.name.clone()),
            gateways: verdict.map_or_else(Vec::new, |verdict| names(&verdict.gateways)),
        })
    }
}

fn names(gateways: &[OnGateway]) -> Vec<ObjectKey> {
    gateways.iter().map(|on| on.gateway.clone()).collect()
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
