//! Names of backends to addresses, remembered for a moment.
//!
//! The system resolver blocks a thread and asks the network each time; a crowd that reconnects
//! would ask for the same name thousands of times a second.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Short enough that a moved Service is found within a client's patience; an address that does
/// not answer is forgotten at once.
const LIFETIME: Duration = Duration::from_secs(5);

/// Policies may choose backends by what clients send; their names must not pile up.
const MOST_NAMES: usize = 1024;

type Names = HashMap<(String, u16), (Instant, Arc<[SocketAddr]>)>;

/// Finds addresses.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    names: Mutex<Names>,
    turn: AtomicUsize,
}

impl Resolver {
    /// Addresses of a name or address in the order to try them; never empty.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let key = (host.to_owned(), port);
        if let Some(known) = self.known(&key) {
            return Ok(self.ordered(&known));
        }
        let found: Arc<[SocketAddr]> = tokio::net::lookup_host((host, port)).await?.collect();
        if found.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        let ordered = self.ordered(&found);
        self.remember(key, found);
        Ok(ordered)
    }

    /// Asks again next time.
    pub(crate) fn forget(&self, host: &str, port: u16) {
        self.names().remove(&(host.to_owned(), port));
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // Entries are replaced whole: a thread that died holding the lock left none in pieces.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, key: &(String, u16)) -> Option<Arc<[SocketAddr]>> {
        let names = self.names();
        let (since, addresses) = names.get(key)?;
        (since.elapsed() < LIFETIME).then(|| Arc::clone(addresses))
    }

    fn remember(&self, key: (String, u16), addresses: Arc<[SocketAddr]>) {
        let mut names = self.names();
        if names.len() >= MOST_NAMES {
            names.retain(|_, (since, _)| since.elapsed() < LIFETIME);
        }
        if names.len() < MOST_NAMES {
            names.insert(key, (Instant::now(), addresses));
        }
    }

    /// The families in turn, as RFC 8305 §4 has it, beginning with the resolver's favourite; within
    /// a family somebody else comes first each time, so that all endpoints of a headless Service
    /// get their share.
    fn ordered(&self, found: &[SocketAddr]) -> Vec<SocketAddr> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let v6_first = found.first().is_some_and(SocketAddr::is_ipv6);
        let family = |v6: bool| {
            let mut family: Vec<_> = found
                .iter()
                .copied()
                .filter(|a| a.is_ipv6() == v6)
                .collect();
            if !family.is_empty() {
                let by = turn % family.len();
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
}
