//! Ports that stay free.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use crate::support::within;

/// A port of 127.0.0.1 on which nobody listens. It is bound, so that the system gives it to nobody
/// else, and refuses connections. A server that is given its number can listen on it nevertheless,
/// if it sets `SO_REUSEADDR`, as the gateway does.
#[derive(Debug)]
pub(crate) struct FreePort {
    pub(crate) address: SocketAddr,
    bound: TcpSocket,
}

impl FreePort {
    pub(crate) fn new() -> Self {
        Self::bind(([127, 0, 0, 1], 0).into()).unwrap()
    }

    /// Waits until somebody has left a port, and keeps it free from there on.
    pub(crate) async fn left_by(address: SocketAddr) -> Self {
        within("a port to be left", async {
            loop {
                match Self::bind(address) {
                    Ok(port) => return port,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        })
        .await
    }

    /// Listens on it.
    pub(crate) fn listen(self) -> TcpListener {
        self.bound.listen(128).unwrap()
    }

    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            address: socket.local_addr()?,
            bound: socket,
        })
    }

    pub(crate) fn number(&self) -> u16 {
        self.address.port()
    }
}
