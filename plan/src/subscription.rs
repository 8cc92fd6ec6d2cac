//! Subscriptions: where they stand, what their keys open, on which Gateways.

mod inactive;

use std::collections::BTreeMap;

use kube::ResourceExt;
use tidegate_api::{
    Approval, NamespacesFrom, Reason, Subscription, SubscriptionNamespaces, SubscriptionPhase,
    SubscriptionRequest, SubscriptionState,
};
use tidegate_config::{ObjectKey, SubscriptionConfig, SubscriptionScope};

use crate::approval::ApprovalState;
use crate::asking::Asking;
use crate::generated_keys::secret_key;
use crate::index::generation_of;
use crate::keys::{self, KeyHolder, Keys};
use crate::links::Links;
use crate::namespaces::Admitted;
use crate::problem::{Problem, conditions};
use crate::product::{ProductDraft, Products};
use crate::requests::{self, RequestState};
pub(crate) use crate::subscription::inactive::{Inactive, InactiveSubscriptions};
use crate::{
    ApiVerdict, KeyRequest, OnGateway, ProductVerdict, RequestVerdict, SubscriptionVerdict, World,
};

/// What subscriptions are planned by.
#[derive(Clone, Copy)]
pub(crate) struct SubscriptionContext<'s> {
    pub(crate) world: &'s World,
    pub(crate) products: &'s Products,
    /// Which Gateways serve an API.
    pub(crate) apis: &'s BTreeMap<ObjectKey, ApiVerdict>,
    /// Which Gateways serve a product.
    pub(crate) rendered: &'s BTreeMap<ObjectKey, ProductVerdict>,
    /// What must be approved besides Products.
    pub(crate) asking: &'s Asking,
    /// SubscriptionRequests by Subscription.
    pub(crate) requests: &'s Links<ObjectKey, ObjectKey>,
}

/// What a subscription asks for that others may have: the older one gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// A place among the subscriptions of its owner to a product with a limit.
    pub(crate) place: Option<PlaceKey>,
    /// Hashes of its keys.
    pub(crate) keys: Vec<String>,
}

/// A product with a limit, and an owner: those of different namespaces are different ones.
pub(crate) type PlaceKey = (ObjectKey, String, String);

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
    /// Its request, and what is to be said there.
    pub(crate) request_object: Option<(RequestState, RequestVerdict)>,
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
    /// Its request, if what it asks for is in another namespace.
    request: Option<RequestState>,
    /// May it name what it asks for?
    is_admitted: bool,
    problems: Vec<Problem>,
}

/// What a subscription opens, and where that is served.
struct AccessTarget {
    scope: SubscriptionScope,
    gateways: Vec<ObjectKey>,
}

impl SubscriptionDraft<'_> {
    /// Those without an owner do not count against a limit; in another namespace they count together.
    fn place(&self) -> Option<PlaceKey> {
        let (product, draft) = self.product.filter(|_| is_alive(self.phase))?;
        draft.product.spec.subscriptions_limit?;
        let namespace = &self.key.namespace;
        let owner = self.subscription.spec.owner.clone();
        let owner = owner.or_else(|| (*namespace != product.namespace).then(String::new))?;
        Some((product.clone(), namespace.clone(), owner))
    }

    /// Waits while older ones of the same owner reach the limit of its product.
    fn limit(&mut self, over: Option<u32>) {
        let Some((limit, (product, _))) = over.zip(self.product) else {
            return;
        };
        let owner = self.subscription.spec.owner.as_ref();
        let owner = owner.unwrap_or(&self.key.namespace);
        let name = &product.name;
        let text = format!(
            "Product {name} allows {limit} subscriptions per owner, and {owner} has that many older ones"
        );
        self.problems
            .push(Problem::accepted(Reason::LimitReached, text));
        self.phase = SubscriptionPhase::Submitted;
    }

    /// What it names cannot be had. What is in another namespace and what is not there read the same: nobody
    /// is to find out in this way.
    fn missing(&self, reason: Reason, kind: &'static str, key: &ObjectKey) -> Problem {
        let problem = Problem::missing(reason, kind, key.clone());
        if self.request.is_none() {
            return problem;
        }
        let text = format!(
            "{kind} {key} does not exist, or its spec.subscriptionNamespaces does not allow \
             Subscriptions of namespace {}",
            self.key.namespace
        );
        Problem {
            missing: problem.missing,
            ..Problem::unresolved(Reason::NotAllowedByOwner, text)
        }
    }

    /// How the configuration names what it asks for.
    fn scope_name(&self, key: &ObjectKey) -> String {
        SubscriptionScope::name_in(&self.key.namespace, key)
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
        let is_admitted = self.admits(key, subscription);
        let name = subscription.spec.scope.product.as_ref();
        let product = name.filter(|_| is_admitted).and_then(|name| {
            let product = target_key(key, subscription, name);
            self.products.get_key_value(&product)
        });
        let request = self.request(key, subscription);
        let approval = match request {
            Some(_) => ApprovalState::None,
            None => ApprovalState::of(subscription),
        };
        let mut draft = SubscriptionDraft {
            key,
            subscription,
            product,
            phase: SubscriptionPhase::Active,
            approval,
            request,
            is_admitted,
            problems: Vec::new(),
        };
        draft.phase = self.phase(&draft);
        let waits = draft.phase == SubscriptionPhase::Submitted;
        let problem = draft.approval.problem().filter(|_| waits);
        draft.problems.extend(problem);
        draft
    }

    /// The request of a Subscription to something in another namespace.
    fn request(&self, key: &ObjectKey, subscription: &Subscription) -> Option<RequestState> {
        let namespace = subscription.spec.scope.namespace.as_ref()?;
        let requests = self.requests.of(key).filter_map(|request| {
            let object: &SubscriptionRequest = self.world.requests.get(request)?;
            Some((request, object))
        });
        Some(requests::find((key, subscription), namespace, requests))
    }

    /// May a Subscription name what it asks for? What is in its own namespace it may, there or not.
    fn admits(&self, key: &ObjectKey, subscription: &Subscription) -> bool {
        let scope = &subscription.spec.scope;
        let Some(own) = &scope.namespace else {
            return true;
        };
        let target = |name: &String| target_key(key, subscription, name);
        let product = scope.product.as_ref().map(target);
        let product = product.and_then(|product| self.products.get(&product));
        let api = scope.api.as_ref().map(target);
        let api = api.and_then(|api| self.world.apis.get(&api));
        let of_product = product.map(|draft| &draft.product.spec.subscription_namespaces);
        let allowed = of_product.or(api.map(|api| &api.spec.subscription_namespaces));
        allowed.is_some_and(|SubscriptionNamespaces { from, selector }| {
            let selector = selector.as_ref();
            let from: NamespacesFrom = *from;
            let admitted = Admitted {
                own,
                from,
                selector,
            };
            admitted.contain(&key.namespace, self.world)
        })
    }

    /// Must somebody approve it?
    fn asks(&self, draft: &SubscriptionDraft<'_>) -> bool {
        let scope = &draft.subscription.spec.scope;
        let target = |name: &String| target_key(draft.key, draft.subscription, name);
        let mut product = draft.product.iter();
        product.any(|(_, draft)| draft.product.spec.approval_required)
            || (scope.api.iter()).any(|api| self.asking.api(&target(api)))
            || (scope.gateway.iter()).any(|gateway| self.asking.gateway(&target(gateway)))
    }

    /// What ended for good comes first, then what may change again.
    fn phase(&self, draft: &SubscriptionDraft<'_>) -> SubscriptionPhase {
        let spec = &draft.subscription.spec;
        let decision = match &draft.request {
            Some(request) => request.decision,
            None => draft.approval.is_covered().then_some(Approval::Approved),
        };
        let rejected = Some(Approval::Rejected);
        let waits = decision.is_none() && self.asks(draft);
        if spec.state == SubscriptionState::Cancelled {
            SubscriptionPhase::Cancelled
        } else if spec.approval == rejected || decision == rejected {
            SubscriptionPhase::Rejected
        } else if expiry(draft.subscription).is_some_and(|expiry| expiry <= self.world.now) {
            SubscriptionPhase::Expired
        } else if waits || !draft.is_admitted {
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
        let generation = generation_of(draft.subscription);
        let request = self.request_object(&mut draft, &problems);
        problems.extend(keys.problems);
        let product = draft.product.filter(|_| is_active);
        let expires = expiry(draft.subscription);
        let request_name = request.as_ref().map(|(state, _)| state.key.name.clone());
        Settled {
            config: served,
            inactive,
            request_object: request,
            request: keys.request,
            active_in: product.map(|(key, _)| key.clone()),
            expires: expires.filter(|at| *at > self.world.now && is_alive(draft.phase)),
            verdict: SubscriptionVerdict {
                conditions: conditions(generation, &problems),
                phase: draft.phase,
                request: request_name,
                approved: draft.approval.into_terms(),
                keys: keys.status,
                gateways,
            },
        }
    }

    /// The request of a Subscription, and what is to be said there. A new one is made only while its keys may
    /// work, for somebody who is admitted.
    fn request_object(
        &self,
        draft: &mut SubscriptionDraft<'_>,
        problems: &[Problem],
    ) -> Option<(RequestState, RequestVerdict)> {
        let state = draft.request.take()?;
        let is_wanted = draft.is_admitted && is_alive(draft.phase);
        let generation = self.world.requests.get(&state.key);
        let generation = generation.map_or(0, |object| generation_of(&**object));
        let verdict = RequestVerdict {
            conditions: conditions(generation, problems),
            phase: draft.phase,
        };
        (state.new.is_none() || is_wanted).then_some((state, verdict))
    }

    fn target(&self, draft: &SubscriptionDraft<'s>) -> Result<AccessTarget, Problem> {
        let target = |name: &str| target_key(draft.key, draft.subscription, name);
        let scope = &draft.subscription.spec.scope;
        if scope.namespace.as_ref() == Some(&draft.key.namespace) {
            let text = "is the Subscription's own namespace: remove it";
            return Err(Problem::invalid(text).at("spec.scope.namespace"));
        }
        match (&scope.product, &scope.api, &scope.gateway) {
            (Some(name), None, None) => {
                let missing = || draft.missing(Reason::ProductNotFound, "Product", &target(name));
                let (product, found) = draft
                    .product
                    .ok_or_else(|| missing().at("spec.scope.product"))?;
                self.product_target(draft, product, found)
            }
            (None, Some(name), None) => {
                let target = self.api_target(draft, target(name));
                target.map_err(|problem| problem.at("spec.scope.api"))
            }
            (None, None, Some(name)) if scope.namespace.is_none() => {
                let target = self.gateway_target(&target(name));
                target.map_err(|problem| problem.at("spec.scope.gateway"))
            }
            (None, None, Some(_)) => {
                let problem = Problem::invalid("a Gateway of another namespace cannot be named");
                Err(problem.at("spec.scope.namespace"))
            }
            _ => {
                let problem = Problem::invalid("exactly one of product, api, gateway must be set");
                Err(problem.at("spec.scope"))
            }
        }
    }

    fn api_target(
        &self,
        draft: &SubscriptionDraft<'_>,
        api: ObjectKey,
    ) -> Result<AccessTarget, Problem> {
        if !draft.is_admitted || !self.world.apis.contains_key(&api) {
            return Err(draft.missing(Reason::ApiNotFound, "WebSocketApi", &api));
        }
        let verdict = self.apis.get(&api);
        Ok(AccessTarget {
            gateways: verdict.map_or_else(Vec::new, |verdict| names(&verdict.gateways)),
            scope: SubscriptionScope::Api(draft.scope_name(&api)),
        })
    }

    fn gateway_target(&self, gateway: &ObjectKey) -> Result<AccessTarget, Problem> {
        if !self.world.gateways.contains_key(gateway) {
            let key = gateway.clone();
            return Err(Problem::missing(Reason::GatewayNotFound, "Gateway", key));
        }
        Ok(AccessTarget {
            scope: SubscriptionScope::Gateway,
            gateways: vec![gateway.clone()],
        })
    }

    fn product_target(
        &self,
        draft: &SubscriptionDraft<'_>,
        product: &ObjectKey,
        found: &ProductDraft,
    ) -> Result<AccessTarget, Problem> {
        if !found.is_published() {
            let text = format!("Product {product} is not published, so its keys give no access");
            return Err(Problem::accepted(Reason::NotPublished, text).at("spec.scope.product"));
        }
        let verdict = self.rendered.get(product);
        Ok(AccessTarget {
            scope: SubscriptionScope::Product(draft.scope_name(product)),
            gateways: verdict.map_or_else(Vec::new, |verdict| names(&verdict.gateways)),
        })
    }
}

fn names(gateways: &[OnGateway]) -> Vec<ObjectKey> {
    gateways.iter().map(|on| on.gateway.clone()).collect()
}

/// What a name in a scope stands for.
pub(crate) fn target_key(key: &ObjectKey, subscription: &Subscription, name: &str) -> ObjectKey {
    let namespace = subscription.spec.scope.namespace.as_ref();
    ObjectKey::new(namespace.unwrap_or(&key.namespace), name)
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
