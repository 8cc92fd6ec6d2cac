//! The program `tidegate`.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches as _, Parser, Subcommand};
use tidegate_cli::check::{CheckArgs, check};
use tidegate_cli::completion::{CompletionArgs, ManArgs, VersionArgs, completion, man, version};
use tidegate_cli::conformance::{ConformanceArgs, conformance};
use tidegate_cli::connect::{ConnectArgs, connect};
use tidegate_cli::demo::{DemoArgs, demo};
use tidegate_cli::echo::{EchoArgs, run_echo};
use tidegate_cli::explain::{ExplainArgs, explain};
use tidegate_cli::import::{ImportArgs, import};
use tidegate_cli::log;
use tidegate_cli::plugin::{Invocation, complete};
use tidegate_cli::run::{RunArgs, print_out, run, say};
use tidegate_cli::schema::{SchemaArgs, schema};
use tidegate_cli::status::{StatusArgs, status};
use tidegate_cli::subscription_keys::{KeysArgs, keys};
use tidegate_cli::subscriptions::{SubscriptionsArgs, subscriptions};
use tidegate_cli::tunnels::{TunnelsArgs, tunnels};
use tidegate_cli::validate::{ValidateArgs, validate};
use tidegate_config::{InvalidLogFilter, check_log_filter, error_chain};
use tikv_jemallocator::Jemalloc;

/// The gateway's, which `run` and `demo` are.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// WebSocket API management, with or without Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version)]
struct Cli {
    /// Log level of the gateway (off, error, warn, info, debug, trace), or a filter such as tidegate=debug. Logs go to
    /// standard error. Default: warn, and handshakes that are not accepted; the whole access log has level info.
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_LOG",
        value_parser = log_filter,
        value_name = "FILTER"
    )]
    log: Option<String>,
    /// Form of the log. Default: text if standard error is a terminal, otherwise json.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    log_format: Option<log::Format>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(DemoArgs),
    Run(RunArgs),
    Validate(ValidateArgs),
    Explain(ExplainArgs),
    Status(StatusArgs),
    Check(CheckArgs),
    Keys(KeysArgs),
    Subscriptions(SubscriptionsArgs),
    Tunnels(TunnelsArgs),
    Import(ImportArgs),
    Connect(ConnectArgs),
    Conformance(ConformanceArgs),
    Echo(EchoArgs),
    Schema(SchemaArgs),
    Completion(CompletionArgs),
    Man(ManArgs),
    Version(VersionArgs),
}

/// A filter that says something: a misspelt level would be taken for the name of a target.
fn log_filter(text: &str) -> Result<String, InvalidLogFilter> {
    check_log_filter(text).map(|()| text.to_owned())
}

/// Exit status when the arguments are bad or the command cannot run.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let invocation = Invocation::of(std::env::args_os().next().as_deref());
    if invocation == Invocation::Completion {
        let words: Vec<_> = std::env::args().skip(1).collect();
        say(&complete(Cli::command(), &words));
        return ExitCode::SUCCESS;
    }
    let matches = invocation.named(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match start(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("tidegate: {}", error_chain(error.as_ref()));
            ExitCode::from(FAILED)
        }
    }
}

fn start(cli: &Cli) -> anyhow::Result<u8> {
    log::start(cli.log.as_deref(), cli.log_format)?;
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
        Command::Check(args) => check(args).await,
        Command::Status(args) => status(args).await,
        Command::Keys(args) => keys(args).await,
        Command::Subscriptions(args) => subscriptions(args).await,
        Command::Tunnels(args) => tunnels(args).await,
        Command::Completion(args) => {
            say(completion(args, Cli::command()).trim_end());
            Ok(0)
        }
        Command::Schema(args) => {
            print_out(&schema(args)?)?;
            Ok(0)
        }
        Command::Version(_) => {
            say(&version());
            Ok(0)
        }
        Command::Man(args) => man(args, Cli::command()).map(|()| 0),
        Command::Connect(args) => Ok(connect(args).await?.exit_code()),
        Command::Validate(args) => {
            let report = validate(args)?;
            print_out(&report.render(args.output)?)?;
            Ok(u8::from(report.has_errors()))
        }
    }
}
