//! `tidegate subscriptions`: who has asked for access, and what becomes of it.

mod apply;
mod decide;
mod row;

use clap::{Args, Subcommand};
use tidegate_api::{Subscription, SubscriptionPhase};
use tidegate_config::Duration;

use crate::cluster::Changes;
use crate::follow::show;
use crate::planned::key_of;
use crate::print::{Format, word};
use crate::target::{Target, TargetArgs};
use row::SubscriptionRow;

pub(crate) use apply::{Change, apply};
pub(crate) use decide::Action;

/// Lists subscriptions, and decides about them.
#[derive(Debug, Args)]
pub struct SubscriptionsArgs {
    #[command(subcommand)]
    command: SubscriptionsCommand,
}

#[derive(Debug, Subcommand)]
enum SubscriptionsCommand {
    List(ListArgs),
    /// Approves subscriptions to a product that asks for approval.
    ///
    /// An approval holds for the terms of the moment: scope, owner, end and tracing. One that was given for other
    /// terms is given anew. Needs the verb approve on subscriptions.tidegate.dev where the chart's policy is in effect.
    ///
    /// Exit status: 0 when all are approved; 1 when one cannot be, or is not in effect in time; 2 when the command
    /// cannot run.
    Approve(ChangeArgs),
    /// Rejects subscriptions: their keys open nothing, and tunnels close.
    ///
    /// Exit status: 0 when all are rejected; 1 when one cannot be, or is not in effect in time; 2 when the command
    /// cannot run.
    Reject(ChangeArgs),
    /// Suspends subscriptions: their keys open nothing for now, and tunnels close.
    ///
    /// Exit status: 0 when all are suspended; 1 when one cannot be, or is not in effect in time; 2 when the command
    /// cannot run.
    Suspend(ChangeArgs),
    /// Resumes suspended subscriptions.
    ///
    /// Exit status: 0 when all are resumed; 1 when one cannot be, or is not in effect in time; 2 when the command
    /// cannot run.
    Resume(ChangeArgs),
    /// Cancels subscriptions for good: their keys open nothing, and tunnels close.
    ///
    /// Exit status: 0 when all are cancelled; 1 when one cannot be, or is not in effect in time; 2 when the command
    /// cannot run.
    Cancel(ChangeArgs),
}

/// Lists subscriptions: state, scope, owner, end, and what is not as it should be.
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only those in this state: Submitted, Active, Suspended, Rejected, Cancelled, Expired.
    #[arg(long, value_name = "STATE", value_parser = state, ignore_case = true)]
    state: Option<SubscriptionPhase>,
    /// Only those to this product.
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// Only those of this owner.
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    /// Go on, and print what changes.
    #[arg(long, short)]
    watch: bool,
}

/// What to change, and how long to wait.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Subscriptions.
    #[arg(required = true, value_name = "[NAMESPACE/]NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// How long to wait until every gateway pod serves the change. 0: do not wait.
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    pub(crate) timeout: Duration,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Runs the command and returns the exit status.
///
/// # Errors
///
/// When the cluster or the manifests cannot be read.
pub async fn subscriptions(args: &SubscriptionsArgs) -> anyhow::Result<u8> {
    let (action, args) = match &args.command {
        SubscriptionsCommand::List(args) => return list(args).await.map(|()| 0),
        SubscriptionsCommand::Approve(args) => (Action::Approve, args),
        SubscriptionsCommand::Reject(args) => (Action::Reject, args),
        SubscriptionsCommand::Suspend(args) => (Action::Suspend, args),
        SubscriptionsCommand::Resume(args) => (Action::Resume, args),
        SubscriptionsCommand::Cancel(args) => (Action::Cancel, args),
    };
    let change = Change {
        action,
        names: &args.names,
        timeout: args.timeout.get(),
        output: args.output,
    };
    apply(&change, &args.target).await
}

fn state(text: &str) -> Result<SubscriptionPhase, String> {
    use SubscriptionPhase as P;
    let all = [
        P::Submitted,
        P::Active,
        P::Suspended,
        P::Rejected,
        P::Cancelled,
        P::Expired,
    ];
    let found = all
        .into_iter()
        .find(|state| word(state).eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        "write Submitted, Active, Suspended, Rejected, Cancelled or Expired".to_owned()
    })
}

impl ListArgs {
    fn has(&self, subscription: &Subscription) -> bool {
        let (spec, status) = (&subscription.spec, subscription.status.as_ref());
        let state = status.and_then(|status| status.state);
        let product = spec.scope.product.as_ref();
        (self.state.is_none() || self.state == state)
            && (self.product.is_none() || self.product.as_ref() == product)
            && (self.owner.is_none() || self.owner == spec.owner)
    }

    fn rows<'s>(&self, all: impl IntoIterator<Item = &'s Subscription>) -> Vec<SubscriptionRow> {
        let mut shown: Vec<_> = all.into_iter().filter(|one| self.has(one)).collect();
        shown.sort_by_key(|one| key_of(one));
        shown.into_iter().map(SubscriptionRow::of).collect()
    }
}

async fn list(args: &ListArgs) -> anyhow::Result<()> {
    let changes = args.watch.then(Changes::default);
    match args.target.open().await? {
        Target::Manifests(mut manifests) => {
            let rows = || {
                let all = manifests.read().subscriptions();
                Ok(args.rows(all.iter().map(AsRef::as_ref)))
            };
            show(args.output, changes, true, rows).await
        }
        Target::Cluster(cluster) => {
            let followed = cluster.follow::<Subscription>("", changes.as_ref()).await?;
            let rows = || Ok(args.rows(followed.objects().iter().map(AsRef::as_ref)));
            show(args.output, changes, false, rows).await
        }
    }
}
