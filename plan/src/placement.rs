//! The APIs of one Gateway get their routes, the oldest first: who comes first gets the route.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_api::WebSocketApi;
use tidegate_config::{ApiConfig, ObjectKey};

use crate::World;
use crate::api::{Place, Wish, has_same_routes};
use crate::attach::speaks;
use crate::gateway::GatewayDraft;
use crate::nested::{self, Nested};
use crate::routes::Routes;
use crate::urls;
use crate::world::Previous;

/// Where the APIs of one Gateway are.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Placement {
    pub(crate) places: BTreeMap<ObjectKey, Place>,
    /// How many APIs each listener serves.
    pub(crate) attached: BTreeMap<String, u32>,
    /// Routes inside of others.
    pub(crate) nested: BTreeSet<Nested>,
}

/// Places the APIs of a Gateway. `wishes` come oldest first.
pub(crate) fn place(
    gateway: &GatewayDraft,
    wishes: &[(&ObjectKey, &Wish)],
    world: &World,
) -> Placement {
    let key = &gateway.settings.key;
    let previous = world.previous.get(key).map(AsRef::as_ref);
    let mut routes = served_routes(gateway, world, previous);
    let mut placement = Placement::default();
    for (api, wish) in wishes {
        let before = previous.and_then(|previous| previous.api(api));
        let place = place_one(gateway, wish, before.map(AsRef::as_ref), &mut routes);
        for listener in &place.listeners {
            *placement.attached.entry(listener.clone()).or_default() += 1;
        }
        placement.places.insert((*api).clone(), place);
    }
    for (api, wish) in wishes {
        let place = &placement.places[*api];
        if let Some(chosen) = place.candidate {
            let inner = (&*wish.candidates[chosen].config, &*place.listeners);
            let found = nested::around(gateway, inner, &routes);
            placement.nested.extend(found);
        }
    }
    placement
}

/// Places one API: the first candidate that gets a route.
fn place_one(
    gateway: &GatewayDraft,
    wish: &Wish,
    previous: Option<&ApiConfig>,
    routes: &mut Routes,
) -> Place {
    let mut place = Place::default();
    for (position, candidate) in wish.candidates.iter().enumerate() {
        let config = &candidate.config;
        let stays = previous.is_some_and(|previous| has_same_routes(previous, config));
        take(config, (gateway, wish, stays), routes, &mut place);
        if !place.listeners.is_empty() {
            place.candidate = Some(position);
            return place;
        }
    }
    place
}

/// Takes the routes of a version on every listener that it may use. `stays`: the version served before had the
/// same.
fn take(
    config: &ApiConfig,
    (gateway, wish, stays): (&GatewayDraft, &Wish, bool),
    routes: &mut Routes,
    place: &mut Place,
) {
    for position in &wish.listeners {
        let listener = &gateway.listeners[*position];
        if !speaks(listener, &config.protocols) {
            continue;
        }
        match routes.take(gateway, listener, config, stays) {
            Ok(None) => {}
            Ok(Some(hosts)) => {
                place.listeners.push(listener.name.clone());
                let url = |host: &String| urls::url(&gateway.address, listener, host, &config.path);
                place.urls.extend(hosts.iter().map(url));
            }
            Err(taken) => place.conflicts.push(taken),
        }
    }
}

/// The routes that APIs have which still ask for their Gateway.
fn served_routes(gateway: &GatewayDraft, world: &World, previous: Option<&Previous>) -> Routes {
    let mut routes = Routes::default();
    let key = &gateway.settings.key;
    for api in previous.into_iter().flat_map(|previous| &previous.apis) {
        let object = world.apis.get(&api.key);
        if object.is_some_and(|object| asks_for(&api.key, object, key)) {
            routes.was_served(gateway, api);
        }
    }
    routes
}

/// Does an API ask for a Gateway?
pub(crate) fn asks_for(key: &ObjectKey, api: &WebSocketApi, gateway: &ObjectKey) -> bool {
    asked(key, api).any(|asked| asked == *gateway)
}

/// The Gateways that an API asks for, there or not.
pub(crate) fn asked<'a>(
    key: &'a ObjectKey,
    api: &'a WebSocketApi,
) -> impl Iterator<Item = ObjectKey> + 'a {
    api.spec.gateways.iter().map(|asked| {
        let namespace = asked.namespace.as_ref().unwrap_or(&key.namespace);
        ObjectKey::new(namespace, &asked.name)
    })
}
