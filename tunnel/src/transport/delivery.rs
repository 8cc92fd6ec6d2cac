//! How far what was written to a peer has come. A socket takes megabytes at once, and a write that it
//! has taken says nothing of the peer: what the peer's kernel has acknowledged does.

use std::time::Duration;

use tokio::net::TcpStream;

/// What has become of everything that was written to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Grows when the peer takes something. Only its growth means anything.
    pub taken: u64,
    /// Some of it has not left yet: the peer has no room, or the line is full.
    pub unsent: bool,
    /// All of it was taken.
    pub complete: bool,
    /// What was taken last was taken at least so long ago.
    pub quiet: Duration,
}

/// One system call: to be asked when a timer fires or a tunnel ends, not for each message. `None`:
/// the kernel does not say.
pub(super) fn of_socket(socket: &TcpStream) -> Option<Delivery> {
    let info = tidegate_tcpinfo::of(socket).ok()?;
    let unsent = !info.closed && info.unsent > 0;
    Some(Delivery {
        taken: info.acknowledged,
        unsent,
        complete: info.closed || (!unsent && info.in_flight == 0),
        quiet: info.last_acknowledgement,
    })
}

/// Was everything taken, our end included? A cheaper question than the above; `false` may mean that the
/// kernel does not say.
pub(super) fn is_complete(socket: &TcpStream) -> bool {
    tidegate_tcpinfo::unacknowledged(socket).is_ok_and(|bytes| bytes == 0)
}

/// Has everything left? As cheap, and as doubtful where it says `false`.
pub(super) fn has_left(socket: &TcpStream) -> bool {
    tidegate_tcpinfo::unsent(socket).is_ok_and(|bytes| bytes == 0)
}
