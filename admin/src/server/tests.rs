use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::*;
use crate::limit::InFlightLimit;

/// Long enough for a loaded machine: only failures wait for it.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

struct Routes {
    slow: InFlightLimit,
}

impl Service for Routes {
    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let text = match request.uri().path() {
            "/slow" if !peer.acquire(&self.slow) => "busy",
            "/slow" => {
                let _ = request.into_body().collect().await;
                "done"
            }
            _ => "ok",
        };
        Response::new(Full::from(text))
    }
}

async fn start() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Arc::new(Routes {
        slow: InFlightLimit::new(2, 2),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, routes, |task| {
        drop(Handle::current().spawn(task))
    }));
    (address, tasks)
}

async fn ask(address: SocketAddr, path: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(TEST_TIMEOUT, exchange).await;
    answer.expect("an answer in time").unwrap_or_default()
}

/// Asks again until this is the answer.
async fn until_slow_is(address: SocketAddr, expected: &str) {
    let answered = async {
        while !ask(address, "/slow").await.ends_with(expected) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let answered = tokio::time::timeout(TEST_TIMEOUT, answered).await;
    answered.unwrap_or_else(|_| panic!("/slow does not come to answer {expected}"));
}

#[tokio::test]
async fn idle_connections_do_not_keep_a_probe_from_its_answer() {
    let (address, _tasks) = start().await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        for _ in 0..50 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let answer = ask(address, "/livez").await;
        assert!(answer.ends_with("ok"), "{answer:?}");
    }
    // The oldest connections were closed, the youngest are still open.
    let mut byte = [0];
    let ended = tokio::time::timeout(TEST_TIMEOUT, idle[0].read(&mut byte)).await;
    assert!(ended.expect("the oldest ends").is_ok_and(|read| read == 0));
}

#[tokio::test]
async fn requests_that_take_long_do_not_keep_a_probe_from_its_answer() {
    let (address, _tasks) = start().await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n";
        stream.write_all(head).await.unwrap();
        slow.push(stream);
    }
    // Both requests must be in flight.
    until_slow_is(address, "busy").await;
    for _ in 0..200 {
        assert!(ask(address, "/livez").await.ends_with("ok"));
    }
    for stream in &mut slow {
        stream.write_all(b"x").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
    }
    until_slow_is(address, "done").await;
}

#[tokio::test]
async fn half_a_head_does_not_keep_a_probe_from_its_answer() {
    let (address, _tasks) = start().await;
    let mut halves = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nX: ")
            .await
            .unwrap();
        halves.push(stream);
    }
    assert!(ask(address, "/livez").await.ends_with("ok"));
}
