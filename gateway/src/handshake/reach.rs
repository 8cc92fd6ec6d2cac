//! Finds a backend that answers: one member of the pool after the other, until an answer begins.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use tidegate_config::ApiTimeouts;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::Server;
use super::admit::Visit;
use super::open::invalid_handshake;
use crate::chain::text_of;
use crate::dial::{self, Among, Choice, ConnectError, Effect, Nobody, Seat, Turn, Verdict};
use crate::exchange::Destination;
use crate::head::{ReadHeadError, ResponseHead, read_response};
use crate::metrics::Phase;
use crate::record::Record;
use crate::refusal::{Origin, Reason, Refusal};
use crate::transport::Transport;
use crate::upgrade::Key;

/// Largest head of a backend's answer: what browsers and proxies accept as well.
const MAX_ANSWER: usize = 16 * 1024;

/// Interim answers (RFC 9110 §15.2) before the real one; a backend that sends more is broken.
const MAX_INTERIM: usize = 8;

/// A backend that answered, whatever it said.
pub(super) struct Reached {
    pub(super) backend: Transport,
    pub(super) answer: ResponseHead,
    /// What came behind the answer.
    pub(super) rest: Bytes,
    pub(super) verdict: Verdict,
    /// Its place in the pool; none where a policy chose another backend.
    pub(super) seat: Option<Seat>,
}

/// Why there is no answer.
struct Failure {
    refusal: Refusal,
    /// Had the answer begun? Then nobody else is asked: the backend may have acted on it.
    begun: bool,
}

/// Asks the backend that a policy chose, or the pool's members until one answers. All of it takes
/// no longer than one connect and one handshake may.
pub(super) async fn reach(
    server: &Server,
    visit: &mut Visit,
    record: &mut Record,
) -> Result<Reached, Refusal> {
    let deadline = visit.exchange.evaluation.deadline;
    let limits = Limits::new(visit.api.config.timeouts.or(ApiTimeouts::DEFAULT), deadline);
    let only = match visit.exchange.upstream.destination() {
        Destination::Elsewhere => {
            let asked = ask(server, visit, limits, record).await;
            return asked.map_err(|failure| failure.refusal);
        }
        Destination::Pool => None,
        Destination::Member(index) => Some(index),
    };
    let pool = match visit.exchange.evaluation.is_dry_run() {
        // Neither a place nor the one trial of a circuit that is half open, nor a verdict.
        true => Arc::new(visit.api.pool.apart()),
        false => Arc::clone(&visit.api.pool),
    };
    let mut tried = Vec::new();
    let mut last: Option<Refusal> = None;
    loop {
        if last.is_some() && (only.is_some() || Instant::now() >= limits.end) {
            break;
        }
        let among = only.map_or(Among::AllBut(&tried), Among::Only);
        let choice = match pool.choose(among, std::time::Instant::now()) {
            Ok(choice) => choice,
            Err(nobody) => {
                last = last.or_else(|| open_circuit(nobody));
                break;
            }
        };
        tried.push(choice.index);
        visit.exchange.upstream.relocate(choice.url);
        match ask(server, visit, limits, record).await {
            Ok(mut reached) => {
                reached.seat = Some(learn_from_answer(choice, &reached, visit));
                return Ok(reached);
            }
            Err(failure) => {
                let effect = choice.failed(std::time::Instant::now());
                tell(visit, effect, failure.refusal.reason.as_str());
                if failure.begun {
                    return Err(failure.refusal);
                }
                last = Some(failure.refusal);
            }
        }
    }
    Err(last.unwrap_or_else(|| timed_out("there is no backend to ask")))
}

/// An answer shows that somebody is there; whether it is well is another matter.
fn learn_from_answer(choice: Choice<'_>, reached: &Reached, visit: &Visit) -> Seat {
    let ailment = match reached.verdict {
        Verdict::Refused if reached.answer.status >= 500 => Some(Reason::BackendRefused),
        Verdict::Accepted | Verdict::Refused => None,
        Verdict::Invalid(_) => Some(Reason::BackendInvalidHandshake),
    };
    let (seat, effect) = match ailment {
        Some(_) => choice.ailing(std::time::Instant::now()),
        None => choice.worked(),
    };
    tell(visit, effect, ailment.map_or("", Reason::as_str));
    seat
}

/// What became different is logged and counted.
fn tell(visit: &Visit, effect: Effect, reason: &'static str) {
    if visit.exchange.evaluation.is_dry_run() {
        return;
    }
    let api = &visit.api;
    let backend = visit.exchange.upstream.target.authority();
    if let Some(absence) = effect.absence.filter(|_| api.pool.has_choice()) {
        tracing::warn!(
            api = %api.config.key,
            backend,
            reason,
            seconds = absence.as_secs(),
            "a backend of the pool failed and is set aside"
        );
    }
    match effect.circuit {
        None => {}
        Some(Turn::Opened(time)) => {
            api.metrics.circuit_opened();
            tracing::warn!(
                api = %api.config.key,
                backend,
                reason,
                seconds = time.as_secs(),
                "the circuit of a backend opened"
            );
        }
        Some(Turn::Closed) => {
            tracing::info!(api = %api.config.key, backend, "the circuit of a backend closed");
        }
    }
}

/// Nobody was asked, so that those who keep failing are left in peace.
fn open_circuit(nobody: Nobody) -> Option<Refusal> {
    let Nobody::Open(left) = nobody else {
        return None;
    };
    // Rounded up: whoever comes back at the full second finds it passed.
    let seconds = left.as_millis().div_ceil(1000).max(1);
    let refusal = Refusal::new(
        503,
        Reason::BackendCircuitOpen,
        Origin::Backend,
        "Backend is not available",
    );
    let retry = HeaderValue::from_str(&seconds.to_string()).ok()?;
    Some(refusal.header(RETRY_AFTER, retry))
}

/// How long things may take.
#[derive(Clone, Copy)]
struct Limits {
    connect: Duration,
    handshake: Duration,
    end: Instant,
}

impl Limits {
    fn new(timeouts: ApiTimeouts, deadline: Option<Instant>) -> Self {
        let connect = patience(timeouts.connect);
        let handshake = patience(timeouts.backend_handshake);
        let end = Instant::now() + connect + handshake;
        Self {
            connect,
            handshake,
            end: deadline.map_or(end, |deadline| deadline.min(end)),
        }
    }

    fn deadline(self, patience: Duration) -> Instant {
        self.end.min(Instant::now() + patience)
    }
}

/// Connects to the exchange's target, sends our handshake and reads the answer to it.
async fn ask(
    server: &Server,
    visit: &Visit,
    limits: Limits,
    record: &mut Record,
) -> Result<Reached, Failure> {
    let upstream = &visit.exchange.upstream;
    record.backend(upstream.target.authority());
    let mut backend = connect(server, visit, limits).await?;
    record.phase(Phase::Connect);
    let key = Key::random();
    let request = dial::encode_request(upstream, &key);
    let mut received = 0;
    let answering = exchange_heads(&mut backend, &request, &mut received);
    let answered = timeout_at(limits.deadline(limits.handshake), answering)
        .await
        .unwrap_or_else(|_| Err(timed_out("the backend did not answer in time")));
    let begun = received > 0;
    let (answer, rest) = answered.map_err(|refusal| Failure { refusal, begun })?;
    record.phase(Phase::Backend);
    Ok(Reached {
        backend,
        verdict: dial::judge(&answer, &key, &upstream.headers),
        answer,
        rest,
        seat: None,
    })
}

async fn connect(server: &Server, visit: &Visit, limits: Limits) -> Result<Transport, Failure> {
    let api = &visit.api;
    let upstream = &visit.exchange.upstream;
    // The name is that of the API's own backend; another one has its own.
    let own_name = api.way.tls.server_name.as_ref();
    let name = own_name.filter(|_| upstream.destination() != Destination::Elsewhere);
    let connecting = dial::connect(&server.resolver, &upstream.target, &api.way, name);
    let refusal = match timeout_at(limits.deadline(limits.connect), connecting).await {
        Ok(Ok(backend)) => return Ok(backend),
        Ok(Err(error)) => connect_failed(&error),
        Err(_) => timed_out("the backend could not be connected to in time"),
    };
    let begun = false;
    Err(Failure { refusal, begun })
}

/// `received` counts the bytes of the answer's head as they come.
async fn exchange_heads(
    backend: &mut Transport,
    request: &[u8],
    received: &mut usize,
) -> Result<(ResponseHead, Bytes), Refusal> {
    backend.write_all(request).await.map_err(gone)?;
    backend.flush().await.map_err(gone)?;
    let mut ahead = Bytes::new();
    for _ in 0..=MAX_INTERIM {
        let read = read_response(backend, ahead, MAX_ANSWER, received).await;
        let read = read.map_err(unreadable)?;
        if read.head.status >= 200 || read.head.status == 101 {
            return Ok((read.head, read.rest));
        }
        ahead = read.rest;
    }
    Err(invalid_handshake("too many interim answers".to_owned()))
}

/// Zero would mean that nobody waits; the schema does not allow it, an embedder might.
fn patience(configured: Option<tidegate_config::Duration>) -> Duration {
    const LONG: Duration = Duration::from_secs(3600);
    configured
        .and_then(|duration| duration.enabled())
        .unwrap_or(LONG)
}

fn connect_failed(error: &ConnectError) -> Refusal {
    let (reason, message) = match error {
        ConnectError::Resolve(..) | ConnectError::Connect(..) | ConnectError::Forbidden(..) => {
            (Reason::BackendConnectFailed, "Backend connection failed")
        }
        ConnectError::ResolveProxy(..)
        | ConnectError::ConnectProxy(..)
        | ConnectError::ForbiddenProxy(..)
        | ConnectError::Tunnel(..) => (Reason::BackendProxyFailed, "Backend proxy failed"),
        ConnectError::Name(_) | ConnectError::Tls(..) => {
            (Reason::BackendTlsFailed, "Backend TLS failed")
        }
    };
    Refusal::new(502, reason, Origin::Backend, message).detail(text_of(error))
}

fn timed_out(detail: &str) -> Refusal {
    let message = "Backend timed out";
    Refusal::new(504, Reason::BackendTimeout, Origin::Backend, message).detail(detail)
}

fn gone(error: io::Error) -> Refusal {
    invalid_handshake(format!("the connection broke: {error}"))
}

fn unreadable(error: ReadHeadError) -> Refusal {
    invalid_handshake(text_of(&error))
}
