//! How many tunnels and connections the limit of open files allows. A tunnel takes two file descriptors, a
//! connection without a request one. A reserve remains for the gateway itself: without a descriptor it cannot
//! dial a backend, answer a probe or read a configuration.

use std::fs;

/// Descriptors for everything else: watches, the admin server, requests of policies, name lookups, parallel
/// attempts of a dial. A sixteenth of all, at least this many ...
const MIN_RESERVED: u64 = 100;

/// ... and at most this many: these needs do not grow with the tunnels.
const MAX_RESERVED: u64 = 4096;

/// Per worker: three for its runtime, one per port and one spare.
const RESERVED_BY_WORKER: u64 = 8;

/// An eighth of what is left for clients is for connections without a request: when all clients reconnect at
/// once, they wait here for their TLS handshake.
const PENDING_SHARE: u64 = 8;

/// Connections without a request if the limit of open files is not known.
const PENDING_WITHOUT_LIMIT: usize = 64 * 1024;

/// At least this many: with fewer, a new connection would evict another one before it could send its request.
const MIN_PENDING: u64 = 4;

/// How many connections of each kind are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// Tunnels and handshakes. `None`: no bound is known.
    pub(super) tunnels: Option<u32>,
    /// Connections without a request.
    pub(super) pending: usize,
}

impl Capacity {
    /// The capacity of this process with `workers` threads.
    pub(super) fn of_process(workers: usize) -> Self {
        let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self::from_limits(&text, workers)
    }

    /// From the text of proc(5)'s `limits`: name, soft limit, hard limit, unit.
    fn from_limits(text: &str, workers: usize) -> Self {
        let Some(files) = open_files(text) else {
            return Self {
                tunnels: None,
                pending: PENDING_WITHOUT_LIMIT,
            };
        };
        let by_workers = RESERVED_BY_WORKER * workers as u64;
        let reserved = (files / 16).clamp(MIN_RESERVED, MAX_RESERVED) + by_workers;
        let clients = files - reserved.min(files / 2);
        let pending = (clients / PENDING_SHARE).max(MIN_PENDING);
        let tunnels = clients.saturating_sub(pending) / 2;
        Self {
            tunnels: Some(u32::try_from(tunnels).unwrap_or(u32::MAX).max(1)),
            pending: usize::try_from(pending).unwrap_or(PENDING_WITHOUT_LIMIT),
        }
    }
}

fn open_files(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_and_waiting_connections_leave_descriptors_for_the_rest() {
        for (soft, workers) in [(60_u64, 1), (256, 2), (1024, 2), (1024, 64), (65_536, 8)] {
            let text = format!("Limit    Soft Limit\nMax open files   {soft}   4096   files\n");
            let capacity = Capacity::from_limits(&text, workers);
            let tunnels = u64::from(capacity.tunnels.unwrap());
            let clients = 2 * tunnels + capacity.pending as u64;
            let reserved = soft - clients;
            assert!(tunnels > 0 && capacity.pending > 0, "{soft}: {capacity:?}");
            assert!(reserved >= 100.min(soft / 2), "{soft}: {capacity:?}");
        }
        let text = "Max open files   1024   4096   files";
        let capacity = Capacity::from_limits(text, 2);
        assert_eq!((capacity.tunnels, capacity.pending), (Some(397), 113));
    }

    #[test]
    fn without_a_limit_connections_that_wait_are_bounded_all_the_same() {
        for text in ["Max open files   unlimited   unlimited   files", ""] {
            let capacity = Capacity::from_limits(text, 2);
            assert_eq!((capacity.tunnels, capacity.pending), (None, 64 * 1024));
        }
    }
}
