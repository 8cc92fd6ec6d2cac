//! The program `tidegate`.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tidegate_cli::completion::{CompletionArgs, ManArgs, completion, man};
use tidegate_cli::conformance::{ConformanceArgs, conformance};
use tidegate_cli::connect::{ConnectArgs, connect};
use tidegate_cli::demo::{DemoArgs, demo};
use tidegate_cli::echo::{EchoArgs, run_echo};
use tidegate_cli::explain::{ExplainArgs, explain};
use tidegate_cli::import::{ImportArgs, import};
use tidegate_cli::run::{RunArgs, run, say};
use tidegate_cli::validate::{ValidateArgs, validate};
use tidegate_config::error_chain;
use tidegate_gateway::LogFormat;

/// WebSocket API management, with or without Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version)]
struct Cli {
    /// Log level of the gateway (error, warn, info, debug), or a filter such as tidegate=debug. Logs go to
    /// standard error; the access log has level info.
    #[arg(
        long,
        global = true,
        default_value = "warn",
        env = "TIDEGATE_LOG",
        value_name = "FILTER"
    )]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(DemoArgs),
    Run(RunArgs),
    Validate(ValidateArgs),
    Explain(ExplainArgs),
    Import(ImportArgs),
    Connect(ConnectArgs),
    Conformance(ConformanceArgs),
    Echo(EchoArgs),
    Completion(CompletionArgs),
    #[command(hide = true)]
    Man(ManArgs),
}

/// Exit status when the arguments are bad or the command cannot run.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("tidegate: {}", error_chain(error.as_ref()));
            ExitCode::from(FAILED)
        }
    }
}

fn start(cli: &Cli) -> anyhow::Result<u8> {
    let filter = tracing_subscriber::EnvFilter::try_new(&cli.log)?;
    tracing_subscriber::fmt()
        .json()
        .map_event_format(LogFormat::around)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // A second installation can only be of the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(dispatch(&cli.command))
}

async fn dispatch(command: &Command) -> anyhow::Result<u8> {
    match command {
        Command::Demo(args) => demo(args).await.map(|()| 0),
        Command::Run(args) => run(args).await.map(|()| 0),
        Command::Echo(args) => run_echo(args).await.map(|()| 0),
        Command::Import(args) => import(args),
        Command::Conformance(args) => conformance(args).await,
        Command::Explain(args) => explain(args).await,
        Command::Completion(args) => {
            completion(args, Cli::command());
            Ok(0)
        }
        Command::Man(args) => Ok(man(args, Cli::command()).map(|()| 0)?),
        Command::Connect(args) => Ok(connect(args).await?.exit_code()),
        Command::Validate(args) => {
            let findings = validate(args)?;
            for finding in &findings {
                say(&finding.to_string());
            }
            Ok(u8::from(!findings.iter().all(|found| found.is_warning)))
        }
    }
}
