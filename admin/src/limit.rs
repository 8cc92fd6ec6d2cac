//! A limit for requests that take long, for example a scrape of many series.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Limits requests in flight: in all, and of one peer.
#[derive(Clone, Debug)]
pub struct InFlightLimit {
    total: usize,
    per_peer: usize,
    in_flight: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Counts one request until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    peer: IpAddr,
    limit: InFlightLimit,
}

impl InFlightLimit {
    /// At most `total` requests at a time, and at most `per_peer` from one IPv4 address or one IPv6 /64.
    pub fn new(total: usize, per_peer: usize) -> Self {
        Self {
            total,
            per_peer,
            in_flight: Arc::default(),
        }
    }

    pub(crate) fn acquire(&self, peer: IpAddr) -> Option<InFlightGuard> {
        let mut in_flight = self.in_flight.lock();
        let of_peer = in_flight.get(&peer).copied().unwrap_or_default();
        if of_peer >= self.per_peer || in_flight.values().sum::<usize>() >= self.total {
            return None;
        }
        in_flight.insert(peer, of_peer + 1);
        Some(InFlightGuard {
            peer,
            limit: self.clone(),
        })
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut in_flight = self.limit.in_flight.lock();
        match in_flight.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(in_flight.remove(&self.peer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_more_than_its_share() {
        let limit = InFlightLimit::new(3, 2);
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let first = limit.acquire(a);
        let second = limit.acquire(a);
        assert!(first.is_some() && second.is_some());
        assert!(limit.acquire(a).is_none(), "its share");
        let other = limit.acquire(b);
        assert!(other.is_some());
        assert!(limit.acquire(b).is_none(), "the total");
        drop((first, second, other));
        assert!(limit.acquire(b).is_some());
        assert!(
            limit.in_flight.lock().is_empty(),
            "peers without requests are forgotten"
        );
    }
}
