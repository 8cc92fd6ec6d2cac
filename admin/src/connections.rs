//! All connections of an admin server: so many, and who goes when there is one more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::peer::{Peer, group};
use crate::stream::Stream;

/// Probes, scrapers, people; each takes a descriptor. What may last has fewer places than that, so
/// that there are always connections among these that can go.
pub(crate) const MOST: usize = 64;

/// The connections by age.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    peer: IpAddr,
    stream: Stream,
    /// Is its request head not whole yet?
    waits: bool,
    end: Arc<Notify>,
}

/// A connection with a place.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    /// Notified when somebody else needs the place.
    pub(crate) end: Arc<Notify>,
    number: u64,
    connections: Arc<Connections>,
}

impl Connections {
    /// A place for this connection, if need be that of one that has not said what it wants. `None`:
    /// all of them have.
    pub(crate) fn enter(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<Connection> {
        let stream = Stream::new(stream);
        let end = Arc::new(Notify::new());
        let mut table = self.table();
        if table.open.len() >= MOST && !table.evict() {
            return None;
        }
        let number = table.next;
        table.next += 1;
        let entry = Entry {
            peer: group(peer.ip()),
            stream: stream.clone(),
            waits: true,
            end: Arc::clone(&end),
        };
        table.open.insert(number, entry);
        Some(Connection {
            stream,
            peer: Peer::new(peer),
            end,
            number,
            connections: Arc::clone(self),
        })
    }

    /// Ends a connection that waits for its head, if there is one.
    pub(crate) fn evict(&self) -> bool {
        self.table().evict()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Entries are put in and taken out whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn evict(&mut self) -> bool {
        let Some(number) = self.victim() else {
            return false;
        };
        if let Some(entry) = self.open.remove(&number) {
            entry.end.notify_one();
        }
        true
    }

    /// The oldest of the peer that has most connections; never one whose bytes are there and were
    /// not looked at yet, however busy we are.
    fn victim(&self) -> Option<u64> {
        let mut of_peer: HashMap<IpAddr, usize> = HashMap::new();
        for entry in self.open.values() {
            *of_peer.entry(entry.peer).or_default() += 1;
        }
        let waiting = self.open.iter().filter(|(_, entry)| entry.waits);
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_by_key(|(number, entry)| (Reverse(of_peer.get(&entry.peer)), **number));
        let mut silent = waiting
            .into_iter()
            .filter(|(_, entry)| !entry.stream.has_unread());
        silent.next().map(|(number, _)| *number)
    }
}

impl Connection {
    /// Its head is whole: it is answered, and does not have to go any more.
    pub(crate) fn heard(&self) {
        if let Some(entry) = self.connections.table().open.get_mut(&self.number) {
            entry.waits = false;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
