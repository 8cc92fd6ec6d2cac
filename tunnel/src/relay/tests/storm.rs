//! Whatever two peers do, what arrives is a beginning of what was sent, and at most one Close of
//! ours behind it, between two frames.

use std::time::Duration;

use proptest::prelude::*;
use tidegate_config::{CloseCode, OnExceed, Rate};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::peer::{BINARY, CLOSE, CONTINUATION, MORE, PING, PONG, TEXT, close_payload, frame};
use super::*;
use crate::frame::Opcode;

/// One thing that a peer does.
#[derive(Clone, Debug)]
enum Act {
    /// Sends a frame; only so much of it when this is the last act.
    Send {
        first: u8,
        size: usize,
    },
    Close(u16),
    /// Bytes that are most likely not a frame.
    Noise(Vec<u8>),
    Wait(u64),
    HangUp,
}

fn act() -> impl Strategy<Value = Act> {
    let first = prop::sample::select(vec![
        TEXT,
        BINARY,
        PING,
        PONG,
        BINARY & !MORE,
        CONTINUATION,
        CONTINUATION & !MORE,
    ]);
    prop_oneof![
        12 => (first, 0..3000_usize).prop_map(|(first, size)| {
            let control = matches!(first, PING | PONG);
            Act::Send { first, size: if control { size % 126 } else { size } }
        }),
        3 => (0..40_000_u64).prop_map(Act::Wait),
        1 => prop::sample::select(vec![1000, 1001, 1005, 4000]).prop_map(Act::Close),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Act::Noise),
        1 => Just(Act::HangUp),
    ]
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let seconds = |range| prop::option::of(range).prop_map(|s| s.map(Duration::from_secs));
    let rate = prop::option::of((1..50_u32, any::<bool>())).prop_map(|rate| {
        rate.map(|(rate, close)| Rate {
            rate,
            burst: None,
            on_exceed: if close {
                OnExceed::Close
            } else {
                OnExceed::Delay
            },
        })
    });
    (
        prop::option::of(2500..3500_u64),
        rate,
        seconds(5..100_u64),
        seconds(5..100_u64),
        seconds(5..60_u64),
    )
        .prop_map(|(size, messages, idle, max, ping)| Rules {
            max_message_bytes: size,
            messages,
            bytes: messages.map(|rate| Rate {
                rate: rate.rate * 1000,
                ..rate
            }),
            idle,
            max_duration: max,
            ping_interval: ping,
            write_stall: Some(Duration::from_secs(60)),
            ..lax()
        })
}

/// Does as told; returns all it tried to send.
async fn perform(
    mut io: tokio::io::WriteHalf<DuplexStream>,
    acts: Vec<Act>,
    masked: bool,
) -> Vec<u8> {
    let mask = masked.then_some([5, 6, 7, 8]);
    let mut sent = Vec::new();
    for act in acts {
        let bytes = match act {
            Act::Send { first, size } => frame(first, &vec![size as u8; size], mask),
            Act::Close(code) => frame(CLOSE, &close_payload(code, "x"), mask),
            Act::Noise(bytes) => bytes,
            Act::Wait(millis) => {
                sleep(Duration::from_millis(millis)).await;
                continue;
            }
            Act::HangUp => break,
        };
        sent.extend(&bytes);
        if io.write_all(&bytes).await.is_err() {
            break;
        }
    }
    let _ = io.shutdown().await;
    sent
}

/// Reads to the end, with rests of `pause` milliseconds.
async fn listen(mut io: tokio::io::ReadHalf<DuplexStream>, pause: u64) -> Vec<u8> {
    let mut heard = Vec::new();
    while tokio::io::AsyncReadExt::read_buf(&mut io, &mut heard)
        .await
        .is_ok_and(|n| n > 0)
    {
        sleep(Duration::from_millis(pause)).await;
    }
    heard
}

/// Is `heard` a beginning of `sent`, but for pings of ours and one Close of ours at its end?
/// Otherwise: where not, and what stands there.
fn beginning(heard: &[u8], sent: &[u8], masked: bool) -> Result<(), (usize, Vec<u8>)> {
    let mut tracker = crate::frame::Tracker::new(masked, true);
    let (mut at, mut matched) = (0, 0);
    loop {
        let (rest, expected) = (&heard[at..], &sent[matched..]);
        let payload = tracker.take_payload(rest.len());
        let wrong = || Err((at, rest[..rest.len().min(20)].to_vec()));
        if payload > 0 {
            if !expected.starts_with(&rest[..payload]) {
                return wrong();
            }
            (at, matched) = (at + payload, matched + payload);
            continue;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let Ok(Some(header)) = tracker.header(rest) else {
            return wrong();
        };
        if expected.starts_with(&rest[..header.size]) {
            tracker.enter(&header);
            (at, matched) = (at + header.size, matched + header.size);
            continue;
        }
        match header.opcode {
            Opcode::Ping if header.length == 8 => at += header.control_size(),
            Opcode::Close if rest.len() == header.control_size() => return Ok(()),
            _ => return wrong(),
        }
    }
}

async fn storm(rules: Rules, scripts: [Vec<Act>; 2], pauses: [u64; 2], commands: u64) {
    let setup = Setup {
        rules,
        pipe: 1000,
        ..Setup::default()
    };
    let metered = Arc::default();
    let (tunnel, client, backend, sessions) = setup.tunnel(Arc::clone(&metered));
    let (_trigger, drain) = Drain::pair();
    let relay = drain.spawn(relay(tunnel));
    let (client_in, client_out) = tokio::io::split(client.io);
    let (backend_in, backend_out) = tokio::io::split(backend.io);
    let [up, down] = scripts;
    let all = async {
        tokio::join!(
            perform(client_out, up, true),
            perform(backend_out, down, false),
            listen(client_in, pauses[0]),
            listen(backend_in, pauses[1]),
            async {
                sleep(Duration::from_secs(commands)).await;
                sessions.drain(Duration::from_secs(1), CloseCode::GOING_AWAY);
            }
        )
    };
    let all = tokio::time::timeout(Duration::from_secs(3600), all).await;
    let (up, down, at_client, at_backend, ()) = all.expect("somebody waits for ever");
    assert_eq!(
        beginning(&at_backend, &up, true),
        Ok(()),
        "{} bytes at the backend",
        at_backend.len()
    );
    assert_eq!(
        beginning(&at_client, &down, false),
        Ok(()),
        "{} bytes at the client",
        at_client.len()
    );
    let outcome = tokio::time::timeout(Duration::from_secs(60), relay).await;
    let outcome = outcome.expect("the relay does not end").unwrap();
    assert!(outcome.from_client.bytes.sum() <= up.len() as u64);
    assert!(outcome.from_backend.bytes.sum() <= down.len() as u64);
    assert!(sessions.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_arrives_is_a_beginning_of_what_was_sent(
        rules in any_rules(),
        scripts in [prop::collection::vec(act(), 0..12), prop::collection::vec(act(), 0..12)],
        pauses in [0..100_u64, 0..100_u64],
        commands in 0..200_u64,
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(storm(rules, scripts, pauses, commands));
    }
}
