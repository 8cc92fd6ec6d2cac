//! One health check: asks a backend the way a handshake would, without a client and its policies.

use http::HeaderMap;
use tidegate_config::{ActiveHealthCheck, HealthCheckType};
use tokio::io::AsyncWriteExt as _;

use crate::chain::text_of;
use crate::dial::{self, BackendUrl, Resolver, Verdict};
use crate::exchange::Upstream;
use crate::frame::write_close;
use crate::head::{ResponseHead, read_final_response};
use crate::hop::Hop;
use crate::policy::HostHeader;
use crate::snapshot::Api;
use crate::transport::Transport;
use crate::upgrade::Key;

/// RFC 6455 §7.4.1.
const NORMAL: u16 = 1000;

/// Why the backend is not well, for the log. The caller sets the time limit.
pub(super) async fn check(
    api: &Api,
    (url, rule): (&BackendUrl, &ActiveHealthCheck),
    resolver: &Resolver,
    hop: &Hop,
) -> Result<(), String> {
    let name = api.way.tls.server_name.as_ref();
    let connected = dial::connect(resolver, url, &api.way, name).await;
    let mut backend = connected.map_err(|error| text_of(&error))?;
    match rule.kind {
        HealthCheckType::Tcp => Ok(()),
        HealthCheckType::Http => http(&mut backend, api, (url, rule), hop).await,
        HealthCheckType::WebSocket => web_socket(&mut backend, api, (url, rule), hop).await,
    }
}

async fn http(
    backend: &mut Transport,
    api: &Api,
    (url, rule): (&BackendUrl, &ActiveHealthCheck),
    hop: &Hop,
) -> Result<(), String> {
    let path = rule.path.as_deref().unwrap_or("/");
    let own;
    let host = match literal_host(api) {
        Some(host) => host,
        None => {
            own = url.authority();
            &own
        }
    };
    let via = String::from_utf8_lossy(hop.field().as_bytes());
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health-check\r\n\
         Via: {via}\r\nConnection: close\r\n\r\n"
    );
    let answer = ask(backend, request.as_bytes(), api).await?;
    match answer.status {
        200..400 => Ok(()),
        status => Err(format!("it answered with status {status}")),
    }
}

async fn web_socket(
    backend: &mut Transport,
    api: &Api,
    (url, rule): (&BackendUrl, &ActiveHealthCheck),
    hop: &Hop,
) -> Result<(), String> {
    let mut target = url.clone();
    if let Some(path) = &rule.path {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path.as_str(), None),
        };
        path.clone_into(&mut target.path);
        target.query = query;
    }
    let mut headers = HeaderMap::with_capacity(1);
    hop.mark(&mut headers);
    let mut upstream = Upstream::new(&target, None, "", headers);
    upstream.host_header = literal_host(api).map(str::to_owned);
    let key = Key::random();
    let answer = ask(backend, &dial::encode_request(&upstream, &key), api).await?;
    match dial::judge(&answer, &key, &upstream.headers) {
        Verdict::Accepted => {}
        // The check offers nothing; a server that names what it speaks nevertheless is well.
        Verdict::Invalid(fault) if fault.is_negotiation() => {}
        Verdict::Refused => {
            return Err(format!(
                "it refused the handshake with status {}",
                answer.status
            ));
        }
        Verdict::Invalid(fault) => return Err(fault.text(str::to_owned)),
    }
    let mut close = Vec::new();
    write_close(&mut close, Some(NORMAL), "", Some(rand::random()));
    // It is well already; the goodbye is a courtesy.
    let _ = backend.write_all(&close).await;
    let _ = backend.shutdown().await;
    Ok(())
}

/// A template has no request to read from here: the backend's own name stands in.
fn literal_host(api: &Api) -> Option<&str> {
    api.host_header.as_ref().and_then(HostHeader::literal)
}

async fn ask(backend: &mut Transport, request: &[u8], api: &Api) -> Result<ResponseHead, String> {
    let broke = |error: std::io::Error| format!("the connection broke: {error}");
    backend.write_all(request).await.map_err(broke)?;
    backend.flush().await.map_err(broke)?;
    let read = read_final_response(backend, api.way.max_answer_head, &mut 0).await;
    read.map(|read| read.head).map_err(|error| text_of(&error))
}
