//! What the programs use and write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tidegate_e2e::http;
use tidegate_e2e::program::Operator;
use tidegate_e2e::scene::Served;

/// Nothing was written for so long: everything is settled.
pub(super) const STILL: Duration = Duration::from_secs(3);

/// Everything is settled within this time.
const LIMIT: Duration = Duration::from_secs(1_800);

/// CPU time of both programs, in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    operator: f64,
    gateway: f64,
}

impl Usage {
    pub(super) fn of(operator: &Operator, edge: &Served) -> anyhow::Result<Self> {
        Ok(Self {
            operator: cpu(operator.process.id())?,
            gateway: cpu(edge.gateway.process.id())?,
        })
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            operator: self.operator - before.operator,
            gateway: self.gateway - before.gateway,
        }
    }

    /// Of each of `changes`.
    pub(super) fn summary(self, changes: usize) -> String {
        let each = |total: f64| total / changes as f64;
        format!("{:.1} / {:.1} ms", each(self.operator), each(self.gateway))
    }
}

/// Milliseconds of CPU of a process, threads that have ended included. The kernel counts in steps of 10.
fn cpu(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may have spaces.
    let (_, fields) = text.rsplit_once(')').context("no such line")?;
    let spent = fields.split_whitespace().skip(11).take(2);
    let spent = spent.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(spent * 10.0)
}

/// MiB of a line of /proc/PID/status.
pub(super) fn memory(pid: u32, line: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = found.and_then(|text| text.split_whitespace().next());
    Ok(kib.context("no such line")?.parse::<u64>()? / 1024)
}

/// What the operator wrote, by kind and verb.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Writes(BTreeMap<String, f64>);

impl Writes {
    pub(super) async fn of(operator: &Operator) -> anyhow::Result<Self> {
        let (status, text) = http::get(operator.admin, "/metrics").await?;
        ensure!(status == 200, "{status} {text}");
        let counted = [
            "tidegate_operator_applies_total{",
            "tidegate_operator_status_writes_total{",
            "tidegate_operator_events_total{",
            "tidegate_operator_plans_total",
            "tidegate_operator_pass_duration_seconds_count",
        ];
        let lines = text.lines().filter_map(|line| {
            let name = counted.iter().find(|name| line.starts_with(**name))?;
            let (labels, value) = line.rsplit_once(' ')?;
            let labels = labels
                .replace("tidegate_operator_", "")
                .replace(['"', '}'], "");
            let labels = labels.replace("_total{", " ").replace("kind=", "");
            let short = labels.replace("verb=", "").replace("result=", "");
            let _ = name;
            Some((short, value.parse().ok()?))
        });
        Ok(Self(lines.collect()))
    }

    /// What was written once nothing more is.
    pub(super) async fn settled(operator: &Operator) -> anyhow::Result<Self> {
        let start = Instant::now();
        let (mut last, mut since) = (Self::of(operator).await?, Instant::now());
        while since.elapsed() < STILL {
            ensure!(start.elapsed() < LIMIT, "it writes on and on: {last:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = Self::of(operator).await?;
            if now.written() != last.written() {
                since = Instant::now();
            }
            last = now;
        }
        Ok(last)
    }

    fn written(&self) -> f64 {
        let counted = self.0.iter();
        let written =
            counted.filter(|(name, _)| !name.starts_with("pl") && !name.starts_with("pass"));
        written.map(|(_, count)| count).sum()
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        let count = |(name, count): (&String, &f64)| {
            let before = before.0.get(name).copied().unwrap_or_default();
            (name.clone(), count - before)
        };
        Self(self.0.iter().map(count).collect())
    }

    /// Of each of `changes`, each kind by name.
    pub(super) fn summary(&self, changes: usize) -> String {
        let counted = self.0.iter().filter(|(_, count)| **count > 0.0);
        let each = counted.map(|(name, count)| format!("{name} {:.1}", count / changes as f64));
        each.collect::<Vec<_>>().join("; ")
    }
}
