//! The command line without a cluster, and the README's commands.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Request;
use tidegate_e2e::process::Process;
use tidegate_e2e::program::command;
use tidegate_e2e::scene::open_api;
use tidegate_e2e::third_party::{node, python, run, set_up};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

fn tree() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A running demo, its URL and key as it prints them.
async fn demo() -> anyhow::Result<(Process, String, String)> {
    let mut command = command("tidegate")?;
    command.args(["demo", "--port", "0"]);
    let mut demo = Process::spawn("demo", command)?;
    let word = |name: &'static str| {
        move |line: &str| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.next().map(str::to_owned))?
        }
    };
    let url = demo.line("the URL", word("URL")).await?;
    let key = demo.line("the key", word("Key")).await?;
    Ok((demo, url, key))
}

#[tokio::test]
async fn the_demo_echoes_for_who_has_the_key() -> anyhow::Result<()> {
    let (mut demo, url, key) = demo().await?;
    let with_key = format!("{url}?subscription-key={key}");
    Request::new(&with_key).open().await?.echo("hello").await?;
    Request::new(&url).refused_with(401).await?;
    demo.terminate()?;
    let status = demo.ended(Duration::from_secs(15)).await?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn the_demos_client_commands_work_as_printed() -> anyhow::Result<()> {
    let (demo, url, key) = demo().await?;
    let printed = demo.stdout();
    let paste = printed
        .lines()
        .find(|line| line.contains(" connect ws://"))
        .context("no command for our own client")?;
    let mut words = paste.split_whitespace();
    let mut client = Command::new(words.next().context("no program")?);
    client.args(words);
    client.args(["--text", "hello"]);
    let output = output(client).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains("hello"),
        "{output:?}"
    );

    let with_key = format!("{url}?subscription-key={key}");
    ensure!(printed.contains(&with_key), "it shows the URL for browsers");
    if let Some(interpreter) = set_up("python").await? {
        let seen = run("python", python(&interpreter, "echo.py", &[&with_key])).await?;
        assert_eq!(
            (&seen["text"], &seen["binary"]),
            (&Value::from("grüße"), &Value::from(true))
        );
    }
    if let Some(modules) = set_up("node").await? {
        let seen = run("node", node(&modules, "echo.js", &[&with_key])).await?;
        assert_eq!(
            (&seen["text"], &seen["binary"]),
            (&Value::from("grüße"), &Value::from(true))
        );
    }
    Ok(())
}

#[tokio::test]
async fn connect_shows_a_refusal_with_its_body() -> anyhow::Result<()> {
    let (_demo, url, _) = demo().await?;
    let mut client = command("tidegate")?;
    client.args(["connect", &url, "--text", "hello"]);
    let output = output(client).await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("401") && said.contains("missing subscription key"),
        "{said}"
    );
    Ok(())
}

/// A directory that `tidegate run` serves, with one gateway.
struct Directory {
    files: tempfile::TempDir,
    _state: tempfile::TempDir,
    process: Process,
    address: SocketAddr,
}

impl Directory {
    async fn serve(api: &str) -> anyhow::Result<Self> {
        let (files, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let gateway = "apiVersion: tidegate.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec:
  drain: {window: 1s}
  listeners:
  - {name: plain, port: 8080, protocol: WS}
";
        fs::write(files.path().join("gateway.yaml"), gateway)?;
        fs::write(files.path().join("api.yaml"), api)?;
        let mut command = command("tidegate")?;
        command
            .arg("run")
            .arg(files.path())
            .args(["--bind-address", "127.0.0.1", "--free-ports", "--state-dir"])
            .arg(state.path());
        let mut process = Process::spawn("run", command)?;
        let address = process.line("its address", |line| {
            let mut words = line.split(|c: char| c.is_whitespace() || c == '/');
            words.find_map(|word| word.parse::<SocketAddr>().ok())
        });
        let address = address.await?;
        Ok(Self {
            files,
            _state: state,
            process,
            address,
        })
    }

    /// Replaces a file as editors do: whole, by renaming.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let new = self.files.path().join(format!(".{name}.new"));
        fs::write(&new, text)?;
        Ok(fs::rename(new, self.files.path().join(name))?)
    }

    async fn answers(&self, target: &str, status: u16) -> anyhow::Result<()> {
        let url = format!("ws://{}{target}", self.address);
        eventually(
            &format!("{target} answers {status}"),
            WAIT_TIMEOUT,
            async || {
                let got = Request::new(&url).send().await?.status();
                ensure!(got == status, "it answers {got}");
                Ok(())
            },
        )
        .await
    }
}

#[tokio::test]
async fn run_follows_a_directory_and_keeps_the_last_good_of_what_breaks() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let one = open_api("edge", "one", &echo.url(), "");
    let mut directory = Directory::serve(&one).await?;
    directory.answers("/one", 101).await?;
    let url = format!("ws://{}/one", directory.address);
    let mut tunnel = Request::new(url).open().await?;

    let two = open_api("edge", "two", &echo.url(), "");
    directory.write("two.yaml", &two)?;
    directory.answers("/two", 101).await?;

    let step = "{setHeader: {name: X-Step, values: ['${']}}";
    let broken = format!("{two}  onHandshake: {{inbound: [{step}]}}");
    directory.write("two.yaml", &broken)?;
    let said = directory.process.line("a complaint about two", |line| {
        (line.contains("two") && line.contains("inbound")).then(|| line.to_owned())
    });
    said.await?;
    directory.answers("/two", 101).await?;

    fs::remove_file(directory.files.path().join("two.yaml"))?;
    directory.answers("/two", 404).await?;
    tunnel.echo("all along").await?;
    directory.process.terminate()?;
    assert_eq!(tunnel.closed().await?.0, 1001);
    let status = directory.process.ended(Duration::from_secs(15)).await?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn validate_passes_every_example() -> anyhow::Result<()> {
    let examples = tree().join("examples");
    for entry in fs::read_dir(examples)? {
        let path = entry?.path();
        if path.is_dir() {
            let mut validate = command("tidegate")?;
            validate.arg("validate").arg(&path);
            let output = output(validate).await?;
            assert!(output.status.success(), "{}: {output:?}", path.display());
        }
    }
    Ok(())
}

#[tokio::test]
async fn validate_says_what_the_api_server_would_refuse() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let good = open_api("edge", "api", "ws://127.0.0.1:1/", "");
    let cases = [
        ("unknown-field", format!("{good}  colour: red"), "colour"),
        ("bad-url", good.replace("ws://", "http://"), "backend.url"),
        (
            "two-policies",
            format!(
                "{good}  onHandshake: {{inbound: [{{base: {{}}, setVariable: {{name: a, value: '1'}}}}]}}"
            ),
            "exactly one policy",
        ),
        (
            "bad-cel",
            format!(
                "{good}  onHandshake: {{inbound: [{{setVariable: {{name: a, value: '1 +'}}}}]}}"
            ),
            "inbound[0]",
        ),
    ];
    for (name, manifest, word) in cases {
        let file = directory.path().join(format!("{name}.yaml"));
        fs::write(&file, manifest)?;
        let mut validate = command("tidegate")?;
        validate.arg("validate").arg(&file);
        let output = output(validate).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        let line = said.lines().find(|line| line.contains(word));
        let line = line.with_context(|| format!("{name}: {said}"))?;
        assert!(line.contains(&format!("{name}.yaml")), "{name}: {line}");
        assert!(line.contains("api"), "{name}: {line}");
    }
    Ok(())
}

#[test]
fn the_readmes_commands_exist() -> anyhow::Result<()> {
    let readme = fs::read_to_string(tree().join("README.md"))?;
    let makefile = fs::read_to_string(tree().join("Makefile"))?;
    let mut commands = readme.lines().filter_map(|line| line.strip_prefix("make "));
    assert_eq!(commands.next(), Some("demo"), "the first command");
    assert_eq!(commands.next(), Some("test"), "the second");
    assert!(makefile.contains("\ndemo:") && makefile.contains("\ntest:"));
    let ci = fs::read_to_string(tree().join(".ci/run"))?;
    assert!(ci.contains("make test"), "CI runs the README's command");
    Ok(())
}

async fn output(mut command: Command) -> anyhow::Result<Output> {
    let run = tokio::task::spawn_blocking(move || command.output());
    Ok(tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .context("the command did not end")???)
}
