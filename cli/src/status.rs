//! `tidegate status`: Gateways, pods, revisions, laggards, and objects that are not well.

mod collect;
mod planned;
mod rows;
mod view;

use clap::Args;

use crate::cluster::{Changes, Cluster, Trouble};
use crate::print::{Format, Printer, print_value, yaml};
use crate::run::{StopSignal, print_out, say};
use crate::target::{Target, TargetArgs};
use rows::{GatewayRow, PodRow};
use view::View;

pub(crate) use planned::view as planned_view;
pub(crate) use rows::ObjectRow;
pub(crate) use view::View as StatusView;

/// How often manifests are read again, and pods are looked at that may have fallen silent.
const POLL: std::time::Duration = std::time::Duration::from_secs(2);

/// Exit status when something is not well.
const NOT_WELL: u8 = 1;

/// Shows Gateways, their pods and revisions, and every object that is not well, with what to change.
///
/// Of manifests (--dir) it shows what follows from them; pods are shown of a cluster only.
///
/// Exit status: 0 when all is well; 1 when something is not; 2 when the command cannot run.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    /// Go on, and print what changes.
    #[arg(long, short)]
    watch: bool,
}

/// Prints the status and returns the exit status.
///
/// # Errors
///
/// When the cluster or the manifests cannot be read.
pub async fn status(args: &StatusArgs) -> anyhow::Result<u8> {
    let changes = args.watch.then(Changes::default);
    match args.target.open().await? {
        Target::Manifests(mut manifests) => {
            let view = || Ok(planned::view(&manifests.read()));
            show(args.output, changes, view).await
        }
        Target::Cluster(cluster) => {
            let kinds = collect::Kinds::follow(&cluster, changes.as_ref()).await?;
            show(args.output, changes, || Ok(kinds.view())).await
        }
    }
}

/// The status of a cluster at this moment.
///
/// # Errors
///
/// [`Trouble`]: the API server refuses or does not answer.
pub(crate) async fn observe(cluster: &Cluster) -> Result<View, Trouble> {
    Ok(collect::Kinds::follow(cluster, None).await?.view())
}

/// A pod in this state.
#[cfg(test)]
pub(crate) fn pod_row(state: &str, problem: &str) -> PodRow {
    PodRow {
        namespace: "shop".to_owned(),
        gateway: "edge".to_owned(),
        pod: format!("edge-{state}"),
        revision: 1,
        state: match state {
            "current" => rows::PodState::Current,
            _ => rows::PodState::Lagging,
        },
        problems: [problem]
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| (*text).to_owned())
            .collect(),
    }
}

async fn show(
    format: Format,
    changes: Option<Changes>,
    mut view: impl FnMut() -> anyhow::Result<View>,
) -> anyhow::Result<u8> {
    let mut tables = Tables::new(format, changes.is_some());
    let mut last = view()?;
    tables.print(&last)?;
    if let Some(mut changes) = changes {
        let mut stop = StopSignal::new()?;
        loop {
            tokio::select! {
                () = stop.received() => break,
                () = changes.next() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            last = view()?;
            tables.print(&last)?;
        }
    }
    Ok(if last.is_well() { 0 } else { NOT_WELL })
}

/// One table for each part, or one JSON or YAML document for all.
struct Tables {
    format: Format,
    is_watch: bool,
    last: Option<View>,
    gateways: Printer<GatewayRow>,
    pods: Printer<PodRow>,
    objects: Printer<ObjectRow>,
}

impl Tables {
    const fn new(format: Format, is_watch: bool) -> Self {
        Self {
            format,
            is_watch,
            last: None,
            gateways: Printer::new(format, is_watch),
            pods: Printer::new(format, is_watch),
            objects: Printer::new(format, is_watch),
        }
    }

    fn print(&mut self, view: &View) -> anyhow::Result<()> {
        if self.last.as_ref() == Some(view) {
            return Ok(());
        }
        let is_first = self.last.replace(view.clone()).is_none();
        match self.format {
            Format::Json if self.is_watch => print_out(&serde_json::to_string(view)?)?,
            Format::Yaml if self.is_watch => print_out(&format!("---\n{}", yaml(view)?))?,
            Format::Json | Format::Yaml => print_value(self.format, view)?,
            Format::Name => self.objects.print(view.objects.clone())?,
            Format::Table => self.tables(view, is_first)?,
        }
        Ok(())
    }

    fn tables(&mut self, view: &View, is_first: bool) -> anyhow::Result<()> {
        if view.gateways.is_empty() && is_first && !view.is_incomplete {
            say("there is no Gateway");
        }
        self.gateways.print(view.gateways.clone())?;
        if is_first && !view.pods.is_empty() {
            say("");
        }
        self.pods.print(view.pods.clone())?;
        if is_first {
            say("");
        }
        self.objects.print(view.objects.clone())?;
        if is_first && view.objects.is_empty() && !view.is_incomplete {
            say("every object is well");
        }
        Ok(())
    }
}
