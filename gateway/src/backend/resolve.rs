//! DNS lookup of backends with a short cache.
//!
//! The system resolver blocks a thread and asks the network each time; clients that reconnect would look up the
//! same name thousands of times a second. When an entry is too old, one handshake looks it up again while others
//! use the old one; all use it while the resolver fails.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::http_client::admin_ports::{AdminPorts, OwnAdminServer};

/// Lifetime of an entry: short enough for a Service that moves. An address that does not answer is removed at
/// once.
const LIFETIME: Duration = Duration::from_secs(5);

/// Largest number of entries: policies may choose backends by what clients send.
const MAX_NAMES: usize = 1024;

type Names = HashMap<(String, u16), CacheEntry>;

/// Cached addresses of a name.
#[derive(Clone, Debug)]
struct CacheEntry {
    since: Instant,
    addresses: Arc<[SocketAddr]>,
}

/// Result of a cache lookup.
enum Lookup {
    Fresh(Arc<[SocketAddr]>),
    /// Too old: look it up again, and use this if that fails.
    Old(Arc<[SocketAddr]>),
    Nothing,
}

/// Finds addresses.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    names: Mutex<Names>,
    rotation: AtomicUsize,
    admin_ports: AdminPorts,
}

impl Resolver {
    /// A resolver that refuses these admin servers.
    pub(crate) fn away_from(admin_ports: &AdminPorts) -> Self {
        Self {
            admin_ports: admin_ports.clone(),
            ..Self::default()
        }
    }

    /// Refuses a name if any of its addresses is an admin server: mixing one in has no good reason.
    ///
    /// # Errors
    /// The first such address.
    pub(super) fn check(&self, addresses: &[SocketAddr]) -> Result<(), OwnAdminServer> {
        let mut addresses = addresses.iter();
        addresses.try_for_each(|address| self.admin_ports.check(*address))
    }

    /// Addresses of a name or address in the order to try them; never empty.
    ///
    /// # Errors
    /// The lookup failed and nothing is cached.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let key = (host.to_owned(), port);
        let old = match self.look_at(&key) {
            Lookup::Fresh(addresses) => return Ok(self.ordered(&addresses)),
            Lookup::Old(addresses) => Some(addresses),
            Lookup::Nothing => None,
        };
        match (look_up(host, port).await, old) {
            (Ok(found), _) => {
                let ordered = self.ordered(&found);
                self.remember(key, found);
                Ok(ordered)
            }
            (Err(_), Some(old)) => Ok(self.ordered(&old)),
            (Err(error), None) => Err(error),
        }
    }

    /// Removes an entry, so that the next handshake looks it up.
    pub(crate) fn forget(&self, host: &str, port: u16) {
        self.names().remove(&(host.to_owned(), port));
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock()
    }

    fn look_at(&self, key: &(String, u16)) -> Lookup {
        let mut names = self.names();
        let Some(known) = names.get_mut(key) else {
            return Lookup::Nothing;
        };
        let addresses = Arc::clone(&known.addresses);
        if known.since.elapsed() < LIFETIME {
            return Lookup::Fresh(addresses);
        }
        // Fresh for the others while this caller looks it up.
        known.since = Instant::now();
        Lookup::Old(addresses)
    }

    fn remember(&self, key: (String, u16), addresses: Arc<[SocketAddr]>) {
        let mut names = self.names();
        if names.len() >= MAX_NAMES {
            names.retain(|_, known| known.since.elapsed() < LIFETIME);
        }
        if names.len() < MAX_NAMES || names.contains_key(&key) {
            let since = Instant::now();
            names.insert(key, CacheEntry { since, addresses });
        }
    }

    /// IPv6 and IPv4 alternate (RFC 8305 §4), beginning with the resolver's first family. Within a family the
    /// addresses rotate, so that all endpoints of a headless Service get connections.
    fn ordered(&self, found: &[SocketAddr]) -> Vec<SocketAddr> {
        let rotation = self.rotation.fetch_add(1, Ordering::Relaxed);
        let v6_first = found.first().is_some_and(SocketAddr::is_ipv6);
        let family = |v6: bool| {
            let mut family: Vec<_> = found
                .iter()
                .copied()
                .filter(|a| a.is_ipv6() == v6)
                .collect();
            if !family.is_empty() {
                let by = rotation % family.len();
                family.rotate_left(by);
            }
            family
        };
        let (mut first, mut second) = (family(v6_first).into_iter(), family(!v6_first).into_iter());
        let mut ordered = Vec::with_capacity(found.len());
        loop {
            let before = ordered.len();
            ordered.extend(first.next());
            ordered.extend(second.next());
            if ordered.len() == before {
                return ordered;
            }
        }
    }
}

async fn look_up(host: &str, port: u16) -> io::Result<Arc<[SocketAddr]>> {
    let found: Arc<[SocketAddr]> = tokio::net::lookup_host((host, port)).await?.collect();
    if found.is_empty() {
        let kind = io::ErrorKind::NotFound;
        return Err(io::Error::new(kind, "the name has no address"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_everybody_is_first_in_turn() {
        let resolver = Resolver::default();
        let found = addresses(&["[::1]:1", "[::2]:1", "1.1.1.1:1"]);
        assert_eq!(
            resolver.ordered(&found),
            addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1"])
        );
        assert_eq!(
            resolver.ordered(&found),
            addresses(&["[::2]:1", "1.1.1.1:1", "[::1]:1"])
        );
    }

    #[tokio::test]
    async fn addresses_need_no_lookup_and_names_are_forgotten_on_demand() {
        let resolver = Resolver::default();
        assert_eq!(
            resolver.resolve("::1", 7).await.unwrap(),
            addresses(&["[::1]:7"])
        );
        let planted = addresses(&["192.0.2.1:7"]);
        resolver.remember(("localhost".to_owned(), 7), planted.clone().into());
        assert_eq!(resolver.resolve("localhost", 7).await.unwrap(), planted);
        resolver.forget("localhost", 7);
        let found = resolver.resolve("localhost", 7).await.unwrap();
        assert!(
            found.iter().all(|address| address.ip().is_loopback()),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn old_addresses_are_asked_for_again_by_one_and_serve_until_then() {
        let resolver = Resolver::default();
        let planted = addresses(&["192.0.2.1:7"]);
        let key = |host: &str| (host.to_owned(), 7);
        let plant = |host: &str| {
            resolver.remember(key(host), planted.clone().into());
            let mut names = resolver.names();
            names.get_mut(&key(host)).unwrap().since -= LIFETIME;
        };
        plant("localhost");
        assert!(matches!(
            resolver.look_at(&key("localhost")),
            Lookup::Old(_)
        ));
        assert!(matches!(
            resolver.look_at(&key("localhost")),
            Lookup::Fresh(_)
        ));
        plant("localhost");
        assert_ne!(resolver.resolve("localhost", 7).await.unwrap(), planted);
        plant("no-such-host.invalid");
        assert_eq!(
            resolver.resolve("no-such-host.invalid", 7).await.unwrap(),
            planted
        );
        resolver.forget("no-such-host.invalid", 7);
        assert!(resolver.resolve("no-such-host.invalid", 7).await.is_err());
    }
}
