//! What the kernel tells of a TCP connection: how far what was written has come.
//!
//! A crate of its own because of two calls. The libraries that are safe to use do not make them, or
//! only through a macro with the same unchecked call inside, which panics where the kernel answers
//! less than expected. All other crates forbid unchecked code.

use std::io;
use std::mem::{offset_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// Bytes of `tcp_info` that are read: up to the last field below, which is there since Linux 4.6.
const SIZE: usize = offset_of!(libc::tcp_info, tcpi_min_rtt);

/// `TCP_CLOSE` of the kernel's states: nothing goes out any more.
const CLOSED: u8 = 7;

/// `SIOCOUTQ`: how much was written and not acknowledged.
const UNACKNOWLEDGED: libc::Ioctl = libc::TIOCOUTQ;
/// `SIOCOUTQNSD` of `linux/sockios.h`: how much was written and not sent.
const UNSENT: libc::Ioctl = 0x894B;

/// A connection as its kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// Bytes that the peer has acknowledged since the connection began; its own beginning and end
    /// count as one each.
    pub acknowledged: u64,
    /// Bytes that have not been sent yet.
    pub unsent: u32,
    /// Segments that were sent and are not acknowledged.
    pub in_flight: u32,
    /// The last acknowledgement came so long ago, whatever it said.
    pub last_acknowledgement: Duration,
    /// Nothing is sent any more.
    pub closed: bool,
}

/// Asks the kernel: one system call.
///
/// # Errors
///
/// Those of `getsockopt`, and `Unsupported` where the kernel says less than is needed.
pub fn of(socket: &impl AsFd) -> io::Result<TcpInfo> {
    let (bytes, length) = read(socket.as_fd())?;
    let bytes = &bytes[..length.min(SIZE)];
    parse(bytes).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Bytes that were written and not acknowledged; our end counts as one. Where it is all that is to be
/// known, it costs a fifth of what [`of`] does: no lock is taken, and little copied.
///
/// # Errors
///
/// Those of `ioctl`.
pub fn unacknowledged(socket: &impl AsFd) -> io::Result<u32> {
    count(socket.as_fd(), UNACKNOWLEDGED)
}

/// Bytes that were written and not sent; as cheap as [`unacknowledged`].
///
/// # Errors
///
/// Those of `ioctl`.
pub fn unsent(socket: &impl AsFd) -> io::Result<u32> {
    count(socket.as_fd(), UNSENT)
}

/// One of the requests above.
#[expect(unsafe_code, reason = "no safe library asks for SIOCOUTQNSD")]
fn count(socket: BorrowedFd<'_>, request: libc::Ioctl) -> io::Result<u32> {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as it is borrowed. For both requests the kernel writes one
    // `int` to `count`, which lives until the call returns; what is no TCP socket is an error.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut count) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(count).map_err(io::Error::other)
}

fn parse(bytes: &[u8]) -> Option<TcpInfo> {
    let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let acknowledged = bytes.get(offset_of!(libc::tcp_info, tcpi_bytes_acked)..)?;
    let milliseconds = word(offset_of!(libc::tcp_info, tcpi_last_ack_recv))?;
    Some(TcpInfo {
        acknowledged: u64::from_ne_bytes(*acknowledged.first_chunk()?),
        unsent: word(offset_of!(libc::tcp_info, tcpi_notsent_bytes))?,
        in_flight: word(offset_of!(libc::tcp_info, tcpi_unacked))?,
        last_acknowledgement: Duration::from_millis(milliseconds.into()),
        closed: *bytes.get(offset_of!(libc::tcp_info, tcpi_state))? == CLOSED,
    })
}

/// `TCP_INFO`, and how much of it the kernel gave.
#[expect(unsafe_code, reason = "no safe library asks for TCP_INFO")]
fn read(socket: BorrowedFd<'_>) -> io::Result<([u8; SIZE], usize)> {
    let mut bytes = [0_u8; SIZE];
    let mut length = libc::socklen_t::try_from(size_of_val(&bytes)).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open as long as it is borrowed. The kernel writes `length` bytes at the
    // most to where `bytes` has as many, and `length` itself, which is of the type that it expects; both
    // live until the call returns. Bytes may have any value.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((bytes, usize::try_from(length).map_err(io::Error::other)?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn a_connection_tells_what_its_peer_has_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let before = of(&near).unwrap();
        assert_eq!((before.unsent, before.in_flight), (0, 0));
        assert!(!before.closed);
        near.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = near.write(&[0; 64 * 1024]) {
            written += count;
        }
        let full = of(&near).unwrap();
        assert!(full.unsent > 0, "{full:?}");
        assert!(unsent(&near).unwrap() > 0);
        assert!(unacknowledged(&near).unwrap() > unsent(&near).unwrap());
        far.read_exact(&mut vec![0; written]).unwrap();
        let mut after = full;
        // What was read last is acknowledged in a moment.
        for _ in 0..10_000 {
            after = of(&near).unwrap();
            if (after.unsent, after.in_flight) == (0, 0) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((after.unsent, after.in_flight), (0, 0));
        assert_eq!(unsent(&near).unwrap(), 0);
        assert_eq!(unacknowledged(&near).unwrap(), 0);
        let taken = after.acknowledged - before.acknowledged;
        assert_eq!(taken, u64::try_from(written).unwrap());
    }

    #[test]
    fn what_is_no_connection_has_no_account() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        of(&socket).unwrap_err();
    }

    #[test]
    fn a_kernel_that_says_too_little_is_not_understood() {
        assert_eq!(parse(&[1; SIZE - 8]), None);
        assert_eq!(parse(&[]), None);
        assert!(parse(&[1; SIZE]).is_some());
    }
}
