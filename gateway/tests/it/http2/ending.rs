//! How a stream ends, in either direction.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::support::client;
use crate::support::stands_still;

/// What a backend's tunnel ended with.
async fn close_code(socket: &mut Socket) -> (u16, String) {
    loop {
        if let Message::Close(frame) = next(socket).await {
            let frame = frame.expect("a code");
            return (frame.code.into(), frame.reason.to_string());
        }
    }
}

/// A backend that waits for the end, and tells its code.
async fn told() -> (Backend, tokio::sync::mpsc::UnboundedReceiver<Option<u16>>) {
    let (tell, heard) = tokio::sync::mpsc::unbounded_channel();
    let backend = Backend::scripted(move |head, stream| {
        let tell = tell.clone();
        async move {
            let mut socket = upgrade(&head, stream, "").await;
            let mut code = None;
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(frame) = message {
                    code = frame.map(|frame| frame.code.into());
                }
            }
            let _ = tell.send(code);
        }
    })
    .await;
    (backend, heard)
}

#[tokio::test]
async fn a_close_passes_both_ways_and_the_stream_ends_orderly() {
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let mut socket = client.open("/chat").await;
    let frame = CloseFrame {
        code: CloseCode::Library(4711),
        reason: "enough".into(),
    };
    socket.close(Some(frame)).await.unwrap();
    assert_eq!(close_code(&mut socket).await, (4711, "enough".to_owned()));
    assert!(within("END_STREAM", socket.next()).await.is_none());
    let mut another = client.open("/chat").await;
    echo(&mut another, "the connection goes on").await;
}

#[tokio::test]
async fn a_client_that_resets_its_stream_or_leaves_is_lost_to_the_backend() {
    let (backend, mut heard) = told().await;
    let gateway = TestGateway::start(&modern(Config::new().api("chat", backend.address))).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let (mut stream, _) = client.connect("/chat", &[]).await.unwrap();
    stream.reset();
    assert_eq!(
        within("a Close", heard.recv()).await,
        Some(Some(1001)),
        "RST_STREAM"
    );

    let (mut stream, _) = client.connect("/chat", &[]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(
        within("a Close", heard.recv()).await,
        Some(Some(1001)),
        "END_STREAM"
    );

    let _kept = client.connect("/chat", &[]).await.unwrap();
    client.end.abort();
    assert_eq!(
        within("a Close", heard.recv()).await,
        Some(Some(1001)),
        "the connection"
    );
    gateway
        .metric_is("tidegate_tunnels_active{api=\"harbour/chat\"}", 0.0)
        .await;
    gateway.metric_is("tidegate_connections_active", 0.0).await;
}

#[tokio::test]
async fn a_backend_that_is_lost_is_told_and_a_frame_cut_short_is_no_close() {
    let backend = Backend::scripted(|head, mut stream| async move {
        let answer = head.switching("");
        stream.write_all(answer.as_bytes()).await.unwrap();
        if head.request_line().contains("inside") {
            // A frame of five bytes, of which two come.
            stream.write_all(b"\x81\x05he").await.unwrap();
        }
    })
    .await;
    let gateway = TestGateway::start(&modern(Config::new().api("chat", backend.address))).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    // A Close with 1014, and no frame where none may stand.
    for (path, bytes) in [
        ("/chat", &b"\x88\x0e\x03\xf6"[..]),
        ("/chat?inside", b"\x81\x05he"),
    ] {
        let (mut stream, _) = client.connect(path, &[]).await.unwrap();
        let mut all = Vec::new();
        let _ = within("the end", stream.read_to_end(&mut all)).await;
        all.truncate(4);
        assert_eq!(all, bytes, "{path}");
    }
}

/// What is revoked takes its own streams only.
#[tokio::test]
async fn an_api_that_goes_closes_its_streams_and_leaves_the_others() {
    let (backend, config) = chat().await;
    let config = config.api("other", backend.address);
    let mut gateway = TestGateway::start(&config).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let mut gone = client.open("/chat").await;
    let mut kept = client.open("/other").await;
    gateway.apply(&config.without_api("chat")).await;
    assert_eq!(close_code(&mut gone).await.0, 1001);
    echo(&mut kept, "still here").await;
}

#[tokio::test]
async fn a_drain_sends_goaway_and_a_close_in_every_stream() {
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let mut client = Http2::plain(address).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(client.open("/chat").await);
    }
    let idle = Http2::plain(address).await;
    let drained = within("the drain", gateway.gateway.shutdown());
    let closes = async {
        for socket in &mut sockets {
            let (code, _) = close_code(socket).await;
            assert_eq!(code, 1001);
            while socket.next().await.is_some() {}
        }
        let end = within("the connection's end", client.end).await.unwrap();
        assert!(end.is_ok(), "{end:?}");
        let end = within("the idle connection's end", idle.end).await.unwrap();
        assert!(end.is_ok(), "{end:?}");
    };
    tokio::join!(drained, closes);
}

/// Nobody reads one stream; the other one, of the same connection, goes on.
#[tokio::test]
async fn a_stream_that_is_not_read_holds_up_its_own_backend_only() {
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let flood = Backend::scripted(move |head, stream| {
        let counter = Arc::clone(&counter);
        async move {
            let mut socket = upgrade(&head, stream, "").await;
            let block = vec![7; 64 * 1024];
            while socket.send(Message::binary(block.clone())).await.is_ok() {
                counter.fetch_add(block.len(), std::sync::atomic::Ordering::SeqCst);
            }
        }
    })
    .await;
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config.api("flood", flood.address)).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let mut unread = client.open("/flood").await;
    let mut other = client.open("/chat").await;
    stands_still("the backend to be held up", || {
        let now = sent.load(std::sync::atomic::Ordering::SeqCst);
        assert!(now < 64 << 20, "{now} bytes went somewhere");
        now
    })
    .await;
    for _ in 0..20 {
        echo(&mut other, "past it").await;
    }
    assert_eq!(
        next(&mut unread).await.len(),
        64 * 1024,
        "it is only held up"
    );
}

/// A backend that does not read holds up its client, at the size of a window and some buffers.
#[tokio::test]
async fn a_backend_that_does_not_read_closes_the_clients_window() {
    let go_on = CancellationToken::new();
    let wait = go_on.clone();
    let backend = Backend::scripted(move |head, stream| {
        let wait = wait.clone();
        async move {
            let mut socket = upgrade(&head, stream, "").await;
            wait.cancelled().await;
            while socket.next().await.is_some() {}
        }
    })
    .await;
    let gateway = TestGateway::start(&modern(Config::new().api("chat", backend.address))).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let (mut stream, _) = client.connect("/chat", &[]).await.unwrap();
    // One frame of 1 GiB, masked with zeros, as far as it is taken.
    stream
        .write_all(b"\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0")
        .await
        .unwrap();
    let block = vec![0; 64 * 1024];
    let mut taken = 0;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(500), stream.write(&block)).await
    {
        taken += written.unwrap();
        assert!(taken < 64 << 20, "{taken} bytes went somewhere");
    }
    go_on.cancel();
    within("room again", stream.write_all(&block))
        .await
        .unwrap();
    let mut beside = client::open(&gateway.url("/chat")).await;
    beside.close(None).await.unwrap();
}

/// Its window tells how far a client has come with what its backend said last.
#[tokio::test]
async fn a_slow_reader_of_a_stream_gets_the_last_words_and_the_close() {
    const SIZE: usize = 512 * 1024;
    let backend = Backend::scripted(|head, mut stream| async move {
        let answer = head.switching("");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut words = vec![0x82, 127, 0, 0, 0, 0, 0, 8, 0, 0];
        words.resize(words.len() + SIZE, 7);
        words.extend(b"\x88\x02\x0f\xa0");
        stream.write_all(&words).await.unwrap();
        // It waits for the answer.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let gateway = TestGateway::start(&modern(Config::new().api("chat", backend.address))).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let (mut stream, _) = client.connect("/chat", &[]).await.unwrap();
    let mut heard = Vec::new();
    let mut piece = vec![0; 4 * 1024];
    // Slower than `closeTimeout` and all that comes behind it.
    while heard.len() < SIZE + 14 {
        let count = within("more", stream.read(&mut piece)).await.unwrap();
        assert!(count > 0, "it ends after {} bytes", heard.len());
        heard.extend_from_slice(&piece[..count]);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(heard.ends_with(b"\x07\x88\x02\x0f\xa0"));
    stream.write_all(b"\x88\x82\0\0\0\0\x0f\xa0").await.unwrap();
    assert_eq!(
        within("END_STREAM", stream.read(&mut piece)).await.unwrap(),
        0
    );
}
