//! `tidegate check`: looks for what is wrong with an installation, and says it by name.

mod facts;
mod judge;
mod kinds;
mod operators;
mod planned;
mod rights;
mod row;

use std::time::Duration;

use clap::Args;

use crate::cluster::{Cluster, ClusterArgs};
use crate::print::{Format, Printer};
use crate::run::StopSignal;
use crate::target::{Target, TargetArgs};
use row::{CheckRow, Outcome};

/// How often to look again with `--watch`.
const LOOK: Duration = Duration::from_secs(5);

/// Exit status when a check failed.
const FAILED: u8 = 1;

/// Checks an installation: API server, kinds, operators and their rights, leader, images, pods, dependencies, Secrets.
///
/// Prints one line for each check. One that fails names the problem and says what to change. What may not be read is
/// not checked, and says so. Checks all namespaces unless you name one. Of manifests (--dir) it checks what follows
/// from them.
///
/// Exit status: 0 when no check failed; 1 when one did; 2 when the command cannot run.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Output format. The names are those of the problems.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    /// Go on, and print what changes.
    #[arg(long, short)]
    watch: bool,
}

/// Prints the checks and returns the exit status.
///
/// # Errors
///
/// When there is no kubeconfig, or the manifests cannot be read.
pub async fn check(args: &CheckArgs) -> anyhow::Result<u8> {
    let mut printer = Printer::new(args.output, args.watch);
    let mut target = args.all_namespaces().open().await?;
    let mut stop = StopSignal::new()?;
    loop {
        let rows = rows(&mut target).await?;
        let failed = rows.iter().any(|row| row.outcome == Outcome::Failed);
        let shown = rows.into_iter();
        let shown = shown.filter(|row| args.output != Format::Name || row.problem.is_some());
        printer.print(shown.collect())?;
        let status = if failed { FAILED } else { 0 };
        if !args.watch {
            return Ok(status);
        }
        tokio::select! {
            () = stop.received() => return Ok(status),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

impl CheckArgs {
    /// An installation is cluster-wide.
    fn all_namespaces(&self) -> TargetArgs {
        let cluster = &self.target.cluster;
        TargetArgs {
            cluster: ClusterArgs {
                all_namespaces: cluster.all_namespaces || cluster.namespace.is_none(),
                ..cluster.clone()
            },
            ..self.target.clone()
        }
    }
}

async fn rows(target: &mut Target) -> anyhow::Result<Vec<CheckRow>> {
    match target {
        Target::Manifests(manifests) => Ok(planned::rows(&manifests.read())),
        Target::Cluster(cluster) => Ok(of_cluster(cluster).await),
    }
}

async fn of_cluster(cluster: &Cluster) -> Vec<CheckRow> {
    let now = k8s_openapi::jiff::Timestamp::now();
    judge::judge(&facts::collect(cluster).await, now)
}
