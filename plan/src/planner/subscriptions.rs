//! Subscriptions: what they claim, what older ones leave of it, and what is served of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_api::{Subscription, SubscriptionRequest};
use tidegate_config::{InactiveSubscription, ObjectKey, SubscriptionConfig};

use super::Planner;
use super::pass::{Pass, Scope};
use crate::changes::Keys;
use crate::claims::{ClaimQueue, Claimant};
use crate::generated_keys::secret_key;
use crate::index::age_of;
use crate::links::Links;
use crate::requests::RequestState;
use crate::subscription::{
    Claims, Granted, Inactive, InactiveSubscriptions, PlaceKey, Settled, SubscriptionContext,
    target_key,
};
use crate::{KeyRequest, RequestVerdict, World};

/// What is kept of subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    known: BTreeMap<Arc<ObjectKey>, Known>,
    by_scope: Links<Scope, Arc<ObjectKey>>,
    by_secret: Links<ObjectKey, Arc<ObjectKey>>,
    places: ClaimQueue<PlaceKey>,
    keys: ClaimQueue<String>,
    /// Those that expire, and when.
    expiries: BTreeMap<Arc<ObjectKey>, i64>,
    /// The same by time.
    expiring: BTreeSet<(i64, Arc<ObjectKey>)>,
    /// Active ones with their Product.
    counted: BTreeMap<Arc<ObjectKey>, ObjectKey>,
    /// How many are active, by Product.
    active: BTreeMap<ObjectKey, u32>,
    /// Secrets in which keys are to be generated.
    requested: BTreeMap<Arc<ObjectKey>, ObjectKey>,
    /// By Secret and subscription.
    requests: BTreeMap<(ObjectKey, Arc<ObjectKey>), KeyRequest>,
    /// Those that give no access.
    without_access: BTreeMap<Arc<ObjectKey>, Inactive>,
    /// The same by Gateway.
    inactive: BTreeMap<ObjectKey, InactiveSubscriptions>,
    /// SubscriptionRequests by Subscription, there or not.
    by_requesting: Links<ObjectKey, ObjectKey>,
    /// The request that counts, of those that have one.
    request_of: BTreeMap<Arc<ObjectKey>, ObjectKey>,
    /// Secrets that are named now and were not, or the other way round, since this was asked.
    pub(super) touched_secrets: Keys,
}

/// What is kept of one subscription.
#[derive(Debug)]
struct Known {
    claimant: Claimant,
    claims: Claims,
    scopes: Vec<Scope>,
    secret: ObjectKey,
}

impl Subscriptions {
    /// Has one expired?
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.expiring.first().is_some_and(|(at, _)| *at <= now)
    }

    pub(super) fn name_secret(&self, key: &ObjectKey) -> bool {
        self.by_secret.contains_key(key)
    }

    /// What a Gateway is told of subscriptions that give no access.
    pub(super) fn known_to(&self, gateway: &ObjectKey) -> Vec<InactiveSubscription> {
        let inactive = self.inactive.get(gateway);
        inactive.map_or_else(Vec::new, InactiveSubscriptions::few)
    }

    pub(super) fn active_in(&self, product: &ObjectKey) -> u32 {
        self.active.get(product).copied().unwrap_or_default()
    }

    /// Subscriptions that have to be looked at.
    fn concerned(&self, pass: &Pass, world: &World) -> BTreeSet<Arc<ObjectKey>> {
        let (changes, now) = (&pass.changes, world.now);
        let changed = changes.subscriptions.iter();
        let mut found: BTreeSet<_> = changed
            .map(|key| {
                self.known
                    .get_key_value(key)
                    .map_or_else(|| Arc::new(key.clone()), |(key, _)| Arc::clone(key))
            })
            .collect();
        found.extend(self.requesting(pass, world));
        found.extend(self.of_namespaces(&changes.namespaces));
        let secrets = changes.secrets.iter();
        found.extend(secrets.flat_map(|key| self.by_secret.of(key)).cloned());
        let scopes = pass.scopes.iter();
        found.extend(scopes.flat_map(|scope| self.by_scope.of(scope)).cloned());
        let expired = self.expiring.iter().take_while(|(at, _)| *at <= now);
        found.extend(expired.map(|(_, key)| Arc::clone(key)));
        if changes.clock_went_back {
            // What had expired has not.
            found.extend(self.known.keys().cloned());
        }
        found
    }

    /// Subscriptions whose requests changed.
    fn requesting(&self, pass: &Pass, world: &World) -> BTreeSet<Arc<ObjectKey>> {
        let requests = pass.changes.requests.iter();
        let named = requests.flat_map(|(key, before)| [before.as_ref(), world.requests.get(key)]);
        let subscriptions = named.flatten().map(|request| requesting(request));
        subscriptions.map(Arc::new).collect()
    }

    /// Those of namespaces whose labels changed that name something of another one.
    fn of_namespaces(&self, namespaces: &BTreeSet<String>) -> Vec<Arc<ObjectKey>> {
        let all = namespaces.iter().flat_map(|namespace| {
            let known = self.known.range(ObjectKey::new(namespace, "")..);
            known.take_while(move |(key, _)| key.namespace == *namespace)
        });
        let foreign = all.filter(|(key, known)| {
            let mut scopes = known.scopes.iter();
            scopes.any(|scope| scope.key().namespace != key.namespace)
        });
        foreign.map(|(key, _)| Arc::clone(key)).collect()
    }

    /// Notes the requests that came and went.
    fn note_requests(&mut self, pass: &Pass, world: &World) {
        for (key, before) in &pass.changes.requests {
            if let Some(before) = before {
                self.by_requesting.remove(&requesting(before), key);
            }
            if let Some(now) = world.requests.get(key) {
                self.by_requesting.add(requesting(now), key.clone());
            }
        }
    }

    /// Notes what a subscription is and claims, and what it no longer does. Adds those that this concerns.
    fn note(
        &mut self,
        key: &Arc<ObjectKey>,
        known: Option<Known>,
        concerned: &mut BTreeSet<Arc<ObjectKey>>,
    ) {
        let before = self.known.remove(key);
        if let Some(before) = &before {
            self.forget(key, before, concerned);
        }
        let Some(known) = known else { return };
        for scope in &known.scopes {
            self.by_scope.add(scope.clone(), Arc::clone(key));
        }
        if self.by_secret.add(known.secret.clone(), Arc::clone(key)) {
            self.touched_secrets.insert(known.secret.clone());
        }
        if let Some(place) = &known.claims.place {
            self.places.add(place, &known.claimant);
            concern(self.places.of(place), concerned);
        }
        for hash in &known.claims.keys {
            self.keys.add(hash, &known.claimant);
            concern(self.keys.of(hash), concerned);
        }
        self.known.insert(Arc::clone(key), known);
    }

    fn forget(
        &mut self,
        key: &Arc<ObjectKey>,
        before: &Known,
        concerned: &mut BTreeSet<Arc<ObjectKey>>,
    ) {
        for scope in &before.scopes {
            self.by_scope.remove(scope, key);
        }
        if self.by_secret.remove(&before.secret, key) {
            self.touched_secrets.insert(before.secret.clone());
        }
        if let Some(place) = &before.claims.place {
            self.places.remove(place, &before.claimant);
            concern(self.places.of(place), concerned);
        }
        for hash in &before.claims.keys {
            self.keys.remove(hash, &before.claimant);
            concern(self.keys.of(hash), concerned);
        }
    }

    /// What a subscription gets of its claims.
    fn granted(&self, known: &Known, limit: Option<u32>) -> Granted {
        let Known {
            claimant, claims, ..
        } = known;
        let older = claims
            .place
            .as_ref()
            .map(|place| self.places.older(place, claimant));
        let is_over = |limit: &u32| older.is_some_and(|older| older >= *limit as usize);
        let taken = claims.keys.iter().filter_map(|hash| {
            let oldest = self.keys.of(hash).first()?;
            (oldest != claimant).then(|| (hash.clone(), (*oldest.key).clone()))
        });
        Granted {
            over_limit: limit.filter(is_over),
            taken: taken.collect(),
        }
    }

    /// Notes why a subscription gives no access. Adds the Gateways that may know others than before.
    fn deny(&mut self, key: &Arc<ObjectKey>, inactive: Option<Inactive>, gateways: &mut Keys) {
        let before = self.without_access.remove(key);
        if before == inactive {
            self.without_access
                .extend(inactive.map(|found| (Arc::clone(key), found)));
            return;
        }
        if let Some(found) = before {
            for gateway in &found.gateways {
                let known = self.inactive.entry(gateway.clone()).or_default();
                known.remove(&found);
                gateways.insert(gateway.clone());
            }
        }
        if let Some(found) = inactive {
            for gateway in &found.gateways {
                let known = self.inactive.entry(gateway.clone()).or_default();
                known.add(&found);
                gateways.insert(gateway.clone());
            }
            self.without_access.insert(Arc::clone(key), found);
        }
    }

    fn count(&mut self, product: &ObjectKey, by: i64) {
        let count = self.active.entry(product.clone()).or_default();
        *count = count.saturating_add_signed(i32::try_from(by).unwrap_or_default());
        if *count == 0 {
            self.active.remove(product);
        }
    }
}

fn concern(claimants: &[Claimant], concerned: &mut BTreeSet<Arc<ObjectKey>>) {
    if claimants.len() > 1 {
        concerned.extend(claimants.iter().map(|claimant| Arc::clone(&claimant.key)));
    } else if let Some(last) = claimants.first() {
        concerned.insert(Arc::clone(&last.key));
    }
}

impl Planner {
    /// Plans the subscriptions that changed, or whose scope, Secret or claims did.
    pub(super) fn plan_subscriptions(&mut self, pass: &Pass) {
        self.subscriptions.note_requests(pass, &self.world);
        for key in pass.changes.requests.keys() {
            if !self.world.requests.contains_key(key) {
                self.changed.requests |= self.plan.outdated_requests.remove(key);
            }
        }
        let changed = self.subscriptions.concerned(pass, &self.world);
        let mut concerned = changed.clone();
        for key in &changed {
            let known = self.know(key);
            self.subscriptions.note(key, known, &mut concerned);
        }
        let (mut products, mut requests) = (Keys::new(), false);
        // A Gateway that is new knows none.
        let mut gateways = pass.gateways.clone();
        for key in concerned {
            let settled = self.settled_subscription(&key);
            let inactive = settled
                .as_ref()
                .and_then(|settled| settled.inactive.clone());
            self.subscriptions.deny(&key, inactive, &mut gateways);
            requests |= self.settle_subscription(&key, settled, &mut products);
        }
        for gateway in gateways {
            self.serve_inactive(&gateway);
        }
        for product in products {
            self.count_active(&product);
        }
        if requests {
            let requests = self.subscriptions.requests.values();
            self.plan.key_requests = requests.cloned().collect();
            self.changed.key_requests = true;
        }
        let next = self.subscriptions.expiring.first();
        self.plan.next_change = next.map(|(at, _)| *at);
    }

    fn context(&self) -> SubscriptionContext<'_> {
        SubscriptionContext {
            world: &self.world,
            products: &self.products,
            apis: &self.plan.api_verdicts,
            rendered: &self.plan.product_verdicts,
            asking: &self.asking,
            requests: &self.subscriptions.by_requesting,
        }
    }

    /// What a subscription is and claims; `None` when it is gone.
    fn know(&self, key: &Arc<ObjectKey>) -> Option<Known> {
        let subscription = self.world.subscriptions.get(&**key)?;
        Some(Known {
            claimant: Claimant {
                age: age_of(&**subscription),
                key: Arc::clone(key),
            },
            claims: self.context().claims(key, subscription),
            scopes: scopes(key, subscription),
            secret: secret_key(key, subscription),
        })
    }

    /// What comes of a subscription; `None` when it is gone.
    fn settled_subscription(&self, key: &Arc<ObjectKey>) -> Option<Settled> {
        let subscription = self.world.subscriptions.get(&**key)?;
        let known = self.subscriptions.known.get(key)?;
        let place = known.claims.place.as_ref();
        let product = place.and_then(|(product, ..)| self.products.get(product));
        let limit = product.and_then(|draft| draft.product.spec.subscriptions_limit);
        let granted = self.subscriptions.granted(known, limit);
        Some(self.context().settle(key, subscription, &granted))
    }

    /// Serves a subscription, or no longer. True when other keys are to be generated than before. Adds the
    /// products with another number of subscriptions.
    fn settle_subscription(
        &mut self,
        key: &Arc<ObjectKey>,
        settled: Option<Settled>,
        products: &mut Keys,
    ) -> bool {
        let before = self.plan.subscription_verdicts.get(&**key);
        let was_on = before.map_or_else(Vec::new, |verdict| verdict.gateways.clone());
        let (config, request_object, verdict, request, active_in, expires) = match settled {
            Some(it) => (
                it.config.map(Arc::new),
                it.request_object,
                Some(it.verdict),
                it.request,
                it.active_in,
                it.expires,
            ),
            None => Default::default(),
        };
        let is_on = verdict
            .as_ref()
            .map_or_else(Vec::new, |verdict| verdict.gateways.clone());
        for gateway in was_on.iter().filter(|on| !is_on.contains(on)) {
            self.serve::<SubscriptionConfig>(gateway, key, None);
        }
        for gateway in &is_on {
            self.serve(gateway, key, config.clone());
        }
        self.say_of_subscription(key, verdict);
        self.say_of_request(key, request_object);
        self.remember(key, (active_in, expires), products);
        self.request_keys(key, request)
    }

    fn say_of_subscription(
        &mut self,
        key: &ObjectKey,
        verdict: Option<crate::SubscriptionVerdict>,
    ) {
        let verdicts = &mut self.plan.subscription_verdicts;
        if verdicts.get(key) == verdict.as_ref() {
            return;
        }
        match verdict {
            Some(verdict) => verdicts.insert(key.clone(), verdict),
            None => verdicts.remove(key),
        };
        self.changed.verdicts.subscriptions.insert(key.clone());
    }

    /// Says what is to be said about the request of a subscription, makes one, and ends others.
    fn say_of_request(
        &mut self,
        key: &Arc<ObjectKey>,
        request: Option<(RequestState, RequestVerdict)>,
    ) {
        let subscriptions = &mut self.subscriptions;
        let counts = request.as_ref().map(|(state, _)| state.key.clone());
        let before = match counts.clone() {
            Some(counts) => subscriptions.request_of.insert(Arc::clone(key), counts),
            None => subscriptions.request_of.remove(key),
        };
        for other in subscriptions.by_requesting.of(key) {
            self.changed.requests |= match counts.as_ref() == Some(other) {
                true => self.plan.outdated_requests.remove(other),
                false => self.plan.outdated_requests.insert(other.clone()),
            };
        }
        let verdicts = &mut self.plan.request_verdicts;
        let exists = request
            .as_ref()
            .is_some_and(|(state, _)| state.new.is_none());
        if let Some(before) = before.filter(|before| !exists || counts.as_ref() != Some(before)) {
            self.changed.requests |= self.plan.new_requests.remove(&before).is_some();
            if verdicts.remove(&before).is_some() {
                self.changed.verdicts.requests.insert(before);
            }
        }
        let Some((RequestState { key, new, .. }, verdict)) = request else {
            return;
        };
        let known = self.plan.new_requests.get(&key);
        self.changed.requests |= known != new.as_ref();
        if let Some(new) = new {
            self.plan.new_requests.insert(key, new);
            return;
        }
        self.plan.new_requests.remove(&key);
        if verdicts.get(&key) != Some(&verdict) {
            verdicts.insert(key.clone(), verdict);
            self.changed.verdicts.requests.insert(key);
        }
    }

    /// Remembers when a subscription expires and where it is active.
    fn remember(
        &mut self,
        key: &Arc<ObjectKey>,
        (active_in, expires): (Option<ObjectKey>, Option<i64>),
        products: &mut Keys,
    ) {
        let subscriptions = &mut self.subscriptions;
        let counted = &mut subscriptions.counted;
        let before = match active_in.clone() {
            Some(product) => counted.insert(Arc::clone(key), product),
            None => counted.remove(key),
        };
        if before != active_in {
            for (product, by) in [(before, -1), (active_in, 1)] {
                let Some(product) = product else { continue };
                subscriptions.count(&product, by);
                products.insert(product);
            }
        }
        let before = match expires {
            Some(at) => subscriptions.expiries.insert(Arc::clone(key), at),
            None => subscriptions.expiries.remove(key),
        };
        if before != expires {
            if let Some(at) = before {
                subscriptions.expiring.remove(&(at, Arc::clone(key)));
            }
            subscriptions
                .expiring
                .extend(expires.map(|at| (at, Arc::clone(key))));
        }
    }

    fn request_keys(&mut self, key: &Arc<ObjectKey>, request: Option<KeyRequest>) -> bool {
        let requests = &mut self.subscriptions.requests;
        let before = match self.subscriptions.requested.remove(key) {
            Some(secret) => requests.remove(&(secret, Arc::clone(key))),
            None => None,
        };
        if let Some(request) = &request {
            let secret = request.secret.clone();
            self.subscriptions
                .requested
                .insert(Arc::clone(key), secret.clone());
            requests.insert((secret, Arc::clone(key)), request.clone());
        }
        before != request
    }

    /// The verdict of a product says how many of its subscriptions are active.
    fn count_active(&mut self, product: &ObjectKey) {
        let active = self.subscriptions.active_in(product);
        if let Some(verdict) = self.plan.product_verdicts.get_mut(product)
            && verdict.subscriptions != active
        {
            verdict.subscriptions = active;
            self.changed.verdicts.products.insert(product.clone());
        }
    }
}

/// What a subscription is for: one thing, if it is valid.
fn scopes(key: &ObjectKey, subscription: &Subscription) -> Vec<Scope> {
    let scope = &subscription.spec.scope;
    let sibling = |name: &String| target_key(key, subscription, name);
    let product = scope.product.as_ref().map(sibling).map(Scope::Product);
    let api = scope.api.as_ref().map(sibling).map(Scope::Api);
    let gateway = scope.gateway.as_ref().map(sibling).map(Scope::Gateway);
    product.into_iter().chain(api).chain(gateway).collect()
}

/// The Subscription of a request.
fn requesting(request: &SubscriptionRequest) -> ObjectKey {
    let asking = &request.spec.subscription;
    ObjectKey::new(&asking.namespace, &asking.name)
}
