//! Asks a running gateway, through its admin server.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, RequestBuilder};
use tidegate_gateway::Question;
use tidegate_gateway::trace::Trace;

/// The admin server gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(35);

/// What would become of a handshake.
pub(super) async fn explain(server: &str, question: &Question) -> anyhow::Result<Trace> {
    let body = serde_json::to_string(question).context("the question is no JSON")?;
    let request = client()?.post(address(server, "/explain")).body(body);
    answer(server, request).await
}

/// What became of one.
pub(super) async fn trace(server: &str, id: &str) -> anyhow::Result<Trace> {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !id.chars().all(is_id) {
        bail!("{id:?} is not the id of a trace");
    }
    let request = client()?.get(address(server, &format!("/traces/{id}")));
    answer(server, request).await
}

fn client() -> anyhow::Result<Client> {
    // An admin port is never behind a proxy.
    let client = Client::builder().no_proxy().timeout(PATIENCE);
    client.build().context("failed to set up a client")
}

fn address(server: &str, path: &str) -> String {
    format!("{}{path}", server.trim_end_matches('/'))
}

async fn answer(server: &str, request: RequestBuilder) -> anyhow::Result<Trace> {
    let failed = || format!("failed to ask {server}");
    let answer = request.send().await.with_context(failed)?;
    let status = answer.status();
    let text = answer.text().await.with_context(failed)?;
    if !status.is_success() {
        bail!("{server} says: {}", text.trim());
    }
    serde_json::from_str(&text).with_context(|| format!("{server} is no gateway's admin server"))
}
