//! Thousands of clients that leave at every moment of a connection's life, in an orderly way or not:
//! nothing of them stays.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http2::modern;
use crate::support::backend::Backend;
use crate::support::client::{echo, handshake, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::{until, within};

/// Of each moment. Descriptors of both sides and of the backend are this process's.
const CLIENTS: usize = 500;
/// How many of them are there at once.
const AT_ONCE: usize = 100;

/// When a client leaves.
#[derive(Clone, Copy, Debug)]
enum Moment {
    BeforeAByte,
    InTheHead,
    BehindTheHead,
    BeforeTheBackendAnswers,
    BehindTheAnswer,
    InAFrame,
    BehindAMessage,
    InHttp2,
}

impl Moment {
    const ALL: [Self; 8] = [
        Self::BeforeAByte,
        Self::InTheHead,
        Self::BehindTheHead,
        Self::BeforeTheBackendAnswers,
        Self::BehindTheAnswer,
        Self::InAFrame,
        Self::BehindAMessage,
        Self::InHttp2,
    ];

    /// What the client has said by then.
    fn said(self) -> Vec<u8> {
        let head = handshake("/chat", "").into_bytes();
        match self {
            Self::BeforeAByte => Vec::new(),
            Self::InTheHead => head[..head.len() / 2].to_vec(),
            Self::BehindTheHead | Self::BehindTheAnswer => head,
            Self::BeforeTheBackendAnswers => handshake("/slow", "").into_bytes(),
            Self::InAFrame => [&head[..], b"\x82\xfe\x10\x00\0\0\0\0abc"].concat(),
            Self::BehindAMessage => [&head[..], b"\x82\x83\0\0\0\0abc"].concat(),
            Self::InHttp2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        }
    }

    /// Does it wait for a first answer?
    fn waits(self) -> bool {
        matches!(
            self,
            Self::BehindTheAnswer | Self::BehindAMessage | Self::InHttp2
        )
    }
}

async fn leave(address: SocketAddr, moment: Moment, orderly: bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&moment.said()).await.unwrap();
    if moment.waits() {
        within("a first answer", stream.read_u8()).await.unwrap();
    }
    if orderly {
        stream.shutdown().await.unwrap();
    } else {
        // Closed with bytes unread or a linger of zero: a reset.
        stream.set_zero_linger().unwrap();
    }
}

/// A backend that never answers, and knows how many connections it has.
async fn slow() -> (Backend, Arc<AtomicUsize>) {
    let held = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&held);
    let backend = Backend::scripted(move |_, mut stream| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            count.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    (backend, held)
}

#[tokio::test]
async fn four_thousand_vanishing_clients_leave_nothing_behind() {
    let chat = Backend::echo().await;
    let (slow, held) = slow().await;
    let config = Config::new()
        .api("chat", chat.address)
        .api_with("slow", slow.address, |api| {
            // A client that only ended its sending may still want the answer.
            api.timeouts.backend_handshake = Some(tidegate_config::Duration::from_secs(3));
        })
        .settings(|settings| {
            settings.timeouts.handshake = tidegate_config::Duration::from_secs(5);
        });
    let gateway = TestGateway::start(&modern(config)).await;
    let address = gateway.address("plain");
    let mut bystander = open(&gateway.url("/chat")).await;
    for moment in Moment::ALL {
        for _ in 0..CLIENTS / AT_ONCE {
            let mut clients = JoinSet::new();
            for number in 0..AT_ONCE {
                clients.spawn(leave(address, moment, number % 2 == 0));
            }
            within(&format!("{moment:?}"), clients.join_all()).await;
        }
        echo(&mut bystander, &format!("{moment:?}")).await;
    }
    until("their tunnels to end", || gateway.gateway.tunnels() == 1).await;
    gateway.metric_is("tidegate_connections_active", 1.0).await;
    gateway
        .metric_is("tidegate_tunnels_active{api=\"harbour/chat\"}", 1.0)
        .await;
    gateway
        .metric_is("tidegate_tunnels_active{api=\"harbour/slow\"}", 0.0)
        .await;
    until("the backend to be let go", || {
        held.load(Ordering::SeqCst) == 0
    })
    .await;
    echo(&mut bystander, "still here").await;
}
