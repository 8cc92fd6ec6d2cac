//! Finds a backend that answers: one member of the pool after the other, until an answer begins.

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
use crate::backend::{self, Among, ConnectError, DialOutcome, Effect, Nobody, Seat, Turn, Verdict};
use crate::exchange::Destination;
use crate::exchange::upgrade::Key;
use crate::head::{InvalidHead, ReadHead, ReadHeadError, ResponseHead, read_final_response};
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::metrics::Phase;
use crate::telemetry::record::Record;
use tidegate_config::error_chain;
use tidegate_tunnel::transport::Transport;

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
    outcome: DialOutcome,
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
            return asked.map_err(|failure| masked(visit, failure.refusal));
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
                let (outcome, reason) = outcome_of(&reached);
                let (seat, effect) = choice.ended(outcome, std::time::Instant::now());
                tell(visit, effect, reason);
                reached.seat = Some(seat);
                return Ok(reached);
            }
            Err(Failure { refusal, outcome }) => {
                let (_, effect) = choice.ended(outcome, std::time::Instant::now());
                tell(visit, effect, refusal.reason.as_str());
                let refusal = masked(visit, refusal);
                if !outcome.consequence().next_member {
                    return Err(refusal);
                }
                last = Some(refusal);
            }
        }
    }
    Err(last.unwrap_or_else(|| timed_out("there is no backend to ask")))
}

/// How asking ended that got an answer; why it failed, if it did.
fn outcome_of(reached: &Reached) -> (DialOutcome, &'static str) {
    let invalid = Reason::BackendInvalidHandshake.as_str();
    match &reached.verdict {
        Verdict::Accepted => (DialOutcome::Accepted, ""),
        Verdict::Refused if reached.answer.status >= 500 => {
            (DialOutcome::ServerError, Reason::BackendRefused.as_str())
        }
        Verdict::Refused => (DialOutcome::Refused, ""),
        Verdict::Invalid(backend::Fault::Status(200..)) => (DialOutcome::NoHandshake, invalid),
        Verdict::Invalid(fault) if fault.is_negotiation() => (DialOutcome::BadNegotiation, invalid),
        Verdict::Invalid(_) => (DialOutcome::BrokenAnswer, invalid),
    }
}

/// What the log shows of the backend's words, without the client's secrets.
pub(super) fn masked(visit: &mut Visit, mut refusal: Refusal) -> Refusal {
    let exchange = &mut visit.exchange;
    exchange.add_credentials();
    refusal.detail = refusal.detail.map(|detail| exchange.masked(&detail));
    refusal
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

    fn due(self, patience: Duration) -> Due {
        let own = Instant::now() + patience;
        Due {
            at: self.end.min(own),
            is_own: own <= self.end,
        }
    }
}

/// When a backend must be done.
#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    /// Has it then had all the time that is its own?
    is_own: bool,
}

impl Due {
    /// What it says of a backend that it passed.
    const fn passed(self, otherwise: DialOutcome) -> DialOutcome {
        if self.is_own {
            otherwise
        } else {
            DialOutcome::OutOfTime
        }
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
    let request = backend::encode_request(upstream, &key);
    let mut received = 0;
    let max_head = visit.api.way.max_answer_head;
    let answering = exchange_heads(&mut backend, &request, max_head, &mut received);
    let due = limits.due(limits.handshake);
    let answered = timeout_at(due.at, answering).await;
    let begun = received > 0;
    let ReadHead { head: answer, rest } = match answered {
        Ok(answered) => answered.map_err(|error| unreadable(&error, begun))?,
        Err(_) => {
            return Err(Failure {
                refusal: timed_out("the backend did not answer in time"),
                outcome: due.passed(unfinished(begun)),
            });
        }
    };
    record.phase(Phase::Backend);
    Ok(Reached {
        backend,
        verdict: backend::judge(&answer, &key, &upstream.headers),
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
    let connecting = backend::connect(&server.resolver, &upstream.target, &api.way, name);
    let due = limits.due(limits.connect);
    let (refusal, outcome) = match timeout_at(due.at, connecting).await {
        Ok(Ok(backend)) => return Ok(backend),
        Ok(Err(error)) => connect_failed(&error),
        Err(_) => (
            timed_out("the backend could not be connected to in time"),
            due.passed(DialOutcome::NoConnection),
        ),
    };
    Err(Failure { refusal, outcome })
}

/// `received` is above 0 once anything of the answer is here.
async fn exchange_heads(
    backend: &mut Transport,
    request: &[u8],
    max_head: usize,
    received: &mut usize,
) -> Result<ReadHead<ResponseHead>, ReadHeadError> {
    let gone = |source| ReadHeadError::Gone {
        received: 0,
        source: Some(source),
    };
    backend.write_all(request).await.map_err(gone)?;
    backend.flush().await.map_err(gone)?;
    read_final_response(backend, max_head, received).await
}

/// Zero would mean that nobody waits; the schema does not allow it, an embedder might.
fn patience(configured: Option<tidegate_config::Duration>) -> Duration {
    const LONG: Duration = Duration::from_secs(3600);
    configured
        .and_then(|duration| duration.enabled())
        .unwrap_or(LONG)
}

fn connect_failed(error: &ConnectError) -> (Refusal, DialOutcome) {
    let (reason, message, outcome) = match error {
        ConnectError::Resolve(..) | ConnectError::Connect(..) | ConnectError::Forbidden(..) => (
            Reason::BackendConnectFailed,
            "Backend connection failed",
            DialOutcome::NoConnection,
        ),
        ConnectError::ResolveProxy(..)
        | ConnectError::ConnectProxy(..)
        | ConnectError::ForbiddenProxy(..)
        | ConnectError::Tunnel(..) => (
            Reason::BackendProxyFailed,
            "Backend proxy failed",
            DialOutcome::NoConnection,
        ),
        ConnectError::Name(_) | ConnectError::Tls(..) => (
            Reason::BackendTlsFailed,
            "Backend TLS failed",
            DialOutcome::NoTls,
        ),
    };
    let refusal = Refusal::new(502, reason, Origin::Backend, message).detail(error_chain(error));
    (refusal, outcome)
}

fn timed_out(detail: &str) -> Refusal {
    let message = "Backend timed out";
    Refusal::new(504, Reason::BackendTimeout, Origin::Backend, message).detail(detail)
}

/// An answer of which no byte came, or not all.
const fn unfinished(begun: bool) -> DialOutcome {
    if begun {
        DialOutcome::AnswerBrokeOff
    } else {
        DialOutcome::NoAnswer
    }
}

/// An answer that could not be read; `begun`: some of it is here.
fn unreadable(error: &ReadHeadError, begun: bool) -> Failure {
    let detail = error_chain(error);
    let (refusal, outcome) = match error {
        ReadHeadError::Gone { .. } => (invalid_handshake(detail), unfinished(begun)),
        ReadHeadError::InvalidAnswer { fault, .. } if is_too_large(*fault) => {
            (head_too_large(detail), DialOutcome::HeadTooLarge)
        }
        ReadHeadError::InvalidAnswer { .. } | ReadHeadError::Invalid(_) => {
            (invalid_handshake(detail), DialOutcome::BrokenAnswer)
        }
    };
    Failure { refusal, outcome }
}

const fn is_too_large(fault: InvalidHead) -> bool {
    matches!(
        fault,
        InvalidHead::AnswerTooLarge(_) | InvalidHead::TooManyFields
    )
}

fn head_too_large(detail: String) -> Refusal {
    let message = "Backend response header fields too large: limits.maxResponseHeaderBytes";
    let reason = Reason::BackendHeadTooLarge;
    Refusal::new(502, reason, Origin::Backend, message).detail(detail)
}
