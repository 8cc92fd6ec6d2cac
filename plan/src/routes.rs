//! Who has which host and path: two APIs can not have the same.

use std::collections::HashMap;

use tidegate_config::{ApiConfig, ObjectKey, PathMatch};

use crate::gateway::ListenerDraft;
use crate::hostnames;

/// One host and path on one listener.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Route {
    gateway: ObjectKey,
    listener: String,
    host: String,
    path: String,
}

/// All host and path pairs that are taken.
#[derive(Default)]
pub(crate) struct Routes {
    taken: HashMap<Route, ObjectKey>,
}

/// Somebody else has the route.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) by: ObjectKey,
    pub(crate) listener: String,
    pub(crate) host: String,
}

impl Routes {
    /// Takes an API's routes on one listener: all of them or none. `Ok(None)`: the listener answers
    /// for none of its hosts.
    pub(crate) fn take(
        &mut self,
        gateway: &ObjectKey,
        listener: &ListenerDraft,
        api: &ApiConfig,
    ) -> Result<Option<Vec<String>>, Taken> {
        let Some(hosts) = hostnames::intersection(&listener.hostnames, &api.hostnames) else {
            return Ok(None);
        };
        let path = shape(&api.path, api.path_match);
        let route = |host: &String| Route {
            gateway: gateway.clone(),
            listener: listener.name.clone(),
            host: host.clone(),
            path: path.clone(),
        };
        let routes: Vec<_> = hosts.iter().map(route).collect();
        for route in &routes {
            if let Some(by) = self.taken.get(route).filter(|by| **by != api.key) {
                return Err(Taken {
                    by: by.clone(),
                    listener: listener.name.clone(),
                    host: route.host.clone(),
                });
            }
        }
        let taken = routes.into_iter().map(|route| (route, api.key.clone()));
        self.taken.extend(taken);
        Ok(Some(hosts))
    }
}

/// Paths that match the same requests are the same text: names in a template do not matter, and
/// how a path is compared does.
fn shape(path: &str, path_match: PathMatch) -> String {
    match path_match {
        PathMatch::Exact => format!("={path}"),
        PathMatch::Prefix => format!("^{path}"),
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
        ] {
            assert_eq!(shape(a.0, a.1) == shape(b.0, b.1), same, "{a:?} {b:?}");
        }
    }
}
