//! Who has which host and path: two APIs cannot have the same, and what one namespace has another one
//! may neither take a part of nor surround, unless the Gateway allows it.

mod tree;

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_api::OverlappingRoutes;
use tidegate_config::path::normalized;
use tidegate_config::{ApiConfig, ObjectKey, PathMatch};

use crate::gateway::{GatewayDraft, ListenerDraft};
use crate::hostnames::{self, ANY};
use tree::{Pattern, Tree};

/// One host and path on one listener.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Route {
    gateway: ObjectKey,
    listener: String,
    host: String,
    path: String,
}

/// Gateway and name of a listener.
type ListenerKey = (ObjectKey, String);

/// All routes that are taken.
#[derive(Default)]
pub(crate) struct Routes {
    taken: HashMap<Route, ObjectKey>,
    /// The same, to find what overlaps.
    given: HashMap<ListenerKey, RoutesByHost>,
    /// What is served already: it stays with the API that has it, however old another is that moves
    /// there.
    served: HashMap<ListenerKey, RoutesByHost>,
}

/// Somebody else has the route, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteConflict {
    pub(crate) by: ObjectKey,
    pub(crate) listener: String,
    pub(crate) host: String,
    /// Not the same route, or not in this plan: one that overlaps.
    pub(crate) overlaps: bool,
}

impl Routes {
    /// Notes a route that was served before.
    pub(crate) fn was_served(&mut self, gateway: &GatewayDraft, api: &ApiConfig) {
        if !refuses_overlaps(gateway) {
            return;
        }
        let key = Arc::new(api.key.clone());
        for listener in &gateway.listeners {
            let hosts = hostnames::intersection(&listener.hostnames, &api.hostnames);
            if !api.listeners.contains(&listener.name) {
                continue;
            }
            let at = (gateway.settings.key.clone(), listener.name.clone());
            let served = self.served.entry(at).or_default();
            for host in hosts.into_iter().flatten() {
                served.add(&host, &Pattern::of(&api.path, api.path_match), &key);
            }
        }
    }

    /// Takes an API's routes on one listener: all of them or none. `Ok(None)`: the listener answers
    /// for none of its hosts. `stays`: it had the same routes there before.
    pub(crate) fn take(
        &mut self,
        gateway: &GatewayDraft,
        listener: &ListenerDraft,
        api: &ApiConfig,
        stays: bool,
    ) -> Result<Option<Vec<String>>, RouteConflict> {
        let Some(hosts) = hostnames::intersection(&listener.hostnames, &api.hostnames) else {
            return Ok(None);
        };
        let at: ListenerKey = (gateway.settings.key.clone(), listener.name.clone());
        let routes = Route::all(&at, &hosts, api);
        self.check_taken(&routes, &api.key)?;
        let spelled = normalized(&api.path);
        let pattern = Pattern::of(&spelled, api.path_match);
        if refuses_overlaps(gateway) {
            let served = self.served.get(&at).filter(|_| !stays);
            let given = self.given.get(&at).into_iter().chain(served);
            check_overlaps(
                &given.collect::<Vec<_>>(),
                &routes,
                &pattern,
                &api.key.namespace,
            )?;
        }
        let key = Arc::new(api.key.clone());
        let given = self.given.entry(at).or_default();
        for host in &hosts {
            given.add(host, &pattern, &key);
        }
        let routes = routes.into_iter().map(|route| (route, api.key.clone()));
        self.taken.extend(routes);
        Ok(Some(hosts))
    }

    /// Nobody else may have one of the same routes.
    fn check_taken(&self, routes: &[Route], api: &ObjectKey) -> Result<(), RouteConflict> {
        let holder = |route: &Route| {
            let by = self.taken.get(route).filter(|by| *by != api)?;
            Some(route.conflict(by, false))
        };
        routes.iter().find_map(holder).map_or(Ok(()), Err)
    }

    /// Others on this listener who match all paths that `api` matches, on `host`, a wider or a
    /// narrower one: for each of these the narrowest.
    pub(crate) fn around(
        &self,
        gateway: &ObjectKey,
        listener: &str,
        host: &str,
        api: &ApiConfig,
    ) -> Vec<&ObjectKey> {
        let given = self.given.get(&(gateway.clone(), listener.to_owned()));
        let spelled = normalized(&api.path);
        let pattern = Pattern::of(&spelled, api.path_match);
        given.map_or_else(Vec::new, |hosts| hosts.around(host, &pattern, &api.key))
    }
}

impl Route {
    /// The routes of an API at some hosts of a listener.
    fn all((gateway, listener): &ListenerKey, hosts: &[String], api: &ApiConfig) -> Vec<Self> {
        let path = shape(&api.path, api.path_match);
        let route = |host: &String| Self {
            gateway: gateway.clone(),
            listener: listener.clone(),
            host: host.clone(),
            path: path.clone(),
        };
        hosts.iter().map(route).collect()
    }

    fn conflict(&self, by: &ObjectKey, overlaps: bool) -> RouteConflict {
        RouteConflict {
            by: by.clone(),
            listener: self.listener.clone(),
            host: self.host.clone(),
            overlaps,
        }
    }
}

/// Nobody in another namespace may have a part of the routes, or surround them.
fn check_overlaps(
    given: &[&RoutesByHost],
    routes: &[Route],
    pattern: &Pattern<'_>,
    namespace: &str,
) -> Result<(), RouteConflict> {
    for route in routes {
        let mut given = given.iter();
        if let Some(by) = given.find_map(|given| given.overlap(&route.host, pattern, namespace)) {
            return Err(route.conflict(by, true));
        }
    }
    Ok(())
}

/// On a Gateway of one namespace nobody else can overlap.
fn refuses_overlaps(gateway: &GatewayDraft) -> bool {
    let allowed = &gateway.spec.api_namespaces;
    allowed.overlapping_routes == OverlappingRoutes::Refuse
}

/// The routes of one listener by host.
#[derive(Default)]
struct RoutesByHost(HashMap<String, HostRoutes>);

/// The paths of one host.
#[derive(Default)]
struct HostRoutes {
    /// Of routes that name this host.
    at: Tree,
    /// Of routes that name this host or a narrower one.
    below: Tree,
}

impl RoutesByHost {
    fn add(&mut self, host: &str, pattern: &Pattern<'_>, key: &Arc<ObjectKey>) {
        let space = self.0.entry(host.to_owned()).or_default();
        space.at.add(pattern, key);
        space.below.add(pattern, key);
        for wider in wider(host) {
            let space = self.0.entry(wider).or_default();
            space.below.add(pattern, key);
        }
    }

    /// Where routes of `host` can meet others: at the host itself and below, and at wider hosts.
    fn near(&self, host: &str) -> impl Iterator<Item = &Tree> {
        let here = self.0.get(host).map(|space| &space.below);
        let wider = wider(host).filter_map(|wider| self.0.get(&wider).map(|space| &space.at));
        here.into_iter().chain(wider)
    }

    fn overlap(&self, host: &str, pattern: &Pattern<'_>, namespace: &str) -> Option<&ObjectKey> {
        self.near(host)
            .find_map(|tree| tree.overlap(pattern, namespace))
    }

    fn around(&self, host: &str, pattern: &Pattern<'_>, key: &ObjectKey) -> Vec<&ObjectKey> {
        self.near(host)
            .filter_map(|tree| tree.around(pattern, key))
            .collect()
    }
}

/// Host names that cover all that `host` covers, without itself.
fn wider(host: &str) -> impl Iterator<Item = String> {
    let labels = host.strip_prefix("*.").unwrap_or(host);
    let parent = |name: &str| Some(name.split_once('.')?.1.to_owned());
    let parents = std::iter::successors(parent(labels), move |name| parent(name));
    let any = (host != ANY).then(|| ANY.to_owned());
    parents.map(|parent| format!("*.{parent}")).chain(any)
}

/// Paths that match the same requests are the same text: encoded unreserved characters are decoded
/// (RFC 3986 §6.2.2), names in a template do not matter, and
/// how a path is compared does.
fn shape(path: &str, path_match: PathMatch) -> String {
    let path = &*normalized(path);
    match path_match {
        PathMatch::Exact => format!("={path}"),
        PathMatch::Prefix => format!("^{}", path.trim_end_matches('/')),
        PathMatch::Template => {
            let segment = |s: &str| {
                if s.starts_with('{') {
                    "{}".to_owned()
                } else {
                    s.to_owned()
                }
            };
            let segments: Vec<_> = path.split('/').map(segment).collect();
            match segments.iter().any(|segment| segment == "{}") {
                true => format!("~{}", segments.join("/")),
                // Without braces a template is an exact path.
                false => format!("={path}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_match_the_same_requests_have_the_same_shape() {
        use PathMatch::{Exact, Prefix, Template};
        for (a, b, same) in [
            (("/a", Exact), ("/a", Exact), true),
            (("/a", Exact), ("/a", Prefix), false),
            (("/a", Exact), ("/A", Exact), false),
            (("/a", Exact), ("/a", Template), true),
            (("/{x}/b", Template), ("/{y}/b", Template), true),
            (("/{x}/b", Template), ("/{x}/c", Template), false),
            (("/{x}", Template), ("/x", Exact), false),
            (("/%61", Exact), ("/a", Exact), true),
            (("/a%2fb", Exact), ("/a%2Fb", Exact), true),
            (("/a%2Fb", Exact), ("/a/b", Exact), false),
            (("/%61/{x}", Template), ("/a/{y}", Template), true),
            (("/%61", Prefix), ("/a/", Prefix), true),
        ] {
            assert_eq!(shape(a.0, a.1) == shape(b.0, b.1), same, "{a:?} {b:?}");
        }
    }

    #[test]
    fn wider_hosts_cover_a_host() {
        for (host, expected) in [
            ("*", vec![]),
            ("example", vec!["*"]),
            ("a.example", vec!["*.example", "*"]),
            ("a.b.example", vec!["*.b.example", "*.example", "*"]),
            ("*.b.example", vec!["*.example", "*"]),
        ] {
            let found: Vec<_> = wider(host).collect();
            assert_eq!(found, expected, "{host}");
        }
    }
}
