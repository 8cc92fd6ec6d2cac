//! `tidegate demo`: one API with a subscription key in front of an echo server.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tidegate_gateway::Ports;

use crate::echo_server::{EchoServer, Greeting};
use crate::input::Input;
use crate::keys::KeyStore;
use crate::objects::{Loader, Object};
use crate::run::{StopSignal, program, say};
use crate::standalone::{AdminAddress, Settings, Standalone};

/// How long the gateway may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The manifests that the demo serves.
const MANIFESTS: &str = include_str!("demo.yaml");

/// Runs a gateway with an echo backend: one API, one product and one subscription.
///
/// Prints the URL, the subscription key and commands to try. Stop it with Ctrl-C.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Port on 127.0.0.1. 0 takes any free port.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// When the port is taken, or the gateway does not start in time.
pub async fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    let mut stop = StopSignal::new()?;
    let echo = EchoServer::start((Ipv4Addr::LOCALHOST, 0).into(), Greeting::None)?;
    let directory = tempfile::tempdir().context("failed to create a temporary directory")?;
    write_manifests(directory.path(), &echo, args.port)?;
    let keys = KeyStore::new(directory.path());
    let mut standalone = Standalone::new(Settings {
        input: Input::of_paths(vec![directory.path().to_owned()], false),
        bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports: if args.port == 0 {
            Ports::Ephemeral
        } else {
            Ports::AsConfigured
        },
        admin: AdminAddress::Nowhere,
        admin_token: None,
        keys: keys.clone(),
        echo: None,
        quotas: None,
        tokens: None,
    });
    let report = standalone.reload().await?;
    let mut wrong = report.findings.iter().filter(|found| !found.is_warning);
    if let Some(finding) = wrong.next() {
        anyhow::bail!("{finding}");
    }
    for (_, state) in standalone.settled(START_TIMEOUT).await {
        if let Some(rejected) = state.rejected.first() {
            anyhow::bail!("{}; choose another port with --port", rejected.message);
        }
        if let Some(error) = state.error {
            anyhow::bail!(error);
        }
    }
    let bound = standalone.bound();
    let (_, listener) = bound.first().context("the gateway did not start in time")?;
    introduce(&listener.address.to_string(), &primary_key(&keys)?);
    stop.received().await;
    tokio::select! {
        () = standalone.shutdown() => {}
        () = stop.received() => {}
    }
    Ok(())
}

fn write_manifests(directory: &Path, echo: &EchoServer, port: u16) -> anyhow::Result<()> {
    let port = if port == 0 { 8080 } else { port };
    let text = MANIFESTS
        .replace("BACKEND/", &format!("{}/", echo.address()))
        .replace("port: 8080", &format!("port: {port}"));
    std::fs::write(directory.join("demo.yaml"), text).context("failed to write the manifests")
}

fn primary_key(keys: &KeyStore) -> anyhow::Result<String> {
    let objects = Loader::default().load(&keys.files());
    let secret = objects
        .all
        .values()
        .find_map(|loaded| match &loaded.object {
            Object::Secret(secret) => secret
                .data
                .as_ref()?
                .get(tidegate_api::PRIMARY_KEY)
                .cloned(),
            _ => None,
        });
    let key = secret.context("no key was generated")?;
    String::from_utf8(key.0).context("the key is not UTF-8")
}

fn introduce(address: &str, key: &str) {
    let url = format!("ws://{address}/echo");
    say(&format!(
        "URL  {url}
Key  {key}
     (header {header}, or query parameter {query})

Try it:
  {program} connect {url} --key {key}
  wscat -c '{url}?{query}={key}'
  python3 -m websockets '{url}?{query}={key}'
  websocat '{url}?{query}={key}'
In the console of a browser:
  new WebSocket('{url}?{query}={key}').onmessage = e => console.log(e.data)
Without the key, the gateway answers 401. Press Ctrl-C to stop.",
        program = program(),
        header = tidegate_config::DEFAULT_KEY_HEADER,
        query = tidegate_config::DEFAULT_KEY_QUERY,
    ));
}
