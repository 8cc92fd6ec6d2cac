//! The conformance suite against a gateway of a cluster, with the commands that users have.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tidegate_e2e::program::command;
use tidegate_e2e::scene::Scene;
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

/// APIs of cases about what is not served.
const NOT_SERVED: [&str; 1] = ["upgrade-unassigned"];
/// The longest case takes seconds, all of them less than a minute on a busy machine.
const SUITE: Duration = Duration::from_secs(180);

/// `tidegate conformance` with the places that both of its commands must know.
struct Suite {
    backend_port: u16,
    tls_port: u16,
}

impl Suite {
    fn command(&self, verb: &str) -> anyhow::Result<Command> {
        let mut command = command("tidegate")?;
        command
            .args(["conformance", verb, "--backend-host", "127.0.0.1"])
            .args(["--backend-port", &self.backend_port.to_string()])
            .args(["--backend-tls-port", &self.tls_port.to_string()]);
        Ok(command)
    }
}

async fn output(mut command: Command) -> anyhow::Result<(bool, String)> {
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(SUITE, run)
        .await
        .context("the command did not end")???;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok((output.status.success(), said))
}

/// Waits until every object of a kind is in force, but those of states that keep them out.
async fn in_force(scene: &Scene, kind: &str, but: &[&str]) -> anyhow::Result<()> {
    let what = format!("every {kind} is Programmed");
    eventually(&what, WAIT_TIMEOUT, async || {
        let mut waiting = Vec::new();
        for object in scene.namespace().list(kind).await? {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let conditions = object["status"]["conditions"].as_array();
            let is_programmed = conditions
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "Programmed" && c["status"] == "True");
            if !is_programmed && !but.contains(&name) {
                waiting.push(name.to_owned());
            }
        }
        ensure!(waiting.is_empty(), "not yet: {waiting:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cluster_gateway_passes_the_conformance_suite() -> anyhow::Result<()> {
    let scene = Scene::new("conformance").await?;
    let suite = Suite {
        backend_port: scene.free_port()?,
        tls_port: scene.free_port()?,
    };
    let (port, secure_port) = (scene.free_port()?, scene.free_port()?);
    let mut manifests = suite.command("manifests")?;
    manifests
        .args(["--unmanaged", "--port", &port.to_string()])
        .args(["--tls-port", &secure_port.to_string()]);
    let (printed, manifests) = output(manifests).await?;
    ensure!(printed, "{manifests}");
    scene.apply(&manifests).await?;
    let plan = scene.plan("conformance", port);
    let served = scene.start(plan).await?;
    in_force(&scene, "WebSocketApi", &NOT_SERVED).await?;
    let states = ["cancelled", "expired", "rejected", "submitted", "suspended"];
    let states: Vec<_> = states.map(|state| format!("state-{state}")).into();
    let mut inactive: Vec<_> = states.iter().map(String::as_str).collect();
    inactive.push("state-not-published");
    in_force(&scene, "Subscription", &inactive).await?;

    let mut run = suite.command("run")?;
    run.args(["--bind-address", "127.0.0.1"])
        .args(["--gateway", &served.url("")])
        .args([
            "--secure-gateway",
            &format!("wss://127.0.0.1:{secure_port}"),
        ])
        .args(["--admin", &served.gateway.admin.to_string()])
        .args(["--namespace", scene.namespace().name()]);
    let (passed, report) = output(run).await?;
    ensure!(passed, "{report}");
    ensure!(report.contains("cases passed"), "{report}");
    Ok(())
}
