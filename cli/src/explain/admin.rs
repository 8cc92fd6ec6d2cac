//! Asks a running gateway, through its admin server.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tidegate_config::error_chain;
use tidegate_gateway::Question;
use tidegate_gateway::trace::Trace;

use super::token;

/// The admin server gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(35);

/// An admin server, and where its token may be.
pub(super) struct Server<'a> {
    pub(super) url: &'a str,
    pub(super) token_file: Option<&'a Path>,
    pub(super) state_dir: &'a Path,
}

impl Server<'_> {
    /// What would become of a handshake.
    pub(super) async fn explain(&self, question: &Question) -> anyhow::Result<Trace> {
        let body = serde_json::to_string(question).context("the question is no JSON")?;
        let client = client()?;
        let url = self.address("/explain");
        let ask = || {
            let request = client.post(&url).header(CONTENT_TYPE, "application/json");
            request.body(body.clone())
        };
        self.ask(ask).await
    }

    /// What became of one.
    pub(super) async fn trace(&self, id: &str) -> anyhow::Result<Trace> {
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !id.chars().all(is_id) {
            bail!("{id:?} is not the id of a trace");
        }
        let client = client()?;
        let url = self.address(&format!("/traces/{id}"));
        self.ask(|| client.get(&url)).await
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    /// Asks; shows the token when it is wanted.
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
            is_near(self.url),
            "{} wants its token, which is looked for where nobody can listen only: over \
             kubectl port-forward or https; or name it with --token-file",
            self.url
        );
        let gateway = token::realm(&answer);
        let mut missed = Vec::new();
        for place in [Place::StateDir, Place::Cluster] {
            let found = match place {
                Place::StateDir => token::in_state_dir(self.state_dir),
                Place::Cluster => token::in_cluster(gateway.clone()).await,
            };
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    missed.push(error_chain(error.as_ref()));
                    continue;
                }
            };
            let answer = self.send(request().bearer_auth(found)).await?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return self.read(answer).await;
            }
            missed.push(place.is_wrong().to_owned());
        }
        bail!(
            "{} wants its token (or name it with --token-file): {}",
            self.url,
            missed.join("; ")
        )
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let sent = request.send().await;
        sent.with_context(|| format!("failed to ask {}", self.url))
    }

    async fn read(&self, answer: Response) -> anyhow::Result<Trace> {
        let server = self.url;
        let status = answer.status();
        let text = answer.text().await;
        let text = text.with_context(|| format!("failed to ask {server}"))?;
        if !status.is_success() {
            bail!("{server} says: {}", text.trim());
        }
        serde_json::from_str(&text)
            .with_context(|| format!("{server} is no gateway's admin server"))
    }
}

/// Where a token may be.
#[derive(Clone, Copy)]
enum Place {
    StateDir,
    Cluster,
}

impl Place {
    fn is_wrong(self) -> &'static str {
        match self {
            Self::StateDir => "the token in the state directory is another gateway's",
            Self::Cluster => "the token in the Secret is not the gateway's (yet)",
        }
    }
}

fn client() -> anyhow::Result<Client> {
    // An admin port is never behind a proxy.
    let client = Client::builder().no_proxy().timeout(PATIENCE);
    client.build().context("failed to set up a client")
}

/// Does nobody else see what is sent there?
fn is_near(server: &str) -> bool {
    let Ok(url) = Url::parse(server) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "https" || is_loopback || host == "localhost"
}

#[cfg(test)]
mod tests {
    use super::is_near;

    #[test]
    fn tokens_are_looked_for_where_nobody_listens() {
        for (server, near) in [
            ("http://127.0.0.1:9090", true),
            ("http://localhost:9090/", true),
            ("http://[::1]:9090", true),
            ("https://edge.example", true),
            ("http://10.0.0.1:9090", false),
            ("http://localhost.evil.example", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_near(server), near, "{server}");
        }
    }
}
