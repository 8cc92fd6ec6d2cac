//! The whole conformance suite against a gateway in this process; docs/conformance.md shows it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidegate_cli::conformance::client::TestBed;
use tidegate_cli::conformance::manifests::{Target, manifests};
use tidegate_cli::conformance::recorder::Recorder;
use tidegate_cli::conformance::report::{CaseResult, Format, Outcome, render};
use tidegate_cli::conformance::suite::{Parameters, cases, load};
use tidegate_cli::conformance::{Subject, report};
use tidegate_cli::input::Input;
use tidegate_cli::keys::KeyStore;
use tidegate_cli::manifest::to_yaml;
use tidegate_cli::standalone::{AdminAddress, Settings, Standalone};
use tidegate_gateway::Ports;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn settings(directory: &Path) -> Settings {
    Settings {
        input: Input::of_paths(vec![directory.to_owned()], false),
        echo: None,
        bind_address: LOCALHOST,
        ports: Ports::Ephemeral,
        admin: AdminAddress::Required((LOCALHOST, 0).into()),
        admin_token: None,
        keys: KeyStore::new(directory),
        quotas: None,
        tokens: None,
    }
}

async fn outcomes() -> anyhow::Result<Vec<Outcome>> {
    let recorder = Recorder::start(LOCALHOST, 0, 0).await?;
    let chapters = load(&Parameters {
        gateway: "conformance".to_owned(),
        host: LOCALHOST.to_string(),
        port: recorder.address().port(),
        tls_port: recorder.tls_address().port(),
    })?;
    let target = Target {
        gateway: "conformance".to_owned(),
        port: 8080,
        tls_port: 8443,
        managed: false,
    };
    let objects = manifests(cases(&chapters).map(|(_, case)| case), &target);
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("suite.yaml"), to_yaml(&objects)?)?;
    let mut standalone = Standalone::new(settings(directory.path()));
    let found = standalone.reload().await?.findings;
    let meant: Vec<_> = cases(&chapters)
        .filter_map(|(_, case)| case.warns.as_deref())
        .collect();
    let unmeant = |line: &String| !meant.iter().any(|meant| line.contains(meant));
    let found: Vec<_> = found
        .iter()
        .map(ToString::to_string)
        .filter(unmeant)
        .collect();
    anyhow::ensure!(found.is_empty(), "the suite's manifests: {found:#?}");
    standalone.settled(START_TIMEOUT).await;
    let bound = standalone.bound();
    let address = |listener: &str| {
        let mut named = bound.iter().filter(|(_, bound)| bound.name == listener);
        named
            .next()
            .map(|(_, bound)| bound.address)
            .context("not bound")
    };
    let subject = Subject {
        test_bed: TestBed {
            gateway: format!("ws://{}", address("plain")?).parse()?,
            secure: Some(format!("wss://{}", address("secure")?).parse()?),
            tls: None,
            recorder: Arc::new(recorder),
            run: 1,
        },
        admin: standalone.admin_addresses().first().map(|(_, at)| *at),
        namespace: "default".to_owned(),
    };
    let outcomes = report(&chapters, &subject, "").await?;
    standalone.shutdown().await;
    Ok(outcomes)
}

#[test]
fn a_standalone_gateway_passes_and_the_page_says_so() -> anyhow::Result<()> {
    // A second installation can only be of the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    let outcomes = runtime.block_on(outcomes())?;
    let failed = outcomes.iter().any(|o| o.result == CaseResult::Failed);
    assert!(!failed, "{}", render(&outcomes, Format::Table)?);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let page = fs::read_to_string(&path)?;
    const MARK: &str =
        "<!-- written by UPDATE_DOCS=1 cargo test -p tidegate-cli --test conformance -->\n\n";
    let (prose, _) = page.split_once(MARK).expect("the page has a mark");
    let wanted = format!("{prose}{MARK}{}", render(&outcomes, Format::Markdown)?);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted)?;
    }
    let page = fs::read_to_string(&path)?;
    assert!(
        page == wanted,
        "docs/conformance.md is old: run with UPDATE_DOCS=1"
    );
    Ok(())
}

/// Runs the suite against this gateway, and gives exit status, standard output and standard error.
fn run_against(gateway: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["conformance", "run", "--gateway", gateway])
        .args(["--backend-host", "127.0.0.1", "--bind-address", "127.0.0.1"])
        .args(["--backend-port", "0", "--backend-tls-port", "0"])
        .args(more)
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn without_a_gateway_no_case_passes() -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port();
    drop(taken);
    let nobody = format!("ws://127.0.0.1:{port}");
    let (code, printed, said) = run_against(&nobody, &[]);
    assert_eq!((code, printed.as_str()), (Some(2), ""), "{said}");
    assert!(
        said.contains(&format!("there is no gateway at {nobody}")),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_server_that_is_no_gateway_passes_no_case() -> anyhow::Result<()> {
    use std::io::{Read as _, Write as _};
    let other = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("ws://{}", other.local_addr()?);
    let server = std::thread::spawn(move || {
        let (mut client, _) = other.accept()?;
        client.write_all(b"SSH-2.0-x\r\n")?;
        client.read_to_end(&mut Vec::new())
    });
    let (code, printed, said) = run_against(&url, &[]);
    assert_eq!((code, printed.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("does not speak HTTP"), "{said}");
    let _ = server.join();
    let (code, printed, said) = run_against(&url, &["--only", "no-such-case"]);
    assert_eq!((code, printed.as_str()), (Some(2), ""), "{said}");
    Ok(())
}
