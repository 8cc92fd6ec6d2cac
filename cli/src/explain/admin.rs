//! Asks a running gateway for a trace, through its admin server.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tidegate_config::{ObjectKey, error_chain};
use tidegate_gateway::Question;
use tidegate_gateway::trace::Trace;

use super::token;

/// The admin server gives up after 30 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);

/// An admin server, and where its token may be.
pub(super) struct Server<'a> {
    pub(super) url: &'a str,
    pub(super) token_file: Option<&'a Path>,
    pub(super) state_dir: &'a Path,
}

impl Server<'_> {
    /// The trace of a handshake that is not made.
    pub(super) async fn explain(&self, question: &Question) -> anyhow::Result<Trace> {
        let body =
            serde_json::to_string(question).context("failed to write the request as JSON")?;
        let client = client()?;
        let url = self.address("/explain");
        let ask = || {
            let request = client.post(&url).header(CONTENT_TYPE, "application/json");
            request.body(body.clone())
        };
        self.ask(ask).await
    }

    /// The trace of an earlier handshake.
    pub(super) async fn trace(&self, id: &str) -> anyhow::Result<Trace> {
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !id.chars().all(is_id) {
            bail!("{id:?} is not a trace ID");
        }
        let client = client()?;
        let url = self.address(&format!("/traces/{id}"));
        self.ask(|| client.get(&url)).await
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    /// Sends the request, with the token if the gateway requires it.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Trace> {
        if let Some(file) = self.token_file {
            let request = request().bearer_auth(token::in_file(file)?);
            return self.read(self.send(request).await?).await;
        }
        let answer = self.send(request()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return self.read(answer).await;
        }
        ensure!(
            is_private(self.url),
            "{} requires its token, which is looked up for loopback addresses (kubectl port-forward) and \
             https only; set --token-file",
            self.url
        );
        let gateway = token::realm(&answer);
        let mut failures = Vec::new();
        for place in [TokenPlace::StateDir, TokenPlace::Cluster] {
            match self.token(place, gateway.clone()).await {
                Err(error) => failures.push(error_chain(error.as_ref())),
                Ok(found) => {
                    let answer = self.send(request().bearer_auth(found)).await?;
                    if answer.status() != StatusCode::UNAUTHORIZED {
                        return self.read(answer).await;
                    }
                    failures.push(place.rejection().to_owned());
                }
            }
        }
        bail!(
            "{} requires its token: set --state-dir DIR/.tidegate for a gateway of `tidegate run`, or \
             --token-file; no token was found: {}",
            self.url,
            failures.join("; ")
        )
    }

    async fn token(&self, place: TokenPlace, gateway: Option<ObjectKey>) -> anyhow::Result<String> {
        match place {
            TokenPlace::StateDir => token::in_state_dir(self.state_dir),
            TokenPlace::Cluster => token::in_cluster(gateway).await,
        }
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let sent = request.send().await;
        sent.with_context(|| format!("failed to query {}", self.url))
    }

    async fn read(&self, answer: Response) -> anyhow::Result<Trace> {
        let server = self.url;
        let status = answer.status();
        let text = answer.text().await;
        let text = text.with_context(|| format!("failed to query {server}"))?;
        if !status.is_success() {
            bail!("{server} answered: {}", text.trim());
        }
        serde_json::from_str(&text)
            .with_context(|| format!("{server} is not the admin server of a gateway"))
    }
}

/// Where a token may be.
#[derive(Clone, Copy)]
enum TokenPlace {
    StateDir,
    Cluster,
}

impl TokenPlace {
    fn rejection(self) -> &'static str {
        match self {
            Self::StateDir => "the token in the state directory belongs to another gateway",
            Self::Cluster => "the gateway does not accept the token in the Secret (yet)",
        }
    }
}

fn client() -> anyhow::Result<Client> {
    // An admin port is never behind a proxy.
    let client = Client::builder().no_proxy().timeout(REQUEST_TIMEOUT);
    client.build().context("failed to create an HTTP client")
}

/// Whether nobody else can read what is sent there.
fn is_private(server: &str) -> bool {
    let Ok(url) = Url::parse(server) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "https" || is_loopback || host == "localhost"
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn tokens_are_looked_up_for_private_connections_only() {
        for (server, near) in [
            ("http://127.0.0.1:9090", true),
            ("http://localhost:9090/", true),
            ("http://[::1]:9090", true),
            ("https://edge.example", true),
            ("http://10.0.0.1:9090", false),
            ("http://localhost.evil.example", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_private(server), near, "{server}");
        }
    }
}
