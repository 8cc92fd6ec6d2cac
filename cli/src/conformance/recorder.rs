//! The recording backend. One port serves WebSockets as cases script them, the HTTP services that policies
//! call, and the token issuer; another port serves WebSockets over TLS.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tidegate_wire::frame::PONG;
use tidegate_wire::wait::WAIT_TIMEOUT;
use tidegate_wire::{Frame, Head, Wire};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::case::{BackendScript, Case, Service, ServiceAnswer};
use super::check::SeenCall;
use super::frame::FrameText;
use super::{tls, token};

/// Header that identifies a handshake at the backend.
pub(super) const MARK: &str = "X-Conformance";

/// The servers. They stop when the value is dropped.
pub struct Recorder {
    address: SocketAddr,
    tls_address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    scripts: Mutex<HashMap<String, BackendScript>>,
    handshakes: Mutex<HashMap<String, Handshake>>,
    services: Mutex<HashMap<String, Vec<Service>>>,
    calls: Mutex<HashMap<String, Vec<SeenCall>>>,
}

/// What reached the backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshake {
    pub(super) head: Head,
    /// Code of the Close that it received.
    pub(super) closed: Option<u16>,
}

impl Recorder {
    /// Binds the ports and starts serving. Port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// When a port cannot be bound.
    pub async fn start(address: IpAddr, port: u16, tls_port: u16) -> anyhow::Result<Self> {
        let state = Arc::new(State::default());
        let mut tasks = JoinSet::new();
        let (plain, address_plain) = bind(address, port).await?;
        let (secure, tls_address) = bind(address, tls_port).await?;
        tasks.spawn(serve(plain, None, Arc::clone(&state)));
        tasks.spawn(serve(
            secure,
            Some(TlsAcceptor::from(tls::server()?)),
            Arc::clone(&state),
        ));
        Ok(Self {
            address: address_plain,
            tls_address,
            state,
            _tasks: tasks,
        })
    }

    /// The bound address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bound address for TLS.
    pub const fn tls_address(&self) -> SocketAddr {
        self.tls_address
    }

    /// Serves the HTTP services of a case.
    pub(super) fn serve(&self, case: &Case) {
        let services = case.services.clone();
        lock(&self.state.services).insert(case.name.clone(), services);
    }

    /// Sets the response to the handshake with this mark.
    pub(super) fn script(&self, mark: &str, script: &BackendScript) {
        lock(&self.state.scripts).insert(mark.to_owned(), script.clone());
    }

    /// The handshake with this mark, if it arrived.
    pub(super) fn handshake(&self, mark: &str) -> Option<Handshake> {
        lock(&self.state.handshakes).get(mark).cloned()
    }

    /// The calls of a case's services so far.
    pub(super) fn calls(&self, case: &str) -> Vec<SeenCall> {
        let calls = lock(&self.state.calls);
        calls.get(case).cloned().unwrap_or_default()
    }
}

async fn bind(address: IpAddr, port: u16) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((address, port))
        .await
        .with_context(|| format!("failed to bind {address}:{port} for the recording backend"))?;
    let bound = listener
        .local_addr()
        .context("failed to read the address of the backend")?;
    Ok((listener, bound))
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let (tls, state) = (tls.clone(), Arc::clone(&state));
                // The client of the case sees when a connection fails.
                connections.spawn(async move { let _ = connection(stream, tls, &state).await; });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    state: &State,
) -> anyhow::Result<()> {
    let here = stream.local_addr()?;
    stream.set_nodelay(true)?;
    let mut wire = match tls {
        None => Wire::new(stream),
        Some(tls) => Wire::new(tls.accept(stream).await?),
    };
    let head = wire.head().await?;
    match head.joined("sec-websocket-key") {
        Some(key) => web_socket(wire, head, &key, state).await,
        None => http(wire, head, here, state).await,
    }
}

async fn web_socket(mut wire: Wire, head: Head, key: &str, state: &State) -> anyhow::Result<()> {
    let mark = head.joined(MARK).unwrap_or_default();
    let script = lock(&state.scripts).get(&mark).cloned();
    let script = script.unwrap_or_default();
    let offered = head.joined("sec-websocket-protocol");
    let handshake = Handshake { head, closed: None };
    lock(&state.handshakes).insert(mark.clone(), handshake);
    tokio::time::sleep(script.delay.get()).await;
    let status = script.status.unwrap_or(101);
    if status != 101 {
        return answer(&mut wire, status, &script.headers, &script.body).await;
    }
    let head = switching(&script, key, offered.as_deref());
    wire.send(head.as_bytes()).await?;
    tunnel(wire, &script, |code| {
        if let Some(handshake) = lock(&state.handshakes).get_mut(&mark) {
            handshake.closed = Some(code);
        }
    })
    .await
}

/// The 101, with the first subprotocol that the gateway offers.
fn switching(script: &BackendScript, key: &str, offered: Option<&str>) -> String {
    let mut lines = script.headers.clone();
    let accept = script.accept.clone();
    let accept = accept.unwrap_or_else(|| derive_accept_key(key.as_bytes()));
    lines.push(format!("Sec-WebSocket-Accept: {accept}"));
    if let Some(first) = offered.and_then(|all| all.split(',').next()) {
        lines.push(format!("Sec-WebSocket-Protocol: {}", first.trim()));
    }
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{lines}\r\n"
    )
}

/// Sends the frames of the script, then echoes until a Close.
async fn tunnel(
    mut wire: Wire,
    script: &BackendScript,
    closed: impl Fn(u16),
) -> anyhow::Result<()> {
    let mut has_closed = false;
    for frame in script.send.iter().map(FrameText::frame) {
        wire.send_frame(&frame).await?;
        has_closed |= frame.closing().is_some();
    }
    if script.abandon {
        return wire.shut_down().await;
    }
    while let Some(frame) = wire.next_frame().await {
        if let Some((code, _)) = frame.closing() {
            closed(code);
            if !has_closed {
                wire.send_frame(&Frame::close(code, "")).await?;
            }
            return wire.shut_down().await;
        }
        if !has_closed && frame.opcode != PONG {
            wire.send_frame(&frame.echoed()).await?;
        }
    }
    Ok(())
}

async fn http(mut wire: Wire, head: Head, here: SocketAddr, state: &State) -> anyhow::Result<()> {
    let body = wire.body(&head).await?;
    let target = head.target().to_owned();
    if let Some(path) = target.strip_prefix("/issuer") {
        let host = head.joined("host").unwrap_or_else(|| here.to_string());
        let json = [String::from("Content-Type: application/json")];
        return match token::published(path, &token::issuer(&host))? {
            Some(published) => answer(&mut wire, 200, &json, &published.to_string()).await,
            None => answer(&mut wire, 404, &[], "").await,
        };
    }
    let (case, path) = split(&target);
    let service = find(state, case, path);
    let call = SeenCall {
        path: path.to_owned(),
        head,
        body,
    };
    let past = note(state, case, call);
    let Some(service) = service else {
        return answer(&mut wire, 404, &[], "no such service").await;
    };
    match service.answers.get(past).or(service.answers.last()) {
        Some(found) => answer_as(&mut wire, found).await,
        None => Ok(()),
    }
}

/// Keeps a call; how many of the same path there were before.
fn note(state: &State, case: &str, call: SeenCall) -> usize {
    let mut calls = lock(&state.calls);
    let calls = calls.entry(case.to_owned()).or_default();
    let name = path_only(&call.path);
    let past = calls.iter().filter(|call| path_only(&call.path) == name);
    let past = past.count();
    calls.push(call);
    past
}

async fn answer_as(wire: &mut Wire, found: &ServiceAnswer) -> anyhow::Result<()> {
    let ServiceAnswer {
        status, headers, ..
    } = found;
    tokio::time::sleep(found.delay.get().min(WAIT_TIMEOUT)).await;
    match &found.json {
        None => answer(wire, *status, headers, &found.body).await,
        Some(json) => {
            let kind = "Content-Type: application/json".to_owned();
            let lines = [headers.clone(), vec![kind]].concat();
            answer(wire, *status, &lines, &json.to_string()).await
        }
    }
}

/// The name of the case and the rest of the target.
fn split(target: &str) -> (&str, &str) {
    let target = target.trim_start_matches('/');
    let end = target.find(['/', '?']).unwrap_or(target.len());
    target.split_at(end)
}

fn path_only(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

fn find(state: &State, case: &str, path: &str) -> Option<Service> {
    let services = lock(&state.services);
    let services = services.get(case)?.iter();
    let mut named = services.filter(|service| service.path == path_only(path));
    named.next().cloned()
}

async fn answer(wire: &mut Wire, status: u16, lines: &[String], body: &str) -> anyhow::Result<()> {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Status\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    wire.send((head + body).as_bytes()).await?;
    wire.shut_down().await
}

/// Nothing that could panic happens under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls until there is a value, at most for [`WAIT_TIMEOUT`].
pub(super) async fn awaited<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    const PAUSE: Duration = Duration::from_millis(20);
    let looking = async {
        loop {
            match look() {
                Some(found) => return found,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, looking).await.ok()
}
