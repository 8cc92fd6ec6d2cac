//! Places for requests that take long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many requests at a time, and so many of one peer.
#[derive(Clone, Debug)]
pub struct Places {
    most: usize,
    per_peer: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of them; free again on drop.
#[derive(Debug)]
pub(crate) struct Place {
    peer: IpAddr,
    places: Places,
}

impl Places {
    /// `most` in all, `per_peer` for each address (of IPv6: for each /64).
    pub fn new(most: usize, per_peer: usize) -> Self {
        Self {
            most,
            per_peer,
            taken: Arc::default(),
        }
    }

    pub(crate) fn take(&self, peer: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        let of_peer = taken.get(&peer).copied().unwrap_or_default();
        if of_peer >= self.per_peer || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(peer, of_peer + 1);
        Some(Place {
            peer,
            places: self.clone(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Numbers only: whole even if a thread died holding the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match taken.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.peer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_takes_its_share_and_leaves_the_others_theirs() {
        let places = Places::new(3, 2);
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let first = places.take(a);
        let second = places.take(a);
        assert!(first.is_some() && second.is_some());
        assert!(places.take(a).is_none(), "its share");
        let other = places.take(b);
        assert!(other.is_some());
        assert!(places.take(b).is_none(), "all of them");
        drop((first, second, other));
        assert!(places.take(b).is_some());
        assert!(places.taken().is_empty(), "nothing is kept of who is gone");
    }
}
