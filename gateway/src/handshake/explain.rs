//! Evaluates a handshake without a client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, HeaderValue};
use tidegate_config::Protocol;
use tokio::io::AsyncWriteExt;
use url::Url;

use super::admit::{self, IncomingRequest, RoutedRequest};
use super::open::{self, BackendAccepted};
use super::{InvalidQuestion, Question, Server, Shared, draining, refuse};
use crate::configuration::snapshot::{Port, Snapshot};
use crate::exchange::DryRun;
use crate::exchange::TlsInfo;
use crate::exchange::steps::{fields, outcome_of};
use crate::head::{RequestHead, parse_request};
use crate::policy::give_back;
use crate::refusal::Refusal;
use crate::telemetry::record::{Record, random_id};
use crate::telemetry::trace::{self, Access, Outcome, Route, Trace, TraceFrame};
use tidegate_tunnel::frame::write_close;

/// Evaluates handshakes without serving them.
pub(crate) struct Explainer(Server);

/// How far a handshake got.
enum End {
    /// No API was found.
    Nowhere(Refusal),
    Somewhere(Box<RoutedRequest>, Option<Access>, Outcome),
}

impl Explainer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(Server::new(shared))
    }

    /// Evaluates a handshake with the configuration in use.
    ///
    /// # Errors
    /// [`InvalidQuestion`]: the question does not describe a request, or the gateway has no listener.
    pub(crate) async fn explain(&self, question: &Question) -> Result<Trace, InvalidQuestion> {
        let snapshot = self.0.shared.snapshot.load_full();
        let head = request(question)?;
        let url = Url::parse(&question.url).ok();
        let port = port(&snapshot, url.as_ref(), &head).ok_or(InvalidQuestion::NoListener)?;
        let id = random_id().to_string();
        let ip = question.client.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let end = self.run(&snapshot, port, incoming(&id, ip, port, head), question);
        Ok(match end.await? {
            End::Nowhere(refusal) => Trace {
                id,
                gateway: snapshot.settings.key.to_string(),
                request: trace::Request {
                    url: trace::without_query(&question.url),
                    client: ip.to_string(),
                },
                route: None,
                access: None,
                steps: Vec::new(),
                backend: None,
                outcome: Outcome::Refused(outcome_of(&refusal)),
            },
            End::Somewhere(mut routed, access, outcome) => {
                let exchange = &mut routed.exchange;
                let frame = TraceFrame {
                    route: Route::of(&routed.listener, exchange),
                    access,
                    outcome,
                };
                frame.complete(exchange)
            }
        })
    }

    async fn run(
        &self,
        snapshot: &Snapshot,
        port: &Port,
        incoming: IncomingRequest,
        question: &Question,
    ) -> Result<End, InvalidQuestion> {
        let server = &self.0;
        if let Err(refusal) = draining(server) {
            return Ok(End::Nowhere(refusal));
        }
        let incoming = match with_key(snapshot, port, incoming, question)? {
            Ok(incoming) => incoming,
            Err(refusal) => return Ok(End::Nowhere(refusal)),
        };
        let mut routed = match admit::route(snapshot, port, incoming) {
            Ok(routed) => Box::new(routed),
            Err(refusal) => return Ok(End::Nowhere(refusal)),
        };
        if let Err(refusal) = snapshot.hop.check(&routed.exchange.request.headers) {
            return Ok(End::Nowhere(refusal));
        }
        trace::begin(&mut routed.exchange);
        routed.exchange.evaluation.trace = Some(Vec::new());
        routed.exchange.evaluation.dry_run = Some(DryRun::default());
        let admission = admit::admit(server, snapshot, &mut routed, None);
        let access = admission.is_ok().then(|| Access::of(&routed.exchange));
        let outcome = match &admission {
            Ok(_) if question.dial => dialled(server, &mut routed).await,
            Ok(_) => open::prepare(server, &mut routed)
                .await
                .map(|()| Outcome::WouldDial),
            Err(refusal) => Err(refusal.clone()),
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(refusal) => {
                let refusal = refuse(server, &mut routed, refusal).await;
                Outcome::Refused(outcome_of(&refusal))
            }
        };
        give_back(&mut routed.exchange, &server.shared.services);
        Ok(End::Somewhere(routed, access, outcome))
    }
}

/// Asks the backend and closes the connection.
async fn dialled(server: &Server, routed: &mut RoutedRequest) -> Result<Outcome, Refusal> {
    let BackendAccepted { leg, answer } = open::open(server, routed, &mut Record::silent()).await?;
    let mut backend = leg.transport;
    let mut bytes = Vec::new();
    write_close(&mut bytes, Some(1000), "", Some(rand::random()));
    // The close frame is a courtesy: the backend may be gone already.
    let _ = backend.write_all(&bytes).await;
    let _ = backend.shutdown().await;
    Ok(Outcome::Accepted {
        headers: fields(&answer),
    })
}

/// Puts the key into the header that the API reads it from.
fn with_key(
    snapshot: &Snapshot,
    port: &Port,
    mut incoming: IncomingRequest,
    question: &Question,
) -> Result<Result<IncomingRequest, Refusal>, InvalidQuestion> {
    let Some(key) = &question.key else {
        return Ok(Ok(incoming));
    };
    let names = match admit::route(snapshot, port, incoming.clone()) {
        Ok(routed) => routed.api.config.subscription_key.clone(),
        Err(refusal) => return Ok(Err(refusal)),
    };
    let invalid = || InvalidQuestion::Header("the subscription key".to_owned());
    let name = HeaderName::from_bytes(names.header.as_bytes()).map_err(|_| invalid())?;
    let mut value = HeaderValue::from_str(key).map_err(|_| invalid())?;
    value.set_sensitive(true);
    incoming.request.headers.insert(name, value);
    Ok(Ok(incoming))
}

/// The port that a client of this URL reaches: the one that the URL names; else one with its scheme, because
/// a Service or a load balancer may have another number; else any, because TLS may end before the gateway.
/// Of several ports, one that has the route.
fn port<'a>(
    snapshot: &'a Snapshot,
    url: Option<&Url>,
    head: &RequestHead,
) -> Option<&'a Arc<Port>> {
    let number = url.and_then(Url::port_or_known_default);
    if let Some(port) = number.and_then(|number| snapshot.ports.get(&number)) {
        return Some(port);
    }
    let is_secure = url.is_some_and(|url| url.scheme() == "wss");
    let wanted = if is_secure {
        Protocol::Wss
    } else {
        Protocol::Ws
    };
    let routes = |port: &&Arc<Port>| {
        let listener = port.listener(&head.host);
        listener.is_some_and(|listener| listener.router.find(&head.host, &head.path).is_ok())
    };
    let speaks = |port: &&Arc<Port>| port.protocol == wanted;
    let ports = || snapshot.ports.values();
    ports()
        .find(|port| speaks(port) && routes(port))
        .or_else(|| ports().find(speaks))
        .or_else(|| ports().find(routes))
        .or_else(|| ports().next())
}

fn incoming(id: &str, ip: IpAddr, port: &Port, request: RequestHead) -> IncomingRequest {
    let address = SocketAddr::new(ip, 0);
    let tls = (port.protocol == Protocol::Wss).then(|| TlsInfo {
        version: "1.3",
        sni: Some(request.host.clone()),
        demand: port
            .tls(Some(&request.host))
            .and_then(|tls| tls.client_auth.as_ref())
            .map(|auth| auth.demand),
        certificate: None,
    });
    IncomingRequest {
        id: id.to_owned(),
        request,
        peer: address,
        address,
        tls,
    }
}

/// The request head as a client would send it, parsed like one.
fn request(question: &Question) -> Result<RequestHead, InvalidQuestion> {
    let invalid = || InvalidQuestion::Url(trace::without_query(&question.url));
    // Routes match the raw path, so it must not be normalised.
    let rest = question.url.split_once("://");
    let (_, rest) = rest
        .filter(|(scheme, _)| ["ws", "wss"].contains(scheme))
        .ok_or_else(invalid)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.is_empty() || authority.contains('@') {
        return Err(invalid());
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    let mut text = format!("GET {slash}{target} HTTP/1.1\r\n");
    let mut named = Vec::new();
    for (name, value) in &question.headers {
        let header = HeaderName::from_bytes(name.as_bytes());
        let header = header.map_err(|_| InvalidQuestion::Header(name.clone()))?;
        HeaderValue::from_str(value).map_err(|_| InvalidQuestion::Header(name.clone()))?;
        text.push_str(&format!("{name}: {value}\r\n"));
        named.push(header);
    }
    for (name, value) in [
        (HOST, authority),
        (UPGRADE, "websocket"),
        (CONNECTION, "Upgrade"),
        (SEC_WEBSOCKET_VERSION, "13"),
        // Any 16 bytes: nobody answers this key.
        (SEC_WEBSOCKET_KEY, "AAAAAAAAAAAAAAAAAAAAAA=="),
    ] {
        if !named.contains(&name) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text.push_str("\r\n");
    parse_request(&Bytes::from(text)).map_err(|error| InvalidQuestion::Request(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(url: &str, headers: &[(&str, &str)]) -> Question {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Question {
            url: url.to_owned(),
            headers: headers.iter().map(owned).collect(),
            key: None,
            client: None,
            dial: false,
        }
    }

    #[test]
    fn a_question_becomes_the_request_of_a_client() {
        let asked = question(
            "wss://Edge.test:81/a/%61?b=1",
            &[("X-A", "b"), ("Host", "x.test")],
        );
        let head = request(&asked).unwrap();
        assert_eq!(head.host, "x.test");
        assert_eq!(
            (&*head.path, head.raw_query.as_deref()),
            ("/a/%61", Some("b=1"))
        );
        assert_eq!(head.headers["x-a"], "b");
        assert_eq!(head.headers["upgrade"], "websocket");
        let head = request(&question("ws://edge.test?b", &[])).unwrap();
        assert_eq!((&*head.path, head.raw_query.as_deref()), ("/", Some("b")));
    }

    #[test]
    fn what_no_client_can_send_is_no_question() {
        for (url, headers) in [
            ("http://edge.test/", &[][..]),
            ("edge.test/", &[]),
            ("ws:///a", &[]),
            ("ws://u:p@edge.test/", &[]),
            ("ws://edge.test/a b", &[]),
            ("ws://edge.test/a\r\nX: y", &[]),
            ("ws://edge.test/", &[("X", "a\r\nY: b")]),
            ("ws://edge.test/", &[("X Y", "a")]),
        ] {
            assert!(
                request(&question(url, headers)).is_err(),
                "{url:?} {headers:?}"
            );
        }
    }
}
