//! From the admitted request to the backend's valid answer: inbound policies, the backend's own
//! handshake, outbound policies.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_config::ApiTimeouts;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::Server;
use super::admit::Visit;
use crate::chain::text_of;
use crate::dial::{self, ConnectError, Verdict};
use crate::head::{ReadHeadError, ResponseHead, read_response};
use crate::metrics::Phase;
use crate::policy::Pipeline;
use crate::record::Record;
use crate::refusal::{Body, Origin, Reason, Refusal};
use crate::transport::Transport;
use crate::upgrade::{self, Key};

/// Largest head of a backend's answer: what browsers and proxies accept as well.
const MAX_ANSWER: usize = 16 * 1024;

/// Interim answers (RFC 9110 §15.2) before the real one; a backend that sends more is broken.
const MAX_INTERIM: usize = 8;

/// How long the body of a refusal may take once its head is there: it explains, and the client
/// waits for it.
const BODY_PATIENCE: Duration = Duration::from_secs(2);

/// A backend that has agreed.
pub(super) struct Opened {
    pub(super) backend: Transport,
    /// What came behind its answer.
    pub(super) rest: Bytes,
    /// Fields of the client's 101 besides our own.
    pub(super) answer: HeaderMap,
}

/// Asks the policies and the backend.
pub(super) async fn open(
    server: &Server,
    visit: &mut Visit,
    record: &mut Record,
) -> Result<Opened, Refusal> {
    let services = &server.shared.services;
    let Visit {
        api,
        product,
        exchange,
        ..
    } = visit;
    let pipeline: &Pipeline = match product {
        Some(product) => product.pipeline(api),
        None => &api.pipeline,
    };
    pipeline.inbound(exchange, services).await?;
    if let Some(allowed) = &api.config.subprotocols {
        upgrade::filter_subprotocols(&mut exchange.upstream.headers, allowed)?;
    }
    record.phase(Phase::Inbound);
    record.backend(exchange.upstream.target.authority());
    let timeouts = api.config.timeouts.or(ApiTimeouts::DEFAULT);
    let mut backend = connect(server, visit, timeouts).await?;
    record.phase(Phase::Connect);
    let key = Key::random();
    let sent = &visit.exchange.upstream;
    let request = dial::encode_request(sent, &key);
    let (answer, rest) = ask(&mut backend, &request, patience(timeouts.backend_handshake)).await?;
    record.phase(Phase::Backend);
    let verdict = dial::judge(&answer, &key, &sent.headers);
    if let Verdict::Invalid(fault) = verdict {
        return Err(invalid_handshake(format!(
            "status {}: {fault}",
            answer.status
        )));
    }
    let Visit {
        api,
        product,
        exchange,
        ..
    } = visit;
    let pipeline = match product {
        Some(product) => product.pipeline(api),
        None => &api.pipeline,
    };
    pipeline.outbound(exchange, &answer, services).await?;
    if verdict == Verdict::Refused {
        let body = dial::read_body(&mut backend, &answer, rest, BODY_PATIENCE).await;
        return Err(refused(answer, body));
    }
    let mut answer = passed_on(answer.headers);
    exchange.answer.apply(&mut answer);
    Ok(Opened {
        backend,
        rest,
        answer,
    })
}

async fn connect(
    server: &Server,
    visit: &Visit,
    timeouts: ApiTimeouts,
) -> Result<Transport, Refusal> {
    let Visit { api, exchange, .. } = visit;
    let upstream = &exchange.upstream;
    // The name is that of the API's own backend; another one has its own.
    let own_name = api.backend_tls.server_name.as_ref();
    let name = own_name.filter(|_| !upstream.is_redirected());
    let connecting = dial::connect(&server.resolver, &upstream.target, &api.backend_tls, name);
    match timeout(patience(timeouts.connect), connecting).await {
        Ok(Ok(backend)) => Ok(backend),
        Ok(Err(error)) => Err(connect_failed(&error)),
        Err(_) => Err(timed_out("the backend could not be connected to in time")),
    }
}

/// Sends our handshake and reads the answer to it, within `patience`.
async fn ask(
    backend: &mut Transport,
    request: &[u8],
    patience: Duration,
) -> Result<(ResponseHead, Bytes), Refusal> {
    let deadline = Instant::now() + patience;
    let asking = async {
        backend.write_all(request).await.map_err(gone)?;
        backend.flush().await.map_err(gone)?;
        let mut ahead = Bytes::new();
        for _ in 0..=MAX_INTERIM {
            let read = read_response(backend, ahead, MAX_ANSWER).await;
            let read = read.map_err(unreadable)?;
            if read.head.status >= 200 || read.head.status == 101 {
                return Ok((read.head, read.rest));
            }
            ahead = read.rest;
        }
        Err(invalid_handshake("too many interim answers".to_owned()))
    };
    timeout_at(deadline, asking)
        .await
        .unwrap_or_else(|_| Err(timed_out("the backend did not answer in time")))
}

/// Zero would mean that nobody waits; the schema does not allow it, an embedder might.
fn patience(configured: Option<tidegate_config::Duration>) -> Duration {
    const LONG: Duration = Duration::from_secs(3600);
    configured
        .and_then(|duration| duration.enabled())
        .unwrap_or(LONG)
}

fn passed_on(headers: HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(headers.len());
    let mut last = None;
    for (name, value) in headers {
        // A name comes with its first value only.
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|name| dial::is_passed_on(name)) {
            passed.append(name, value);
        }
    }
    passed
}

/// The backend's own answer, as the client's.
fn refused(answer: ResponseHead, bytes: Bytes) -> Refusal {
    let message = "Backend refused the handshake";
    let mut refusal = Refusal::new(
        answer.status,
        Reason::BackendRefused,
        Origin::Backend,
        message,
    );
    let mut last = None;
    for (name, value) in passed_on(answer.headers) {
        last = name.or(last);
        if let Some(name) = &last {
            refusal.headers.push((name.clone(), value));
        }
    }
    refusal.body = Some(Box::new(Body {
        content_type: None,
        bytes,
    }));
    refusal
}

fn connect_failed(error: &ConnectError) -> Refusal {
    let (reason, message) = match error {
        ConnectError::Resolve(..) | ConnectError::Connect(..) => {
            (Reason::BackendConnectFailed, "Backend connection failed")
        }
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

fn invalid_handshake(detail: String) -> Refusal {
    let message = "Backend handshake is invalid";
    Refusal::new(
        502,
        Reason::BackendInvalidHandshake,
        Origin::Backend,
        message,
    )
    .detail(detail)
}

fn gone(error: io::Error) -> Refusal {
    invalid_handshake(format!("the connection broke: {error}"))
}

fn unreadable(error: ReadHeadError) -> Refusal {
    invalid_handshake(text_of(&error))
}
