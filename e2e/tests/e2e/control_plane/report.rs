//! The table.

use std::time::Duration;

use super::world::Size;

/// Rows of a table in Markdown.
pub(super) struct Report(String);

impl Report {
    pub(super) fn new(size: Size) -> Self {
        let Size {
            apis,
            products,
            subscriptions,
        } = size;
        let title = format!("{apis} APIs, {products} products, {subscriptions} subscriptions");
        Self(format!("| {title} | |\n| --- | --- |\n"))
    }

    /// Adds a row, and shows it while the rest is measured.
    pub(super) fn row(&mut self, what: &str, value: impl AsRef<str>) {
        let row = format!("| {what} | {} |\n", value.as_ref());
        print!("{row}");
        self.0.push_str(&row);
    }

    /// Prints the table; writes it into the file of TIDEGATE_BENCH_PAGE, if that is set.
    pub(super) fn print(self) -> anyhow::Result<()> {
        println!("\n{}", self.0);
        if let Some(page) = std::env::var_os("TIDEGATE_BENCH_PAGE") {
            std::fs::write(page, self.0)?;
        }
        Ok(())
    }
}

/// Median and 99th percentile.
pub(super) fn spread(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len() - 1));
    match (at(50), at(99)) {
        (Some(median), Some(worst)) => {
            format!("{} / {} ms", median.as_millis(), worst.as_millis())
        }
        _ => "nothing".to_owned(),
    }
}
