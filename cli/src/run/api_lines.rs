//! One line for each API: where clients reach it on this machine, and how they get a key. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tidegate_config::ObjectKey;

use crate::standalone::Bound;
use crate::summary::{Access, ApiUrls, short};

/// An API and its URLs, and how clients get in.
#[derive(Clone, Debug)]
pub(super) struct ApiLine {
    api: String,
    access: String,
    is_open: bool,
}

/// Subscriptions that come, go or are suspended do not change the API: the line of the reload tells it.
impl PartialEq for ApiLine {
    fn eq(&self, other: &Self) -> bool {
        (&self.api, self.is_open) == (&other.api, other.is_open)
    }
}

impl fmt::Display for ApiLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.api, self.access)
    }
}

/// `WebSocketApi chat: ws://127.0.0.1:8080/chat (no key needed)`. An API without a bound port has no line.
pub(super) fn api_lines(
    apis: &[ApiUrls],
    ports: &[Bound],
    key_command: impl Fn(&ObjectKey) -> String,
) -> Vec<ApiLine> {
    let mut lines = Vec::new();
    for api in apis {
        let urls = api.urls.iter().filter_map(|url| local(url, api, ports));
        let urls: Vec<_> = urls.collect();
        if urls.is_empty() {
            continue;
        }
        let access = match &api.access {
            Access::Open => "no key needed".to_owned(),
            Access::KeyOf(subscription) => format!("key: {}", key_command(subscription)),
            Access::Nobody => "no active Subscription has keys for it".to_owned(),
        };
        let name = short(&api.api);
        lines.push(ApiLine {
            api: format!("WebSocketApi {name}: {}", urls.join(" ")),
            access,
            is_open: api.access == Access::Open,
        });
    }
    lines
}

/// A URL of the plan with the address that is bound. The plan has the name of a Service where any host will do.
fn local(url: &str, api: &ApiUrls, ports: &[Bound]) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let default_port = if scheme == "wss" { 443 } else { 80 };
    let with_port = authority
        .rsplit_once(':')
        .filter(|(_, port)| !port.ends_with(']'));
    let (host, port) = match with_port {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, default_port),
    };
    let of_api = |bound: &&Bound| bound.port == port && api.gateways.contains(&bound.gateway);
    let mut candidates = ports.iter().filter(of_api);
    let service = |bound: &Bound| format!("{}.{}.svc", bound.gateway.name, bound.gateway.namespace);
    let named = candidates.clone().find(|bound| service(bound) == host);
    let (bound, host) = match named {
        Some(bound) => (bound, reachable(bound.address).to_string()),
        // Not the Service of a Gateway whose port could not be bound.
        None if host.ends_with(".svc") => return None,
        None => (candidates.next()?, host.to_owned()),
    };
    let host = match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false => host,
    };
    Some(match bound.address.port() {
        port if port == default_port => format!("{scheme}://{host}{path}"),
        port => format!("{scheme}://{host}:{port}{path}"),
    })
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> IpAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("default", name)
    }

    fn api(urls: &[&str], access: Access) -> ApiUrls {
        ApiUrls {
            api: key("chat"),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            gateways: vec![key("edge"), key("inner")],
            access,
        }
    }

    #[test]
    fn a_line_has_addresses_that_work_here() {
        let bound = |gateway, port, address: &str| Bound {
            gateway: key(gateway),
            port,
            address: address.parse().unwrap(),
        };
        let ports = [
            bound("edge", 8080, "0.0.0.0:8080"),
            bound("edge", 443, "[::]:8443"),
            bound("inner", 8080, "127.0.0.1:41000"),
            bound("other", 9000, "127.0.0.1:9000"),
        ];
        let command = |subscription: &ObjectKey| format!("tidegate key {}", subscription.name);
        for (urls, access, line) in [
            (
                &[
                    "ws://edge.default.svc:8080/chat",
                    "ws://inner.default.svc:8080/chat",
                ][..],
                Access::Open,
                Some(
                    "WebSocketApi chat: ws://127.0.0.1:8080/chat ws://127.0.0.1:41000/chat (no key needed)",
                ),
            ),
            (
                &["wss://edge.default.svc/chat/{room}"],
                Access::KeyOf(key("ann")),
                Some("WebSocketApi chat: wss://[::1]:8443/chat/{room} (key: tidegate key ann)"),
            ),
            (
                &["ws://chat.example.com:8080/chat"],
                Access::Nobody,
                Some(
                    "WebSocketApi chat: ws://chat.example.com:8080/chat (no active Subscription has keys for it)",
                ),
            ),
            (&["ws://edge.default.svc:9000/chat"], Access::Open, None),
        ] {
            let lines = api_lines(&[api(urls, access)], &ports, command);
            let first = lines.first().map(ToString::to_string);
            assert_eq!(first.as_deref(), line);
        }
    }

    #[test]
    fn a_line_is_another_one_when_the_api_changes_and_not_when_a_subscription_does() {
        let line = |urls: &str, access| {
            let (api, access, is_open) = (
                urls.to_owned(),
                format!("{access:?}"),
                access == Access::Open,
            );
            ApiLine {
                api,
                access,
                is_open,
            }
        };
        let before = line("ws://a/", Access::KeyOf(key("ann")));
        for (case, after, is_same) in [
            ("suspended", line("ws://a/", Access::Nobody), true),
            ("another", line("ws://a/", Access::KeyOf(key("bob"))), true),
            ("open", line("ws://a/", Access::Open), false),
            ("moved", line("ws://b/", Access::Nobody), false),
        ] {
            assert_eq!(before == after, is_same, "{case}");
        }
    }
}
