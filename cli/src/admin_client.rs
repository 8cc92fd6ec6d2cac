//! Asks the admin server of a running gateway.

pub mod token;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_config::{ObjectKey, error_chain};

use crate::cluster::ClusterArgs;

/// The admin server gives up after 30 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);

/// An admin server, and where its token may be.
pub struct AdminServer<'a> {
    /// Its URL, for example `http://127.0.0.1:9090`.
    pub url: String,
    /// How people know it: the URL, or a pod.
    pub name: String,
    /// The token's file; `None`: it is looked up.
    pub token_file: Option<&'a Path>,
    /// State directory of `tidegate run`.
    pub state_dir: PathBuf,
    /// The cluster whose Secret has it.
    pub cluster: &'a ClusterArgs,
}

impl AdminServer<'_> {
    /// GET of a path with query.
    ///
    /// # Errors
    ///
    /// When the server does not answer, refuses, or its answer is something else.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let client = client()?;
        let url = self.address(path);
        self.read(self.ask(|| client.get(&url)).await?).await
    }

    /// GET of something that may be missing there.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), except for 404.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        let client = client()?;
        let url = self.address(path);
        let answer = self.ask(|| client.get(&url)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.read(answer).await.map(Some)
    }

    /// POST of JSON.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let body = serde_json::to_string(body).context("failed to write the request as JSON")?;
        let client = client()?;
        let url = self.address(path);
        let ask = || {
            let request = client.post(&url).header(CONTENT_TYPE, "application/json");
            request.body(body.clone())
        };
        self.read(self.ask(ask).await?).await
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    /// Sends the request, with the token if the gateway requires it.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Response> {
        if let Some(file) = self.token_file {
            let request = request().bearer_auth(token::in_file(file)?);
            return self.send(request).await;
        }
        let answer = self.send(request()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        ensure!(
            is_private(&self.url),
            "{} requires its token, which is looked up for loopback addresses (kubectl port-forward) and \
             https only; set --token-file",
            self.name
        );
        let gateway = token::realm(&answer);
        let mut failures = Vec::new();
        for place in [TokenPlace::StateDir, TokenPlace::Cluster] {
            match self.token(place, gateway.clone()).await {
                Err(error) => failures.push(error_chain(error.as_ref())),
                Ok(found) => {
                    let answer = self.send(request().bearer_auth(found)).await?;
                    if answer.status() != StatusCode::UNAUTHORIZED {
                        return Ok(answer);
                    }
                    failures.push(place.rejection().to_owned());
                }
            }
        }
        bail!(
            "{} requires its token: set --state-dir DIR/.tidegate for a gateway of `tidegate run`, or \
             --token-file; no token was found: {}",
            self.name,
            failures.join("; ")
        )
    }

    async fn token(&self, place: TokenPlace, gateway: Option<ObjectKey>) -> anyhow::Result<String> {
        match place {
            TokenPlace::StateDir => token::in_state_dir(&self.state_dir),
            TokenPlace::Cluster => token::in_cluster(self.cluster, gateway).await,
        }
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let sent = request.send().await;
        sent.with_context(|| format!("failed to query {}", self.name))
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> anyhow::Result<T> {
        let server = &self.name;
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
