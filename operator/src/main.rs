//! The operator's process: flags, log, runtime.

use std::process::ExitCode;

use clap::Parser;
use tidegate_operator::{Settings, error_chain, run};
use tracing_subscriber::EnvFilter;

/// sysexits.h: the command was used incorrectly.
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let settings = match Settings::try_parse() {
        Ok(settings) => settings,
        Err(error) => {
            // Help and version are no errors.
            let code = if error.use_stderr() { EX_USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    if let Err(error) = start_log(&settings) {
        eprintln!("tidegate-operator: {}", error_chain(error.as_ref()));
        return ExitCode::from(EX_USAGE);
    }
    match serve(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn start_log(settings: &Settings) -> anyhow::Result<()> {
    let filter: EnvFilter = settings.log_level.parse()?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if settings.log_json {
        log.json().init();
    } else {
        log.with_ansi(false).init();
    }
    Ok(())
}

fn serve(settings: Settings) -> anyhow::Result<()> {
    // More than one provider could be compiled in; this one is used.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        anyhow::bail!("a TLS provider is installed already");
    }
    // A plan blocks its thread; watches, writes and probes need another.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(settings))?;
    Ok(())
}
