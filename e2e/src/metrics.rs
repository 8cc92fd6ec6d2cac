//! Reads a program's metrics as Prometheus would.

use std::net::SocketAddr;

use anyhow::{Context, ensure};

use crate::http;

/// One scrape.
#[derive(Clone, Debug)]
pub struct Scrape {
    text: String,
}

impl Scrape {
    /// Scrapes `/metrics`.
    pub async fn of(admin: SocketAddr) -> anyhow::Result<Self> {
        let (status, text) = http::get(admin, "/metrics").await?;
        ensure!(status == 200, "/metrics: {status} {text}");
        Ok(Self { text })
    }

    /// Sum of all series of a metric that have these labels; `None` without any.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> anyhow::Result<Option<f64>> {
        let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect();
        let mut sum = None;
        for line in self.text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').context("a line without value")?;
            let (name, set) = series.split_once('{').unwrap_or((series, ""));
            if name == metric && labels.iter().all(|label| set.contains(label)) {
                *sum.get_or_insert(0.0) += value.parse::<f64>()?;
            }
        }
        Ok(sum)
    }

    /// The same, an error without any series.
    pub fn value(&self, metric: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let sum = self.sum(metric, labels)?;
        sum.with_context(|| {
            let lines = self.text.lines().filter(|line| line.contains(metric));
            let lines: Vec<_> = lines.collect();
            format!("no series {metric} with {labels:?} in {lines:#?}")
        })
    }
}
