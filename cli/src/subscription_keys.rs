//! `tidegate keys`: the keys of subscriptions.

mod row;
mod show;

use clap::{Args, Subcommand, ValueEnum};
use tidegate_api::Subscription;

use crate::cluster::Changes;
use crate::follow;
use crate::print::Format;
use crate::subscriptions::{Action, Change, ChangeArgs, apply};
use crate::target::{Target, TargetArgs};
use row::KeyRow;

/// Lists, shows and renews the keys of subscriptions.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    List(ListArgs),
    Show(ShowArgs),
    Rotate(RotateArgs),
}

/// Lists the keys of all subscriptions: generation and the first digits of the SHA-256, never the keys themselves.
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    /// Go on, and print what changes.
    #[arg(long, short)]
    watch: bool,
}

/// Prints a key of a subscription, and nothing else: `curl -H "…: $(tidegate keys show NAME)"`.
///
/// In a cluster the right to read the Secret with the keys is needed.
///
/// Exit status: 0 when the key is printed; 1 when the subscription has no such key; 2 when the command cannot run.
#[derive(Debug, Args)]
struct ShowArgs {
    /// The subscription.
    #[arg(value_name = "[NAMESPACE/]NAME")]
    name: String,
    /// Print the secondary key, not the primary one.
    #[arg(long)]
    secondary: bool,
    #[command(flatten)]
    target: TargetArgs,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: KeyFormat,
}

/// How a key is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum KeyFormat {
    /// The key alone.
    #[default]
    Text,
    /// JSON with the subscription, the Secret and the key.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Renews a generated key of subscriptions. The old key stops at once, and its tunnels close.
///
/// To lose no client: give clients the secondary key, renew the primary one, give them the new primary one, then
/// renew the secondary one.
///
/// Exit status: 0 when the keys are renewed; 1 when one cannot be, or is not in effect in time; 2 when the command
/// cannot run.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
struct RotateArgs {
    /// Renew the primary key.
    #[arg(long, group = "which")]
    primary: bool,
    /// Renew the secondary key.
    #[arg(long, group = "which")]
    secondary: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs the command and returns the exit status.
///
/// # Errors
///
/// When the cluster or the manifests cannot be read.
pub async fn keys(args: &KeysArgs) -> anyhow::Result<u8> {
    match &args.command {
        KeysCommand::List(args) => list(args).await.map(|()| 0),
        KeysCommand::Show(args) => show::show(args).await,
        KeysCommand::Rotate(args) => {
            let change = Change {
                action: Action::Rotate {
                    primary: args.primary,
                    secondary: args.secondary,
                },
                names: &args.change.names,
                timeout: args.change.timeout.get(),
                output: args.change.output,
            };
            apply(&change, &args.change.target).await
        }
    }
}

async fn list(args: &ListArgs) -> anyhow::Result<()> {
    let changes = args.watch.then(Changes::default);
    match args.target.open().await? {
        Target::Manifests(mut manifests) => {
            let rows = || Ok(KeyRow::of_all(manifests.read().subscriptions()));
            follow::show(args.output, changes, true, rows).await
        }
        Target::Cluster(cluster) => {
            let followed = cluster.follow::<Subscription>("", changes.as_ref()).await?;
            let rows = || Ok(KeyRow::of_all(followed.objects()));
            follow::show(args.output, changes, false, rows).await
        }
    }
}
