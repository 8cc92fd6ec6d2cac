//! A server for tests: answers by a function, and records what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use tidegate_tunnel::drain::Drain;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method, target, and header lines in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target().split('?').next().unwrap()
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.head.lines().any(|known| known == line)
    }
}

/// What the server does with a request.
pub(crate) enum Answer {
    /// Status line, headers and body, as they stand on the wire.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Silence,
    /// The end of the connection.
    Hangup,
}

/// With a body of JSON.
pub(crate) fn json(status: u16, body: &str) -> Answer {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n");
    Answer::Raw(format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes())
}

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    pub(crate) async fn start(
        answer: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, connections) = (Arc::default(), Arc::default());
        let server = Self {
            url,
            asked: Arc::clone(&asked),
            connections: Arc::clone(&connections),
        };
        let answer = Arc::new(answer);
        let (_, drain) = Drain::pair();
        let spawner = drain.clone();
        drain.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                spawner.spawn(async move { serve(stream, &asked, &*answer).await });
            }
        });
        server
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    asked: &Mutex<Vec<Asked>>,
    answer: &(impl Fn(usize, &Asked) -> Answer + Sync),
) -> Option<()> {
    loop {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            bytes.push(stream.read_u8().await.ok()?);
        };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let (first, rest) = head.split_once("\r\n")?;
        let head = format!("{first}\n{}", rest.to_lowercase().replace("\r\n", "\n"));
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.ok()?;
        let body = String::from_utf8(body).ok()?;
        let request = Asked { head, body };
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(request.clone());
            asked.len()
        };
        match answer(number, &request) {
            Answer::Raw(bytes) => stream.write_all(&bytes).await.ok()?,
            Answer::Silence => tokio::time::sleep(Duration::from_secs(3600)).await,
            Answer::Hangup => return None,
        }
    }
}
