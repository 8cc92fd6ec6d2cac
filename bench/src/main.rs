//! `tidegate-bench`: Tidegate beside nginx, HAProxy and Envoy, in one run on one machine.
//!
//! It knows Tidegate as a program with manifests, as its users do. Load and backend live in this
//! process; what is compared is the CPU time and memory of the proxies' processes, so that the
//! generator's cost is nobody's.

mod backend;
mod client;
mod credentials;
mod ends;
mod hold;
mod load;
mod peer;
mod process;
mod row;
mod run;
mod samples;
mod table;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use tokio::task::LocalSet;

use peer::{Kind, Programs};
use run::{Effort, Part};

/// Enough that a noisy round is outvoted.
const FULL: Effort = Effort {
    rounds: 5,
    time: Duration::from_secs(2),
    pairs: 4000,
    deaf: 100,
    ends: 10_000,
    cycles: 10,
};

const QUICK: Effort = Effort {
    rounds: 1,
    time: Duration::from_secs(1),
    pairs: 1000,
    deaf: 20,
    ends: 1000,
    cycles: 3,
};

/// Compares Tidegate with its peers and prints the tables.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    programs: Programs,
    /// A short run, for a look.
    #[arg(long)]
    quick: bool,
    /// Only these parts; the rows of others stay empty.
    #[arg(long, value_delimiter = ',', conflicts_with = "page")]
    only: Vec<Part>,
    /// How often each proxy has its turn.
    #[arg(long)]
    rounds: Option<usize>,
    /// The page that takes the tables.
    #[arg(long)]
    page: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Fails only when one is installed already, and then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut effort = if args.quick { QUICK } else { FULL };
    effort.rounds = args.rounds.unwrap_or(effort.rounds);
    keep_off_the_proxies()?;
    let about = about(&args.programs, effort)?;
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let run = run::run(&args.programs, effort, &args.only, dir.path());
    let (samples, ends) = LocalSet::new().block_on(&runtime, run)?;
    let ends = ends.map(|ends| ends.table()).transpose()?;
    let text = format!(
        "{about}\n{}{}",
        table::tables(&samples)?,
        ends.unwrap_or_default()
    );
    println!("{text}");
    if let Some(path) = args.page {
        let page = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        fs::write(&path, table::insert(&page, &text)?)?;
    }
    Ok(())
}

/// On the core of the proxies, this process would take their time, and they would wait for it.
fn keep_off_the_proxies() -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-p", "-c", "0", &pid])
        .stdout(Stdio::null())
        .status()
        .context("failed to run taskset (package util-linux)")?;
    anyhow::ensure!(status.success(), "taskset refuses core 0");
    Ok(())
}

/// With what, where, when and how the run is made.
fn about(programs: &Programs, effort: Effort) -> anyhow::Result<String> {
    let versions: Vec<_> = Kind::ALL
        .into_iter()
        .map(|kind| Ok(format!("{} {}", kind.name(), programs.version(kind)?)))
        .collect::<anyhow::Result<_>>()?;
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let cores = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown CPU", |model| {
        model.trim_start_matches([' ', '\t', ':'])
    });
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "{}; {}; {cores} cores of {model}, load {load} before the run. {} rounds of {} s per row and \
         proxy, {} idle pairs, {} slow readers, {} cycles of {} connects.\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        versions.join(", "),
        effort.rounds,
        effort.time.as_secs(),
        effort.pairs,
        effort.deaf,
        effort.cycles,
        effort.pairs,
    ))
}
