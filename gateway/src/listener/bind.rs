//! Binds a port: one listening socket per worker; the kernel distributes connections among them.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that wait to be accepted; the kernel's own limit (`somaxconn`) is the real one.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets, at least one, to the same address; the system chooses the port if it is 0.
///
/// # Errors
/// The address cannot be bound.
pub(super) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let first = socket(address)?;
    // `SO_REUSEPORT` only now: set earlier, it would let us share the port with another process that sets it
    // too, and each would get some of the other's clients.
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = socket(address)?;
        next.set_reuse_port(true)?;
        next.bind(&bound)?;
        sockets.push(next);
    }
    // All are bound before one listens, so no connection waits at a socket that is closed again.
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

/// Connections inherit its options, which saves system calls for each.
fn socket(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_tcp_nodelay(true)?;
    tidegate_tunnel::socket::keep_alive(SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn all_workers_have_a_socket_of_the_same_port_and_every_client_reaches_one() {
        let sockets = bind(ANY_PORT, 3).unwrap();
        let address = sockets[0].local_addr().unwrap();
        for socket in &sockets {
            assert_eq!(socket.local_addr().unwrap(), address);
        }
        let clients: Vec<_> = (0..30)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let accepted = sockets
            .iter()
            .map(|socket| std::iter::from_fn(|| socket.accept().ok()).count());
        assert_eq!(accepted.sum::<usize>(), clients.len());
    }

    #[test]
    fn a_port_is_not_shared_with_another_gateway() {
        let ours = bind(ANY_PORT, 2).unwrap();
        let address = ours[0].local_addr().unwrap();
        for count in [1, 2] {
            let refused = bind(address, count).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        }
    }
}
