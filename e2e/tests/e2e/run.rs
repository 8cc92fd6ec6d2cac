//! `tidegate run`: keys of subscriptions in files.

use std::fs;

use anyhow::ensure;
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Request;
use tidegate_e2e::standalone::Standalone;
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

/// A Subscription `globex` to the API `chat`, with more fields in its spec.
fn globex(more: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: Subscription
metadata: {{name: globex}}
spec: {{scope: {{api: chat}}{more}}}
"
    )
}

/// A gateway with the API `chat`, which needs a key, and the Subscription `globex` in a file of its own.
async fn chat(echo: &Echo) -> anyhow::Result<Standalone> {
    let api = format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: WebSocketApi
metadata: {{name: chat}}
spec:
  gateways: [{{name: edge}}]
  path: /chat
  backend: {{url: \"{}\"}}
",
        echo.url()
    );
    let gateway = Standalone::serve(&api).await?;
    gateway.write("globex.yaml", &globex(""))?;
    eventually("globex has keys", WAIT_TIMEOUT, async || {
        let key = gateway.key("globex")?;
        answers(&gateway, &key, 101).await
    })
    .await?;
    Ok(gateway)
}

fn request(gateway: &Standalone, key: &str) -> Request {
    Request::new(format!("ws://{}/chat", gateway.host())).header("ocp-apim-subscription-key", key)
}

async fn answers(gateway: &Standalone, key: &str, status: u16) -> anyhow::Result<()> {
    let got = request(gateway, key).send().await?.status();
    ensure!(got == status, "it answers {got}");
    Ok(())
}

async fn becomes(gateway: &Standalone, what: &str, key: &str, status: u16) -> anyhow::Result<()> {
    let what = format!("{what}: {status}");
    eventually(&what, WAIT_TIMEOUT, async || {
        answers(gateway, key, status).await
    })
    .await
}

#[tokio::test]
async fn a_raised_generation_ends_the_old_key_and_its_tunnels_for_good() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let mut gateway = chat(&echo).await?;
    let old = gateway.key("globex")?;
    let mut tunnel = request(&gateway, &old).open().await?;
    tunnel.echo("hello").await?;
    gateway.write("globex.yaml", &globex(", keys: {primaryGeneration: 2}"))?;
    assert_eq!(tunnel.closed().await?.0, 1008);
    answers(&gateway, &old, 401).await?;
    let new = gateway.key("globex")?;
    assert_ne!(new, old);
    becomes(&gateway, "the new key", &new, 101).await?;
    gateway.restart().await?;
    becomes(&gateway, "the old key after a restart", &old, 401).await?;
    answers(&gateway, &new, 101).await?;
    assert_eq!(gateway.key("globex")?, new);
    Ok(())
}

#[tokio::test]
async fn a_subscription_that_is_made_anew_gets_new_keys() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let gateway = chat(&echo).await?;
    let old = gateway.key("globex")?;
    gateway.remove("globex.yaml")?;
    becomes(&gateway, "the key of a removed subscription", &old, 401).await?;
    eventually("its keys are removed", WAIT_TIMEOUT, async || {
        ensure!(gateway.key("globex").is_err(), "they are there");
        Ok(())
    })
    .await?;
    gateway.write("globex.yaml", &globex(""))?;
    eventually("it has other keys", WAIT_TIMEOUT, async || {
        let new = gateway.key("globex")?;
        ensure!(new != old, "the same key");
        answers(&gateway, &new, 101).await
    })
    .await?;
    answers(&gateway, &old, 401).await
}

#[tokio::test]
async fn who_edits_or_removes_a_key_file_means_it() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let gateway = chat(&echo).await?;
    let first = gateway.key("globex")?;
    let file = gateway.state().join("keys/default.globex-keys.yaml");
    let mine = "a-key-that-somebody-chose";
    let text = fs::read_to_string(&file)?.replace(&first, mine);
    fs::write(&file, text)?;
    becomes(&gateway, "the key that was written", mine, 101).await?;
    answers(&gateway, &first, 401).await?;
    fs::remove_file(&file)?;
    becomes(&gateway, "the key that was removed", mine, 401).await?;
    eventually("there is a new one", WAIT_TIMEOUT, async || {
        answers(&gateway, &gateway.key("globex")?, 101).await
    })
    .await
}
