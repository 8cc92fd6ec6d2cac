//! Echo servers in place of all backends, so that manifests can be tried without what they are for.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tidegate_api::Backend;
use tidegate_config::HealthCheckType;
use tidegate_config::policy::{
    BackendAuth, FragmentStep, InboundStep, SendRequest, SendRequests, SetBackend,
};

use crate::answer_server::AnswerServer;
use crate::echo_server::{EchoServer, Greeting};
use crate::finding::Finding;
use crate::objects::{Loaded, Object, Objects};

/// Stands for all backends that templates choose.
const CHOSEN: &str = "setBackend.url";

/// One echo server per backend. They stay over reloads, and members of a pool are told apart.
#[derive(Debug)]
pub struct StandIns {
    greeting: Greeting,
    /// By scheme and authority of the backend.
    servers: BTreeMap<String, EchoServer>,
    /// Servers that policies ask, by the authority of their object's backend.
    answering: BTreeMap<String, AnswerServer>,
}

impl StandIns {
    /// No servers yet.
    pub const fn new(greeting: Greeting) -> Self {
        Self {
            greeting,
            servers: BTreeMap::new(),
            answering: BTreeMap::new(),
        }
    }

    /// Which server is in which backend's place.
    pub fn list(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let servers = self.servers.iter();
        servers.map(|(backend, server)| (&**backend, server.address()))
    }

    /// Replaces the backends of all objects. A step that does not run because of that is a warning.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub fn replace(&mut self, objects: &mut Objects) -> anyhow::Result<()> {
        let Objects { all, findings, .. } = objects;
        for loaded in all.values_mut() {
            findings.extend(self.replace_in(loaded)?);
        }
        Ok(())
    }

    fn replace_in(&mut self, loaded: &mut Loaded) -> anyhow::Result<Vec<Finding>> {
        let document = &loaded.document;
        let on_handshake = "spec.onHandshake.inbound";
        let replaced = match &mut loaded.object {
            Object::WebSocketApi(api) => {
                let spec = &mut Arc::make_mut(api).spec;
                let service = self.replace_backend(&mut spec.backend)?;
                let inbound = &mut spec.on_handshake.inbound;
                self.replace_steps((on_handshake, &service), inbound)?
            }
            Object::Product(product) => {
                let spec = &mut Arc::make_mut(product).spec;
                self.replace_steps((on_handshake, NO_SERVICE), &mut spec.on_handshake.inbound)?
            }
            Object::Gateway(gateway) => {
                let spec = &mut Arc::make_mut(gateway).spec;
                self.replace_steps((on_handshake, NO_SERVICE), &mut spec.on_handshake.inbound)?
            }
            Object::PolicyFragment(fragment) => {
                let spec = &mut Arc::make_mut(fragment).spec;
                self.replace_steps(("spec.steps", NO_SERVICE), &mut spec.steps)?
            }
            Object::Subscription(_)
            | Object::SubscriptionRequest(_)
            | Object::Secret(_)
            | Object::ConfigMap(_)
            | Object::Namespace(_) => Vec::new(),
        };
        let warning = |(field, why): (String, &str)| Finding {
            is_warning: true,
            ..document.finding(Some(&field), why)
        };
        Ok(replaced.into_iter().map(warning).collect())
    }

    /// TLS and a proxy have no use with an echo server, and it answers no plain HTTP. Gives the authority of the
    /// first backend.
    fn replace_backend(&mut self, backend: &mut Backend) -> anyhow::Result<String> {
        let mut service = None;
        let members = backend.pool.iter_mut().flatten();
        for url in members
            .map(|member| &mut member.url)
            .chain(&mut backend.url)
        {
            let authority = || split(url).0.rsplit('/').next().map(str::to_owned);
            service = service.or_else(authority);
            *url = self.instead_of(url)?;
        }
        backend.tls = None;
        backend.proxy = None;
        let check = backend.health_check.as_mut();
        if let Some(check) = check.and_then(|check| check.active.as_mut())
            && check.kind == HealthCheckType::Http
        {
            check.kind = HealthCheckType::Tcp;
            check.path = None;
        }
        Ok(service.unwrap_or_else(|| NO_SERVICE.to_owned()))
    }

    /// The fields of the policies that do not do what they say, and why. `service` is the authority of the
    /// backend.
    fn replace_steps(
        &mut self,
        (section, service): (&str, &str),
        steps: &mut [impl InboundParts],
    ) -> anyhow::Result<Vec<(String, &'static str)>> {
        let mut replaced = Vec::new();
        for (index, step) in steps.iter_mut().enumerate() {
            let Parts {
                when,
                set_backend,
                backend_auth,
                requests,
            } = step.parts();
            if let Some(url) = set_backend.and_then(|policy| policy.url.as_mut()) {
                *url = self.instead_of(url)?;
            }
            if backend_auth.is_some_and(needs_token) {
                // The step stays, so that those after it keep their places.
                *when = Some("false".to_owned());
                replaced.push((format!("{section}[{index}].backendAuth"), NO_TOKENS));
            }
            for (field, request) in requests {
                let address = self.answering(service)?;
                request.url = format!("http://{address}/");
                (request.tls, request.auth) = (None, None);
                replaced.push((format!("{section}[{index}].{field}"), ANSWERED));
            }
        }
        Ok(replaced)
    }

    fn answering(&mut self, service: &str) -> anyhow::Result<SocketAddr> {
        if let Some(server) = self.answering.get(service) {
            return Ok(server.address());
        }
        let server = AnswerServer::start(service)?;
        let address = server.address();
        self.answering.insert(service.to_owned(), server);
        Ok(address)
    }

    /// The URL of the server that is in the place of a backend: only scheme and authority differ. A template may
    /// give any of them, so its path is not known.
    fn instead_of(&mut self, url: &str) -> anyhow::Result<String> {
        let (backend, path) = match url.contains("${") {
            true => (CHOSEN, "/"),
            false => split(url),
        };
        let address = match self.servers.get(backend) {
            Some(server) => server.address(),
            None => {
                let server = EchoServer::start((Ipv4Addr::LOCALHOST, 0).into(), self.greeting)?;
                let address = server.address();
                self.servers.insert(backend.to_owned(), server);
                address
            }
        };
        Ok(format!("ws://{address}{path}"))
    }
}

/// Scheme and authority of a URL, and the rest.
fn split(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let end = url[start..].find(['/', '?']);
    url.split_at(end.map_or(url.len(), |at| start + at))
}

/// What a negotiation names if there is no backend.
const NO_SERVICE: &str = "echo.invalid";

const NO_TOKENS: &str = "is not run with --echo: its token comes from a server that is not asked";

const ANSWERED: &str = "is answered by a server of --echo: 200, with JSON that has the fields of a SignalR \
                        negotiation, and the request in `request`";

/// Does the token come from another server, or from the cluster?
const fn needs_token(policy: &BackendAuth) -> bool {
    policy.oauth2_client_credentials.is_some()
        || policy.oauth2_token_exchange.is_some()
        || policy.service_account_token.is_some()
}

/// What concerns the backend in a step before its handshake.
struct Parts<'s> {
    when: &'s mut Option<String>,
    set_backend: Option<&'s mut SetBackend>,
    backend_auth: Option<&'s BackendAuth>,
    /// Each with its field.
    requests: Vec<(String, &'s mut SendRequest)>,
}

trait InboundParts {
    fn parts(&mut self) -> Parts<'_>;
}

impl InboundParts for InboundStep {
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            when: &mut self.when,
            set_backend: self.set_backend.as_mut(),
            backend_auth: self.backend_auth.as_ref(),
            requests: requests(&mut self.send_request, &mut self.send_requests),
        }
    }
}

impl InboundParts for FragmentStep {
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            when: &mut self.when,
            set_backend: self.set_backend.as_mut(),
            backend_auth: self.backend_auth.as_ref(),
            requests: requests(&mut self.send_request, &mut self.send_requests),
        }
    }
}

fn requests<'s>(
    one: &'s mut Option<SendRequest>,
    several: &'s mut Option<SendRequests>,
) -> Vec<(String, &'s mut SendRequest)> {
    let one = one.iter_mut();
    let one = one.map(|request| ("sendRequest".to_owned(), request));
    let several = several.iter_mut().flat_map(|policy| &mut policy.requests);
    let place = |(index, request)| (format!("sendRequests.requests[{index}]"), request);
    one.chain(several.enumerate().map(place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_backend_has_one_server_and_keeps_its_path() {
        let mut servers = StandIns::new(Greeting::None);
        let mut instead = |url: &str| {
            let url = servers.instead_of(url).unwrap();
            let rest = url.strip_prefix("ws://127.0.0.1:").unwrap();
            let port = rest.find(['/', '?']).unwrap_or(rest.len());
            (rest[..port].to_owned(), rest[port..].to_owned())
        };
        let (blue, path) = instead("wss://blue.test/hub?a=1");
        assert_eq!(path, "/hub?a=1");
        for (url, is_same, wanted) in [
            ("wss://blue.test", true, ""),
            ("wss://blue.test?a=1", true, "?a=1"),
            ("ws://blue.test/hub", false, "/hub"),
            ("wss://green.test/hub", false, "/hub"),
            ("${vars.a}://blue.test/hub", false, "/"),
        ] {
            let (port, path) = instead(url);
            assert_eq!((port == blue, path.as_str()), (is_same, wanted), "{url}");
        }
        assert_eq!(servers.list().count(), 4);
    }
}
