//! All connections of an admin server: how many there may be, and which one is closed for another.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::peer::{Peer, group};
use crate::stream::Stream;

/// Probes, scrapers and people together; each connection takes a file descriptor. Limited requests are
/// fewer than this, so that there is always a connection that can be closed.
pub(crate) const MAX_CONNECTIONS: usize = 64;

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
    /// The request head is not complete yet.
    awaiting_head: bool,
    close: Arc<Notify>,
}

/// A connection that was admitted.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    /// Notified when it has to be closed for another one.
    pub(crate) close: Arc<Notify>,
    number: u64,
    connections: Arc<Connections>,
}

impl Connections {
    /// Admits a connection. At the limit, one that has not sent a complete request head is closed for
    /// it; `None` when there is no such connection.
    pub(crate) fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<Connection> {
        let stream = Stream::new(stream);
        let close = Arc::new(Notify::new());
        let mut table = self.0.lock();
        if table.open.len() >= MAX_CONNECTIONS && !table.evict() {
            return None;
        }
        let number = table.next;
        table.next += 1;
        let entry = Entry {
            peer: group(peer.ip()),
            stream: stream.clone(),
            awaiting_head: true,
            close: Arc::clone(&close),
        };
        table.open.insert(number, entry);
        Some(Connection {
            stream,
            peer: Peer::new(peer),
            close,
            number,
            connections: Arc::clone(self),
        })
    }

    /// Closes a connection without a complete request head; `false` when there is none.
    pub(crate) fn evict(&self) -> bool {
        self.0.lock().evict()
    }
}

impl Table {
    fn evict(&mut self) -> bool {
        let Some(number) = self.victim() else {
            return false;
        };
        if let Some(entry) = self.open.remove(&number) {
            entry.close.notify_one();
        }
        true
    }

    /// The oldest connection of the peer that has most of them; never one that has sent bytes which were
    /// not read yet, however busy the process is.
    fn victim(&self) -> Option<u64> {
        let mut of_peer: HashMap<IpAddr, usize> = HashMap::new();
        for entry in self.open.values() {
            *of_peer.entry(entry.peer).or_default() += 1;
        }
        let waiting = self.open.iter().filter(|(_, entry)| entry.awaiting_head);
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_by_key(|(number, entry)| (Reverse(of_peer.get(&entry.peer)), **number));
        let mut silent = waiting
            .into_iter()
            .filter(|(_, entry)| !entry.stream.has_unread());
        silent.next().map(|(number, _)| *number)
    }
}

impl Connection {
    /// The request head is complete: the connection is not closed for another one any more.
    pub(crate) fn head_received(&self) {
        if let Some(entry) = self.connections.0.lock().open.get_mut(&self.number) {
            entry.awaiting_head = false;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.0.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
