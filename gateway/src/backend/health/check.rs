//! One health check: asks a backend as a handshake does, but without a client and policies.

use http::HeaderMap;
use tidegate_config::HealthCheckType;
use tokio::io::AsyncWriteExt as _;

use super::Target;
use crate::backend::{self, Resolver, Verdict};
use crate::exchange::BackendUrl;
use crate::exchange::Upstream;
use crate::exchange::hop::Hop;
use crate::exchange::upgrade::Key;
use crate::head::{ResponseHead, read_final_response};
use tidegate_config::error_chain;
use tidegate_tunnel::frame::write_close;
use tidegate_tunnel::transport::Transport;

/// RFC 6455 §7.4.1.
const NORMAL: u16 = 1000;

/// Checks a backend. The caller sets the time limit.
///
/// # Errors
/// Why the backend is unhealthy, for the log.
pub(super) async fn check(
    target: &Target,
    url: &BackendUrl,
    resolver: &Resolver,
    hop: &Hop,
) -> Result<(), String> {
    let name = target.connect_options.tls.server_name.as_ref();
    let connected = backend::connect(resolver, url, &target.connect_options, name).await;
    let mut backend = connected.map_err(|error| error_chain(&error))?;
    match target.rule.kind {
        HealthCheckType::Tcp => Ok(()),
        HealthCheckType::Http => http(&mut backend, target, url, hop).await,
        HealthCheckType::WebSocket => web_socket(&mut backend, target, url, hop).await,
    }
}

async fn http(
    backend: &mut Transport,
    target: &Target,
    url: &BackendUrl,
    hop: &Hop,
) -> Result<(), String> {
    let path = target.rule.path.as_deref().unwrap_or("/");
    let own;
    let host = match target.host.as_deref() {
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
    let answer = ask(backend, request.as_bytes(), target).await?;
    match answer.status {
        200..400 => Ok(()),
        status => Err(format!("it answered with status {status}")),
    }
}

async fn web_socket(
    backend: &mut Transport,
    target: &Target,
    url: &BackendUrl,
    hop: &Hop,
) -> Result<(), String> {
    let mut asked = url.clone();
    if let Some(path) = &target.rule.path {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path.as_str(), None),
        };
        path.clone_into(&mut asked.path);
        asked.query = query;
    }
    let mut headers = HeaderMap::with_capacity(1);
    hop.mark(&mut headers);
    let mut upstream = Upstream::new(&asked, None, "", headers);
    upstream.host_header.clone_from(&target.host);
    let key = Key::random();
    let answer = ask(backend, &backend::encode_request(&upstream, &key), target).await?;
    match backend::judge(&answer, &key, &upstream.headers) {
        Verdict::Accepted => {}
        // The check offers no subprotocol; a server that selects one nevertheless is healthy.
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
    // The backend is healthy; the close frame is a courtesy.
    let _ = backend.write_all(&close).await;
    let _ = backend.shutdown().await;
    Ok(())
}

async fn ask(
    backend: &mut Transport,
    request: &[u8],
    target: &Target,
) -> Result<ResponseHead, String> {
    let broke = |error: std::io::Error| format!("the connection broke: {error}");
    backend.write_all(request).await.map_err(broke)?;
    backend.flush().await.map_err(broke)?;
    let read = read_final_response(backend, target.connect_options.max_answer_head, &mut 0).await;
    read.map(|read| read.head)
        .map_err(|error| error_chain(&error))
}
