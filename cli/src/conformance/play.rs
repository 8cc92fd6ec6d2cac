//! Plays cases against a gateway.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tidegate_config::error_chain;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::Url;

use super::case::{Case, Step, TlsClient};
use super::check::{Seen, differences, sent, wanted};
use super::frame::Frame;
use super::recorder::{MARK, Recorder, awaited};
use super::wire::{Wire, within};
use super::{tls, token};

/// Example of RFC 6455 §1.3: nothing here depends on it being random.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Longest wait for what must not come: frames behind the last wanted one, more calls.
const SETTLE: std::time::Duration = std::time::Duration::from_millis(50);

/// A gateway to play against.
#[derive(Clone)]
pub struct Stage {
    /// `ws://` or `wss://` with host and port.
    pub gateway: Url,
    /// `wss://` of its listener for TLS, where cases about that are played.
    pub secure: Option<Url>,
    /// For `gateway`, when that is `wss://`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What the gateway's backends are.
    pub recorder: Arc<Recorder>,
    /// Unlike in other runs, for keys of limits: the gateway may remember those.
    pub run: u32,
}

/// Plays a case to its end; every difference, with the number of its step.
pub async fn play(stage: &Stage, case: &Case) -> Vec<String> {
    stage.recorder.serve(case);
    let mut kept = HashMap::new();
    let mut found = Vec::new();
    for (number, step) in (1..).zip(&case.steps) {
        let seen = act(stage, case, step, &mut kept).await;
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
    stage: &Stage,
    case: &Case,
    step: &Step,
    kept: &mut HashMap<String, Wire>,
) -> anyhow::Result<Seen> {
    if let Some(name) = &step.close {
        let wire = kept
            .remove(name)
            .context("no tunnel of this name is kept")?;
        part(wire).await?;
    }
    tokio::time::sleep(step.wait.get()).await;
    let past_calls = stage.recorder.calls(&case.name).len();
    let mark = format!("{}-{:08x}", case.name, rand::random::<u32>());
    stage.recorder.script(&mark, &step.backend);
    let mut wire = connect(stage, step.tls).await?;
    wire.send(request(stage, case, step, &mark)?.as_bytes())
        .await?;
    let head = wire.head().await?;
    let accept = head.get("sec-websocket-accept");
    let mut seen = Seen {
        accepted: accept == Some(derive_accept_key(KEY.as_bytes())),
        head,
        ..Seen::default()
    };
    if seen.head.status() == 101 {
        converse(wire, step, &mut seen, kept).await?;
    } else {
        seen.body = wire.body(&seen.head).await?;
    }
    let at_backend = || stage.recorder.handshake(&mark);
    if step.expect.backend_close.is_some() {
        seen.backend_close = awaited(|| at_backend()?.closed).await;
    }
    seen.asked = at_backend().map(|handshake| handshake.head);
    seen.calls = calls(stage, case, step, past_calls).await;
    Ok(seen)
}

/// Calls since the step began. Some are made while nobody waits for them.
async fn calls(
    stage: &Stage,
    case: &Case,
    step: &Step,
    past: usize,
) -> Vec<super::check::SeenCall> {
    let Some(wanted) = &step.expect.calls else {
        return Vec::new();
    };
    let calls = || stage.recorder.calls(&case.name).split_off(past);
    let all = || (calls().len() >= wanted.len()).then_some(());
    // What is missing shows in the comparison.
    let _ = awaited(all).await;
    tokio::time::sleep(SETTLE).await;
    calls()
}

async fn connect(stage: &Stage, client: Option<TlsClient>) -> anyhow::Result<Wire> {
    let url = match client {
        None => &stage.gateway,
        Some(_) => stage.secure.as_ref().context("no secure listener")?,
    };
    let own = client.map(tls::client).transpose()?;
    let host = url.host_str().context("the gateway's URL has no host")?;
    let port = url
        .port_or_known_default()
        .context("the gateway's URL has no port")?;
    let address = (host.trim_matches(['[', ']']), port);
    within("a connection to the gateway", async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = if own.is_some() { tls::NAME } else { host };
        let Some(config) = own.or_else(|| stage.tls.clone()) else {
            return Ok(Wire::new(stream));
        };
        let name = rustls_pki_types::ServerName::try_from(name.to_owned())?;
        let connector = TlsConnector::from(config);
        Ok(Wire::new(connector.connect(name, stream).await?))
    })
    .await
}

fn request(stage: &Stage, case: &Case, step: &Step, mark: &str) -> anyhow::Result<String> {
    let asked = &step.request;
    let method = asked.method.as_deref().unwrap_or("GET");
    let own_path = format!("/{}", case.name);
    let path = asked.path.as_deref().unwrap_or(&own_path);
    let query = asked.query.as_ref().map(|query| format!("?{query}"));
    let query = query.unwrap_or_default();
    let host = asked.host.clone();
    let host = host.unwrap_or_else(|| stage.gateway.authority().to_owned());
    let usual = || {
        let lines = ["Connection: Upgrade", "Upgrade: websocket"].map(str::to_owned);
        let version = "Sec-WebSocket-Version: 13".to_owned();
        let key = format!("Sec-WebSocket-Key: {KEY}");
        [lines.to_vec(), vec![version, key]].concat()
    };
    let mut lines = asked.upgrade.clone().unwrap_or_else(usual);
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
        .replace("<<run>>", &stage.run.to_string())
        .replace("<<token>>", &token.unwrap_or_default()))
}

/// Sends what the step sends, and receives until it has what the step wants.
async fn converse(
    mut wire: Wire,
    step: &Step,
    seen: &mut Seen,
    kept: &mut HashMap<String, Wire>,
) -> anyhow::Result<()> {
    for frame in sent(step) {
        wire.send(&frame.bytes(Some(rand::random()))).await?;
    }
    if step.abandon {
        drop(wire);
        return Ok(());
    }
    let enough = match (&step.expect.close, wanted(step)) {
        (None, Some(wanted)) => wanted.len(),
        _ => usize::MAX,
    };
    while seen.close.is_none() && seen.frames.len() < enough {
        let what = format!("a frame behind {:?}", seen.frames);
        let Some(frame) = within(&what, wire.frame()).await? else {
            return Ok(());
        };
        match frame.closing() {
            Some(close) => seen.close = Some(close),
            None => seen.frames.push(frame),
        }
    }
    if seen.close.is_some() {
        let answer = Frame::close(1000).bytes(Some(rand::random()));
        // Whoever has closed may be gone.
        let _ = wire.send(&answer).await;
        wire.shut_down().await;
        return Ok(());
    }
    match &step.keep {
        Some(name) => {
            kept.insert(name.clone(), wire);
            Ok(())
        }
        None => part(wire).await,
    }
}

/// Closes a tunnel and waits for the answer, which tells that it was still open.
async fn part(mut wire: Wire) -> anyhow::Result<()> {
    let close = Frame::close(1000).bytes(Some(rand::random()));
    wire.send(&close).await?;
    let answered = async {
        loop {
            let frame = wire.frame().await?.context("the connection ended")?;
            if let Some((code, reason)) = frame.closing() {
                ensure!(code == 1000, "it was closed already: {code} {reason}");
                return Ok(());
            }
        }
    };
    within("the answer to a Close", answered).await?;
    wire.shut_down().await;
    Ok(())
}
