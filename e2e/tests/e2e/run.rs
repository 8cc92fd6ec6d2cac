//! `tidegate run`: keys of subscriptions in files, and what it tells.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Request;
use tidegate_e2e::free_port;
use tidegate_e2e::process::Process;
use tidegate_e2e::program::command;
use tidegate_e2e::scene::open_api;
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

/// A directory with manifests, without a Gateway's own state directory.
fn directory(manifests: &[(&str, &str)]) -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    for (name, text) in manifests {
        fs::write(directory.path().join(name), text)?;
    }
    Ok(directory)
}

/// `tidegate run DIRECTORY` on the loopback address, with more options.
fn run(directory: &Path, options: &[&str]) -> anyhow::Result<Process> {
    let mut command = command("tidegate")?;
    command.arg("run").arg(directory);
    command.args(["--bind-address", "127.0.0.1"]).args(options);
    Process::spawn("run", command)
}

fn gateway(port: u16) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: Gateway
metadata: {{name: edge}}
spec: {{listeners: [{{name: plain, port: {port}, protocol: WS}}]}}
"
    )
}

/// Waits until it has printed a text.
async fn prints(process: &Process, text: &str) -> anyhow::Result<()> {
    eventually(&format!("it prints {text:?}"), WAIT_TIMEOUT, async || {
        let printed = process.stdout();
        ensure!(printed.contains(text), "it printed {printed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_reload_is_told_with_what_changed_and_what_was_closed() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let gateway = chat(&echo).await?;
    let process = gateway.process();
    let mut tunnel = request(&gateway, &gateway.key("globex")?).open().await?;
    gateway.write("globex.yaml", &globex(", state: Suspended"))?;
    assert_eq!(tunnel.closed().await?.0, 1008);
    prints(
        process,
        ": Subscription globex suspended, 1 tunnel closed\n",
    )
    .await?;
    gateway.write("globex.yaml", &globex(", colour: red"))?;
    prints(process, "colour").await?;
    gateway.write("globex.yaml", &globex(", state: Suspended"))?;
    prints(process, ": Subscription globex repaired\n").await?;
    gateway.remove("globex.yaml")?;
    prints(process, ": Subscription globex removed\n").await?;
    let printed = process.stdout();
    let address = format!("edge/plain ws://{}\n", gateway.host());
    assert_eq!(printed.matches(&address).count(), 1, "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_new_user_finds_url_key_and_admin_server_in_what_it_prints() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let api = open_api("edge", "open", &echo.url(), "");
    let closed = open_api("edge", "chat", &echo.url(), "");
    let closed = closed.replace("subscriptionRequired: false", "subscriptionRequired: true");
    let stray = open_api("nowhere", "stray", &echo.url(), "");
    let files = directory(&[
        ("gateway.yaml", &gateway(free_port()?)),
        ("open.yaml", &api),
        ("chat.yaml", &closed),
        ("stray.yaml", &stray),
        ("globex.yaml", &globex("")),
        (".hidden.yaml", "no: manifest"),
    ])?;
    let process = run(files.path(), &[])?;
    prints(&process, "(no key needed)").await?;
    prints(&process, "edge admin http://127.0.0.1:").await?;
    let printed = process.stdout();
    assert!(printed.contains("Gateway default/nowhere"), "{printed}");
    assert!(!printed.contains(".hidden.yaml"), "{printed}");
    assert!(files.path().join(".tidegate/admin-token").exists());

    let line = printed
        .lines()
        .find(|line| line.starts_with("WebSocketApi chat: "));
    let line = line.context("no line for the API")?;
    let (url, shown) = line["WebSocketApi chat: ".len()..]
        .split_once(" (key: ")
        .context("no command")?;
    let mut words = shown.trim_end_matches(')').split(' ');
    let mut show = Command::new(words.next().context("no program")?);
    show.args(words);
    let key = tokio::task::spawn_blocking(move || show.output()).await??;
    let key = String::from_utf8(key.stdout)?;
    let request = Request::new(url).header("ocp-apim-subscription-key", key.trim_end());
    request.open().await?.echo("hello").await?;

    let another = run(files.path(), &["--free-ports"])?;
    prints(&another, "takes another port").await
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_bound_when_it_is_free() -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let files = directory(&[("gateway.yaml", &gateway(address.port()))])?;
    let process = run(files.path(), &[])?;
    prints(&process, &format!("cannot be bound to {address}")).await?;
    prints(&process, "--free-ports").await?;
    drop(taken);
    prints(&process, &format!("edge/plain ws://{address}\n")).await?;

    let mut refused = run(
        files.path(),
        &["--free-ports", "--admin-address", &address.to_string()],
    )?;
    assert_eq!(refused.ended(WAIT_TIMEOUT).await?.code(), Some(2));
    let said = refused.stderr();
    assert!(
        said.contains("--admin-address") && said.contains(&address.to_string()),
        "{said}"
    );

    let mut demo = command("tidegate")?;
    demo.args(["demo", "--port", &address.port().to_string()]);
    let mut demo = Process::spawn("demo", demo)?;
    assert_eq!(demo.ended(WAIT_TIMEOUT).await?.code(), Some(2));
    let said = demo.stderr();
    assert!(
        said.contains("--port") && said.contains(&address.to_string()),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_handshake_that_fails_is_logged_with_its_cause_and_others_are_not() -> anyhow::Result<()>
{
    let echo = Echo::start().await?;
    let nobody = format!("ws://127.0.0.1:{}/", free_port()?);
    let port = free_port()?;
    let files = directory(&[
        ("gateway.yaml", &gateway(port)),
        ("open.yaml", &open_api("edge", "open", &echo.url(), "")),
        ("dead.yaml", &open_api("edge", "dead", &nobody, "")),
    ])?;
    for (format, mark) in [
        ("text", " handshake failed: 502 backend_connect_failed ("),
        ("json", "\"reason\":\"backend_connect_failed\""),
    ] {
        let mut process = run(files.path(), &["--log-format", format])?;
        prints(&process, "WebSocketApi open: ").await?;
        let url = |path: &str| format!("ws://127.0.0.1:{port}/{path}");
        Request::new(url("open"))
            .open()
            .await?
            .echo("hello")
            .await?;
        Request::new(url("dead")).refused_with(502).await?;
        eventually("the line", WAIT_TIMEOUT, async || {
            let said = process.stderr();
            ensure!(said.contains(mark), "it logged {said}");
            Ok(())
        })
        .await?;
        let said = process.stderr();
        assert!(said.contains("default/dead"), "{said}");
        assert!(!said.contains("default/open"), "{said}");
        process.terminate()?;
        process.ended(WAIT_TIMEOUT).await?;
    }
    Ok(())
}
