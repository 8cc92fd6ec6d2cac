//! The client: runs the steps of a case against a gateway.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tidegate_config::error_chain;
use tidegate_wire::wait::within;
use tidegate_wire::{Frame, Wire};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::Url;

use super::case::{Case, Step, TlsClient};
use super::check::{Seen, differences, sent, wanted};
use super::recorder::{MARK, Recorder, awaited};
use super::{tls, token};

/// The example of RFC 6455 §1.3. Nothing here depends on a random key.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// How long to wait for what must not come: frames behind the last expected one, or more calls.
const QUIET_TIME: std::time::Duration = std::time::Duration::from_millis(50);

/// The gateway, and the servers that it needs.
#[derive(Clone)]
pub struct TestBed {
    /// `ws://` or `wss://` with host and port.
    pub gateway: Url,
    /// `wss://` URL of its TLS listener; `None`: cases about TLS cannot run.
    pub secure: Option<Url>,
    /// For `gateway`, if that is `wss://`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The backend and all other servers.
    pub recorder: Arc<Recorder>,
    /// A number that differs between runs. Cases use it in keys of limits, which the gateway may remember.
    pub run: u32,
}

/// Runs a case. One line for each difference, with the number of its step.
pub async fn run_case(test_bed: &TestBed, case: &Case) -> Vec<String> {
    test_bed.recorder.serve(case);
    let mut kept = HashMap::new();
    let mut found = Vec::new();
    for (number, step) in (1..).zip(&case.steps) {
        let seen = act(test_bed, case, step, &mut kept).await;
        let lines = match seen {
            Ok(seen) => differences(step, &seen),
            Err(error) => vec![error_chain(error.as_ref())],
        };
        found.extend(
            lines
                .into_iter()
                .map(|line| format!("step {number}: {line}")),
        );
    }
    found
}

async fn act(
    test_bed: &TestBed,
    case: &Case,
    step: &Step,
    kept: &mut HashMap<String, Wire>,
) -> anyhow::Result<Seen> {
    if let Some(name) = &step.close {
        let wire = kept.remove(name);
        close(wire.context("no tunnel with this name is kept")?).await?;
    }
    tokio::time::sleep(step.wait.get()).await;
    let past_calls = test_bed.recorder.calls(&case.name).len();
    let mark = format!("{}-{:08x}", case.name, rand::random::<u32>());
    test_bed.recorder.script(&mark, &step.backend);
    let mut wire = connect(test_bed, step.tls).await?;
    wire.send(request(test_bed, case, step, &mark)?.as_bytes())
        .await?;
    let head = wire.head().await?;
    let accept = head.joined("sec-websocket-accept");
    let mut seen = Seen {
        accepted: accept == Some(derive_accept_key(KEY.as_bytes())),
        head,
        ..Seen::default()
    };
    if seen.head.status() == 101 {
        exchange_frames(wire, step, &mut seen, kept).await?;
    } else {
        seen.body = wire.body(&seen.head).await?;
    }
    let at_backend = || test_bed.recorder.handshake(&mark);
    if step.expect.backend_close.is_some() {
        seen.backend_close = awaited(|| at_backend()?.closed).await;
    }
    seen.asked = at_backend().map(|handshake| handshake.head);
    seen.calls = calls(test_bed, case, step, past_calls).await;
    Ok(seen)
}

/// Calls since the step began. The gateway makes some of them in the background.
async fn calls(
    test_bed: &TestBed,
    case: &Case,
    step: &Step,
    past: usize,
) -> Vec<super::check::SeenCall> {
    let Some(wanted) = &step.expect.calls else {
        return Vec::new();
    };
    let calls = || test_bed.recorder.calls(&case.name).split_off(past);
    let all = || (calls().len() >= wanted.len()).then_some(());
    // The comparison reports missing calls.
    let _ = awaited(all).await;
    tokio::time::sleep(QUIET_TIME).await;
    calls()
}

async fn connect(test_bed: &TestBed, client: Option<TlsClient>) -> anyhow::Result<Wire> {
    let url = match client {
        None => &test_bed.gateway,
        Some(_) => test_bed
            .secure
            .as_ref()
            .context("--secure-gateway is missing")?,
    };
    let own = client.map(tls::client).transpose()?;
    let host = url.host_str().context("the gateway's URL has no host")?;
    let port = url
        .port_or_known_default()
        .context("the gateway's URL has no port")?;
    let address = (host.trim_matches(['[', ']']), port);
    let name = if own.is_some() { tls::NAME } else { host };
    let config = own.or_else(|| test_bed.tls.clone());
    let tls = config.map(|config| (name.to_owned(), config));
    Wire::connect(address, tls)
        .await
        .context("failed to connect to the gateway")
}

fn request(test_bed: &TestBed, case: &Case, step: &Step, mark: &str) -> anyhow::Result<String> {
    let asked = &step.request;
    let method = asked.method.as_deref().unwrap_or("GET");
    let own_path = format!("/{}", case.name);
    let path = asked.path.as_deref().unwrap_or(&own_path);
    let query = asked.query.as_ref().map(|query| format!("?{query}"));
    let query = query.unwrap_or_default();
    let host = asked.host.clone();
    let host = host.unwrap_or_else(|| test_bed.gateway.authority().to_owned());
    let mut lines = asked.upgrade.clone().unwrap_or_else(upgrade);
    lines.extend(asked.headers.clone());
    if !asked.subprotocols.is_empty() {
        let offer = asked.subprotocols.join(", ");
        lines.push(format!("Sec-WebSocket-Protocol: {offer}"));
    }
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let text =
        format!("{method} {path}{query} HTTP/1.1\r\nHost: {host}\r\n{MARK}: {mark}\r\n{lines}\r\n");
    let token = step.token.as_ref();
    let now = jiff::Timestamp::now().as_second();
    let token = token.map(|token| token::sign(token, now)).transpose()?;
    Ok(text
        .replace("<<key>>", KEY)
        .replace("<<run>>", &test_bed.run.to_string())
        .replace("<<token>>", &token.unwrap_or_default()))
}

/// What every upgrade has (RFC 6455 §4.1).
fn upgrade() -> Vec<String> {
    let lines = ["Connection: Upgrade", "Upgrade: websocket"].map(str::to_owned);
    let version = "Sec-WebSocket-Version: 13".to_owned();
    let key = format!("Sec-WebSocket-Key: {KEY}");
    [lines.to_vec(), vec![version, key]].concat()
}

/// Sends the frames of the step, and receives until the expected frames are there.
async fn exchange_frames(
    mut wire: Wire,
    step: &Step,
    seen: &mut Seen,
    kept: &mut HashMap<String, Wire>,
) -> anyhow::Result<()> {
    for frame in sent(step) {
        wire.send_frame(&frame.masked()).await?;
    }
    if step.abandon {
        drop(wire);
        return Ok(());
    }
    if !receive(&mut wire, step, seen).await? {
        return Ok(());
    }
    if seen.close.is_some() {
        // After a Close, the gateway may be gone.
        let _ = wire.send_frame(&Frame::close(1000, "").masked()).await;
        let _ = wire.shut_down().await;
        return Ok(());
    }
    match &step.keep {
        Some(name) => {
            kept.insert(name.clone(), wire);
            Ok(())
        }
        None => close(wire).await,
    }
}

/// Receives until a Close, or until the expected frames are there. False: the stream ended before.
async fn receive(wire: &mut Wire, step: &Step, seen: &mut Seen) -> anyhow::Result<bool> {
    let enough = match (&step.expect.close, wanted(step)) {
        (None, Some(wanted)) => wanted.len(),
        _ => usize::MAX,
    };
    while seen.close.is_none() && seen.frames.len() < enough {
        let what = format!("a frame behind {:?}", seen.frames);
        let Some(frame) = within(&what, async { Ok(wire.next_frame().await) }).await? else {
            return Ok(false);
        };
        match frame.closing() {
            Some(close) => seen.close = Some(close),
            None => seen.frames.push(frame),
        }
    }
    Ok(true)
}

/// Closes a tunnel and waits for the gateway's Close, which shows that the tunnel was still open.
async fn close(mut wire: Wire) -> anyhow::Result<()> {
    wire.send_frame(&Frame::close(1000, "").masked()).await?;
    let answered = async {
        loop {
            let frame = wire.frame().await?;
            if let Some((code, reason)) = frame.closing() {
                ensure!(code == 1000, "it was already closed: {code} {reason}");
                return Ok(());
            }
        }
    };
    within("the Close", answered).await?;
    // The gateway may be gone.
    let _ = wire.shut_down().await;
    Ok(())
}
