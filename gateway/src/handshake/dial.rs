//! Finds a backend that answers: tries the pool's members one after another until one sends an answer that does
//! not send the handshake on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use tidegate_config::ApiTimeouts;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::Server;
use super::admit::RoutedRequest;
use super::open::invalid_handshake;
use super::timeouts::or_no_limit;
use crate::backend::{
    self, Candidates, Choice, ConnectError, DialOutcome, Effect, HealthRules, InFlightGuard,
    NoBackend, Pool, Transition, Verdict,
};
use crate::exchange::upgrade::Key;
use crate::exchange::{BackendUrl, Destination};
use crate::head::{InvalidHead, ReadHead, ReadHeadError, ResponseHead, read_final_response};
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::metrics::Phase;
use crate::telemetry::record::Record;
use tidegate_config::error_chain;
use tidegate_tunnel::transport::Transport;

/// A connection to a backend.
pub(super) struct BackendLeg {
    pub(super) transport: Transport,
    /// Bytes behind the head of its answer.
    pub(super) read_ahead: Bytes,
    /// Counts at its member of the pool; `None` where a policy chose another backend.
    pub(super) in_flight: Option<InFlightGuard>,
}

/// A backend that answered, whatever the answer is.
pub(super) struct BackendAnswer {
    pub(super) leg: BackendLeg,
    pub(super) head: ResponseHead,
    pub(super) verdict: Verdict,
}

/// Why there is no answer.
struct Failure {
    refusal: Refusal,
    outcome: DialOutcome,
}

/// Asks the backend that a policy chose, or the pool's members until one answers. All attempts together take
/// no longer than one connect timeout plus one handshake timeout.
///
/// # Errors
/// The refusal of the last attempt, if no member sent an answer; `backend_circuit_open` if no backend was asked.
pub(super) async fn dial(
    server: &Server,
    routed: &mut RoutedRequest,
    record: &mut Record,
) -> Result<BackendAnswer, Refusal> {
    let deadline = routed.exchange.evaluation.deadline;
    let limits = Limits::new(
        routed.api.config.timeouts.or(ApiTimeouts::DEFAULT),
        deadline,
    );
    let only = match routed.exchange.upstream.destination() {
        Destination::Elsewhere => {
            sign(routed)?;
            let asked = ask(server, routed, limits, record).await;
            return asked.map_err(|failure| masked(routed, failure.refusal));
        }
        Destination::Pool => None,
        Destination::Member(index) => Some(index),
    };
    let pool = match routed.exchange.evaluation.is_dry_run() {
        // A dry run neither counts as a tunnel nor uses the trial handshake of a half-open circuit.
        true => Arc::new(routed.api.pool.dry_run_copy()),
        false => Arc::clone(&routed.api.pool),
    };
    let mut tried = Vec::new();
    let mut best = Best::default();
    while best.is_empty() || (only.is_none() && Instant::now() < limits.end) {
        let candidates = only.map_or(Candidates::AllBut(&tried), Candidates::Only);
        let choice = match pool.choose(candidates, std::time::Instant::now()) {
            Ok(choice) => choice,
            Err(nobody) => {
                best.none_left(nobody);
                break;
            }
        };
        if !tried.is_empty() && !routed.exchange.evaluation.is_dry_run() {
            routed.api.metrics.handshake_retried();
        }
        tried.push(choice.index);
        routed.exchange.upstream.relocate(choice.url);
        sign(routed)?;
        let asked = ask(server, routed, limits, record).await;
        if !best.learn(asked, choice, (&*pool, &mut *routed)) {
            break;
        }
    }
    best.end(routed, record)
}

/// Signs the handshake with the backend that is asked next.
fn sign(routed: &mut RoutedRequest) -> Result<(), Refusal> {
    let signed = routed.exchange.upstream.sign(SystemTime::now());
    signed.map_err(|error| {
        let message = "Authentication to the backend failed";
        Refusal::new(502, Reason::BackendAuthFailed, Origin::Backend, message)
            .detail(error_chain(&error))
    })
}

/// What the client gets if no other member does better.
#[derive(Default)]
struct Best<'p> {
    /// A member's answer, and the member. It beats every failure to get one.
    answer: Option<(&'p BackendUrl, BackendAnswer)>,
    refusal: Option<Refusal>,
}

impl<'p> Best<'p> {
    fn is_empty(&self) -> bool {
        self.answer.is_none() && self.refusal.is_none()
    }

    /// No other member can be asked.
    fn none_left(&mut self, nobody: NoBackend) {
        if self.is_empty() {
            self.refusal = open_circuit(nobody);
        }
    }

    /// Records what asking a member gave. True: the handshake goes on to the next member.
    fn learn(
        &mut self,
        asked: Result<BackendAnswer, Failure>,
        choice: Choice<'p>,
        (pool, routed): (&Pool, &mut RoutedRequest),
    ) -> bool {
        let (now, url) = (std::time::Instant::now(), choice.url);
        match asked {
            Ok(mut answered) => {
                let (outcome, reason) = outcome_of(&answered, pool.rules());
                let ResponseHead {
                    status, headers, ..
                } = &answered.head;
                let wait = pool.rules().retry_after(*status, headers, Timestamp::now());
                let choice = choice.retry_after(wait);
                let (in_flight, effect) = choice.record_outcome(outcome, now);
                tell(routed, effect, reason);
                answered.leg.in_flight = Some(in_flight);
                self.answer = Some((url, answered));
                outcome.consequence().next_member
            }
            Err(Failure { refusal, outcome }) => {
                let (_, effect) = choice.record_outcome(outcome, now);
                tell(routed, effect, refusal.reason.as_str());
                self.refusal = Some(masked(routed, refusal));
                outcome.consequence().next_member
            }
        }
    }

    fn end(
        self,
        routed: &mut RoutedRequest,
        record: &mut Record,
    ) -> Result<BackendAnswer, Refusal> {
        let Some((url, answer)) = self.answer else {
            let refusal = self.refusal;
            return Err(refusal.unwrap_or_else(|| timed_out("there is no backend to ask")));
        };
        // Others may have been asked since.
        routed.exchange.upstream.relocate(url);
        record.answered_by(routed.exchange.upstream.target.authority());
        Ok(answer)
    }
}

/// The outcome of an attempt that got an answer, and the reason if it failed.
fn outcome_of(answered: &BackendAnswer, rules: &HealthRules) -> (DialOutcome, &'static str) {
    let invalid = Reason::BackendInvalidHandshake.as_str();
    match &answered.verdict {
        Verdict::Accepted => (DialOutcome::Accepted, ""),
        Verdict::Refused => (
            rules.outcome_of(answered.head.status),
            Reason::BackendRefused.as_str(),
        ),
        Verdict::Invalid(backend::Fault::Status(200..)) => (DialOutcome::NoHandshake, invalid),
        Verdict::Invalid(fault) if fault.is_negotiation() => (DialOutcome::BadNegotiation, invalid),
        Verdict::Invalid(_) => (DialOutcome::BrokenAnswer, invalid),
    }
}

/// The refusal with the client's secrets masked in its detail, which may quote the backend.
pub(super) fn masked(routed: &mut RoutedRequest, mut refusal: Refusal) -> Refusal {
    let exchange = &mut routed.exchange;
    exchange.add_credentials();
    refusal.detail = refusal.detail.map(|detail| exchange.masked(&detail));
    refusal
}

/// Logs and counts what the attempt changed.
fn tell(routed: &RoutedRequest, effect: Effect, reason: &'static str) {
    if routed.exchange.evaluation.is_dry_run() {
        return;
    }
    let api = &routed.api;
    let backend = routed.exchange.upstream.target.authority();
    if let Some(ejected_for) = effect.ejected_for.filter(|_| api.pool.has_choice()) {
        tracing::warn!(
            api = %api.config.key,
            backend,
            reason,
            seconds = ejected_for.as_secs(),
            "a backend of the pool failed and is ejected"
        );
    }
    match effect.circuit {
        None => {}
        Some(Transition::Opened(time)) => {
            api.metrics.circuit_opened();
            tracing::warn!(
                api = %api.config.key,
                backend,
                reason,
                seconds = time.as_secs(),
                "the circuit of a backend opened"
            );
        }
        Some(Transition::Closed) => {
            tracing::info!(api = %api.config.key, backend, "the circuit of a backend closed");
        }
    }
}

/// The refusal if all circuits are open, so that no backend was asked.
fn open_circuit(nobody: NoBackend) -> Option<Refusal> {
    let NoBackend::CircuitOpen(left) = nobody else {
        return None;
    };
    // Rounded up: a client that retries after the full seconds finds the circuit half open.
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

/// Time limits of the attempts.
#[derive(Clone, Copy)]
struct Limits {
    connect: Duration,
    handshake: Duration,
    end: Instant,
}

impl Limits {
    fn new(timeouts: ApiTimeouts, deadline: Option<Instant>) -> Self {
        let connect = timeout(timeouts.connect);
        let handshake = timeout(timeouts.backend_handshake);
        let end = Instant::now() + connect + handshake;
        Self {
            connect,
            handshake,
            end: deadline.map_or(end, |deadline| deadline.min(end)),
        }
    }

    fn due(self, timeout: Duration) -> AttemptDeadline {
        let own = Instant::now() + timeout;
        AttemptDeadline {
            at: self.end.min(own),
            is_own: own <= self.end,
        }
    }
}

/// When an attempt must be done.
#[derive(Clone, Copy)]
struct AttemptDeadline {
    at: Instant,
    /// Does the attempt then have had its whole timeout?
    is_own: bool,
}

impl AttemptDeadline {
    /// The outcome if the attempt is not done in time.
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
    routed: &RoutedRequest,
    limits: Limits,
    record: &mut Record,
) -> Result<BackendAnswer, Failure> {
    let upstream = &routed.exchange.upstream;
    record.backend(upstream.target.authority());
    let mut backend = connect(server, routed, limits).await?;
    record.phase(Phase::Connect);
    let key = Key::random();
    let request = backend::encode_request(upstream, &key);
    let mut received = 0;
    let max_head = routed.api.connect_options.max_answer_head;
    let answering = exchange_heads(&mut backend, &request, max_head, &mut received);
    let due = limits.due(limits.handshake);
    let answered = timeout_at(due.at, answering).await;
    let begun = received > 0;
    let ReadHead { head, read_ahead } = match answered {
        Ok(answered) => answered.map_err(|error| unreadable(&error, begun))?,
        Err(_) => {
            return Err(Failure {
                refusal: timed_out("the backend did not answer in time"),
                outcome: due.passed(unfinished(begun)),
            });
        }
    };
    record.phase(Phase::Backend);
    Ok(BackendAnswer {
        verdict: backend::judge(&head, &key, &upstream.headers),
        leg: BackendLeg {
            transport: backend,
            read_ahead,
            in_flight: None,
        },
        head,
    })
}

async fn connect(
    server: &Server,
    routed: &RoutedRequest,
    limits: Limits,
) -> Result<Transport, Failure> {
    let api = &routed.api;
    let upstream = &routed.exchange.upstream;
    // The name is that of the API's own backend; another one has its own.
    let own_name = api.connect_options.tls.server_name.as_ref();
    let name = own_name.filter(|_| upstream.destination() != Destination::Elsewhere);
    let connecting = backend::connect(
        &server.resolver,
        &upstream.target,
        &api.connect_options,
        name,
    );
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

/// `received` is above 0 once a part of the answer is here.
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

/// The schema does not allow 0, which means no limit; an embedder might set it.
fn timeout(configured: Option<tidegate_config::Duration>) -> Duration {
    or_no_limit(configured.and_then(|duration| duration.enabled()))
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

/// The outcome if no byte, or not all, of the answer came.
const fn unfinished(begun: bool) -> DialOutcome {
    if begun {
        DialOutcome::AnswerBrokeOff
    } else {
        DialOutcome::NoAnswer
    }
}

/// The failure if the answer could not be read; `begun`: a part of it is here.
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
