//! APIs: prepared by themselves, placed on their Gateways, settled.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_api::WebSocketApi;
use tidegate_config::ObjectKey;

use super::Planner;
use super::configs::ids_of_api;
use super::pass::{Pass, Scope};
use crate::api::{self, ApiContext, Candidate, Prepared, Wish, has_same_routes};
use crate::changes::Keys;
use crate::index::age_of;
use crate::links::Links;
use crate::nested::{self, Nested, WarningsByApi};
use crate::placement::{self, Placement, asked, asks_for};
use crate::references::{Named, References};
use crate::register::Namer;
use crate::{ApiVerdict, OnGateway};

/// What is kept of APIs.
#[derive(Debug, Default)]
pub(super) struct Apis {
    prepared: BTreeMap<ObjectKey, Prepared>,
    /// By Gateway.
    placements: BTreeMap<ObjectKey, Placement>,
    nowhere: Placement,
    /// Names of the products that hold each API.
    pub(super) products: Links<ObjectKey, String>,
    /// Routes inside of others, by Gateway; true: of two that let others pass.
    nested: BTreeMap<(ObjectKey, Nested), bool>,
    warnings: WarningsByApi,
}

impl Apis {
    /// Does it matter for an API what was served before?
    pub(super) fn uses_previous(&self, key: &ObjectKey) -> bool {
        let prepared = self.prepared.get(key);
        prepared.is_some_and(|prepared| prepared.uses_previous)
    }

    pub(super) fn placement(&self, gateway: &ObjectKey) -> &Placement {
        self.placements.get(gateway).unwrap_or(&self.nowhere)
    }
}

impl Planner {
    /// Prepares the APIs that changed, or that name something which did.
    pub(super) fn prepare_apis(&mut self, pass: &mut Pass) {
        self.find_unprepared(pass);
        for key in std::mem::take(&mut pass.unprepared) {
            self.prepare_api(&key, pass);
        }
    }

    fn find_unprepared(&mut self, pass: &mut Pass) {
        for (_, keys) in std::mem::take(&mut pass.served_before) {
            let keys = keys.into_iter().filter(|key| self.apis.uses_previous(key));
            pass.unprepared.extend(keys);
        }
        let (gateways, namespaces) = (&pass.gateways, &pass.changes.namespaces);
        if gateways.is_empty() && namespaces.is_empty() {
            return;
        }
        let concerned = self.world.apis.iter().filter(|(key, api)| {
            namespaces.contains(&key.namespace)
                || asked(key, api).any(|asked| gateways.contains(&asked))
        });
        pass.unprepared
            .extend(concerned.map(|(key, _)| key.clone()));
    }

    fn prepare_api(&mut self, key: &ObjectKey, pass: &mut Pass) {
        let namer = Namer::Api(key.clone());
        let before = self.apis.prepared.remove(key);
        let changed = pass.changes.apis.get(key).map(Option::as_deref);
        let old = changed.flatten();
        pass.unsettled.insert(key.clone());
        pass.unasked.insert(key.clone());
        let Some(api) = self.world.apis.get(key) else {
            self.register.set(&namer, Named::default());
            pass.scopes.insert(Scope::Api(key.clone()));
            pass.unplaced
                .extend(old.into_iter().flat_map(|old| asked(key, old)));
            return;
        };
        let products = self.apis.products.of(key).cloned().collect();
        let context = ApiContext {
            world: &self.world,
            gateways: &self.gateways,
            products: &products,
        };
        let mut references = References::new(&self.world);
        let prepared = api::prepare(key, api, &context, &mut references, &mut self.expressions);
        let named = references.named;
        let allowed = |api: &WebSocketApi| api.spec.subscription_namespaces.clone();
        if before.is_none() || old.map(allowed) != Some(allowed(api)) {
            pass.scopes.insert(Scope::Api(key.clone()));
        }
        note_unplaced(
            (key, changed, api),
            (before.as_ref(), &prepared),
            &mut pass.unplaced,
        );
        self.register.set(&namer, named);
        self.apis.prepared.insert(key.clone(), prepared);
    }

    /// Places the APIs of the Gateways on which a route is asked for in another way.
    pub(super) fn place_apis(&mut self, pass: &mut Pass) {
        for gateway in &pass.unplaced {
            let Some(draft) = self.gateways.get(gateway) else {
                self.apis.placements.remove(gateway);
                continue;
            };
            let placement = placement::place(draft, &self.wishes_of(gateway), &self.world);
            let before = self.apis.placements.remove(gateway).unwrap_or_default();
            pass.unsettled.extend(moved(&before, &placement));
            pass.unsettled.extend(moved(&placement, &before));
            self.apis.placements.insert(gateway.clone(), placement);
        }
    }

    /// What APIs want on a Gateway, the oldest first.
    fn wishes_of(&self, gateway: &ObjectKey) -> Vec<(&ObjectKey, &Wish)> {
        let prepared = self.apis.prepared.iter();
        let wishes = prepared.filter_map(|(key, prepared)| {
            let wish = prepared
                .wishes
                .iter()
                .find(|wish| wish.gateway == *gateway)?;
            Some((age_of(&**self.world.apis.get(key)?), key, wish))
        });
        let mut wishes: Vec<_> = wishes.collect();
        wishes.sort_by_key(|(age, key, _)| (*age, *key));
        wishes
            .into_iter()
            .map(|(_, key, wish)| (key, wish))
            .collect()
    }

    /// Finds out what APIs serve, and says what is to be said.
    pub(super) fn settle_apis(&mut self, pass: &mut Pass) {
        let mut served = BTreeMap::new();
        for key in std::mem::take(&mut pass.unsettled) {
            let gateways = self.settle_api(&key, pass);
            served.insert(key, gateways);
        }
        for key in self.warn(pass) {
            let verdict = self.plan.api_verdicts.get(&key);
            let gateways = verdict.map_or_else(Vec::new, |verdict| verdict.gateways.clone());
            served.entry(key).or_insert(gateways);
        }
        for (key, gateways) in served {
            self.say(&key, gateways, pass);
        }
    }

    /// Serves an API where it has a place. Gives where that is.
    fn settle_api(&mut self, key: &ObjectKey, pass: &mut Pass) -> Vec<OnGateway> {
        let before = self.plan.api_verdicts.get(key);
        let before = before.map_or_else(Vec::new, |verdict| verdict.gateways.clone());
        let mut served = Vec::new();
        for (at, gateway, settled) in self.settled(key) {
            let Candidate { serving, config } = settled;
            let Some(config) = self.serve(&gateway, key, Some(config)) else {
                continue;
            };
            let ids = ids_of_api(&config);
            self.refer(&gateway, Namer::Api(key.clone()), ids, pass);
            self.keep_one(key, at, &Candidate { serving, config });
            served.push(OnGateway { gateway, serving });
        }
        for on in before {
            if !served.iter().any(|now| now.gateway == on.gateway) {
                self.serve::<tidegate_config::ApiConfig>(&on.gateway, key, None);
                self.refer(&on.gateway, Namer::Api(key.clone()), Vec::new(), pass);
            }
        }
        served
    }

    /// What an API serves: position of the wish, Gateway, version.
    fn settled(&self, key: &ObjectKey) -> Vec<(usize, ObjectKey, Candidate)> {
        let prepared = self.apis.prepared.get(key);
        let wishes = prepared.into_iter().flat_map(|prepared| &prepared.wishes);
        let settled = wishes.enumerate().filter_map(|(at, wish)| {
            let place = self.apis.placement(&wish.gateway).places.get(key)?;
            let settled = wish.settle(place, self.gateways.get(&wish.gateway)?)?;
            Some((at, wish.gateway.clone(), settled))
        });
        settled.collect()
    }

    /// The version that was prepared and the one that is served are one object, if they are equal but for the
    /// listeners.
    fn keep_one(&mut self, key: &ObjectKey, at: usize, settled: &Candidate) {
        let Some(prepared) = self.apis.prepared.get_mut(key) else {
            return;
        };
        let wish = &mut prepared.wishes[at];
        let place = self.apis.placements.get(&wish.gateway);
        let chosen = place.and_then(|placement| placement.places.get(key)?.candidate);
        let chosen = chosen.and_then(|chosen| wish.candidates.get_mut(chosen));
        if let Some(candidate) = chosen.filter(|candidate| candidate.serving == settled.serving) {
            *candidate = settled.clone();
        }
    }

    /// Says what is to be said about an API that is served on these Gateways.
    fn say(&mut self, key: &ObjectKey, gateways: Vec<OnGateway>, pass: &mut Pass) {
        let names = |gateways: &[OnGateway]| -> Vec<_> {
            gateways.iter().map(|on| on.gateway.clone()).collect()
        };
        let before = self.plan.api_verdicts.get(key);
        let moved = before
            .map(|verdict| names(&verdict.gateways))
            .unwrap_or_default()
            != names(&gateways);
        if moved {
            let product = |name: &String| ObjectKey::new(&key.namespace, name);
            pass.unrendered
                .extend(self.apis.products.of(key).map(product));
            pass.scopes.insert(Scope::Api(key.clone()));
            pass.unasked.insert(key.clone());
        }
        let verdict = self.verdict(key, gateways);
        if before == verdict.as_ref() {
            return;
        }
        match verdict {
            Some(verdict) => self.plan.api_verdicts.insert(key.clone(), verdict),
            None => self.plan.api_verdicts.remove(key),
        };
        self.changed.verdicts.apis.insert(key.clone());
    }

    fn verdict(&self, key: &ObjectKey, gateways: Vec<OnGateway>) -> Option<ApiVerdict> {
        let prepared = self.apis.prepared.get(key)?;
        let wishes = prepared.wishes.iter();
        let places = wishes.filter_map(|wish| self.apis.placement(&wish.gateway).places.get(key));
        let places: Vec<_> = places.collect();
        let api = self.world.apis.get(key)?;
        let mut verdict = api::verdict(api, prepared, &places, gateways);
        verdict.products = self.apis.products.of(key).cloned().collect();
        if let Some(warnings) = self.apis.warnings.get(key) {
            verdict.warnings = warnings.clone().into_texts();
            let accepted = &mut verdict.conditions.accepted;
            if accepted.status {
                accepted.message = format!("warning: {}", verdict.warnings.join("; "));
            }
        }
        Some(verdict)
    }

    /// Finds what there is to warn of; gives the APIs with other warnings than before.
    fn warn(&mut self, pass: &Pass) -> Keys {
        let changed = self.look_at_nested(pass);
        if !changed && pass.unplaced.is_empty() {
            return Keys::new();
        }
        let mut warnings = WarningsByApi::new();
        self.tell_holders(&mut warnings);
        for ((gateway, Nested { inner, outer }), admits_others) in &self.apis.nested {
            let config = |key| self.served_api(gateway, key);
            if let (true, Some(inner), Some(outer)) = (*admits_others, config(inner), config(outer))
            {
                nested::warn(inner, outer, &mut warnings);
            }
        }
        let before = std::mem::replace(&mut self.apis.warnings, warnings);
        let after = &self.apis.warnings;
        let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let differing = all
            .into_iter()
            .filter(|key| before.get(*key) != after.get(*key));
        differing.cloned().collect()
    }

    /// Compares who passes where a route lies inside another. True when a warning may read differently.
    fn look_at_nested(&mut self, pass: &Pass) -> bool {
        let mut nested = std::mem::take(&mut self.apis.nested);
        let mut differs = false;
        if !pass.unplaced.is_empty() {
            let known = nested.len();
            nested.retain(|(gateway, pair), _| self.apis.placement(gateway).nested.contains(pair));
            differs = nested.len() != known;
            let placed = pass.unplaced.iter();
            let pairs = placed.flat_map(|on| {
                let pairs = self.apis.placement(on).nested.iter();
                pairs.map(move |pair| (on.clone(), pair.clone()))
            });
            for pair in pairs {
                nested.entry(pair).or_insert(false);
            }
        }
        for ((gateway, pair), admits_others) in &mut nested {
            let changed = self.changed.configs.get(gateway);
            let is_new = pass.unplaced.contains(gateway);
            let touched = changed.is_some_and(|changed| {
                changed.apis.contains(&pair.inner) || changed.apis.contains(&pair.outer)
            });
            if !touched && !is_new {
                continue;
            }
            let config = |key| self.served_api(gateway, key);
            let both = config(&pair.inner).zip(config(&pair.outer));
            let admits = both.is_some_and(|(inner, outer)| nested::admits_others(inner, outer));
            differs |= admits || *admits_others;
            *admits_others = admits;
        }
        self.apis.nested = nested;
        differs
    }

    fn served_api(
        &self,
        gateway: &ObjectKey,
        key: &ObjectKey,
    ) -> Option<&tidegate_config::ApiConfig> {
        let apis = &self.plan.gateways.get(gateway)?.config.apis;
        let position = apis.binary_search_by(|api| api.key.cmp(key)).ok()?;
        apis.get(position).map(AsRef::as_ref)
    }

    /// Whoever has a route learns who wants it. APIs come oldest first.
    fn tell_holders(&self, warnings: &mut WarningsByApi) {
        let placements = self.apis.placements.iter();
        let places =
            placements.flat_map(|(gateway, at)| at.places.iter().map(move |it| (gateway, it)));
        let refused = places.filter(|(_, (_, place))| !place.conflicts.is_empty());
        let mut refused: Vec<_> = refused
            .filter_map(|(gateway, (key, place))| {
                let api = self.world.apis.get(key)?;
                Some(((age_of(&**api), key, gateway), (api, place)))
            })
            .collect();
        refused.sort_by_key(|(order, _)| *order);
        for ((_, key, _), (api, place)) in refused {
            for taken in &place.conflicts {
                nested::tell_holder((key, &api.spec.path), taken, warnings);
            }
        }
    }
}

/// APIs that have another place than in `other`.
fn moved(placement: &Placement, other: &Placement) -> impl Iterator<Item = ObjectKey> {
    let places = placement.places.iter();
    let moved = places.filter(|(key, place)| other.places.get(*key) != Some(*place));
    moved.map(|(key, _)| key.clone())
}

/// Notes the Gateways on which an API asks for routes in another way. `changed` is what it was if it changed, and
/// `Some(None)` if it was not there.
fn note_unplaced(
    (key, changed, api): (&ObjectKey, Option<Option<&WebSocketApi>>, &WebSocketApi),
    (before, after): (Option<&Prepared>, &Prepared),
    unplaced: &mut Keys,
) {
    let wishes = |of: Option<&Prepared>| -> Keys {
        let wishes = of.into_iter().flat_map(|of| &of.wishes);
        wishes.map(|wish| wish.gateway.clone()).collect()
    };
    let all = wishes(before).into_iter().chain(wishes(Some(after)));
    for gateway in all.collect::<Keys>() {
        let on = |of: &Prepared| of.wishes.iter().position(|wish| wish.gateway == gateway);
        let old = before.and_then(|of| Some(&of.wishes[on(of)?]));
        let new = on(after).map(|at| &after.wishes[at]);
        if !old
            .zip(new)
            .is_some_and(|(old, new)| wants_the_same(old, new))
        {
            unplaced.insert(gateway);
        }
    }
    let Some(old) = changed else { return };
    // What is served stays with the APIs that still ask for their Gateway, and one that comes back has it again.
    let Some(old) = old else {
        unplaced.extend(asked(key, api));
        return;
    };
    let gateways = asked(key, old).chain(asked(key, api));
    let is_moved = |on: &ObjectKey| asks_for(key, old, on) != asks_for(key, api, on);
    let was_replaced = age_of(old) != age_of(api);
    unplaced.extend(gateways.filter(|on| was_replaced || is_moved(on)));
}

fn wants_the_same(a: &Wish, b: &Wish) -> bool {
    let same = |(a, b): (&Candidate, &Candidate)| {
        has_same_routes(&a.config, &b.config) && a.config.protocols == b.config.protocols
    };
    a.listeners == b.listeners
        && a.candidates.len() == b.candidates.len()
        && a.candidates.iter().zip(&b.candidates).all(same)
}
