//! Prints a list, and with `--watch` what changes in it.

use std::time::Duration;

use crate::cluster::Changes;
use crate::print::{Format, Printer, Row};
use crate::run::StopSignal;

/// How often what tells no changes is read again.
const POLL: Duration = Duration::from_secs(1);

/// Prints what `rows` gives. With `changes` goes on until SIGINT or SIGTERM: reads again at each change, and each
/// second if there is nobody who tells changes (`polls`).
///
/// # Errors
///
/// When `rows` fails, or a row cannot be written in the format.
pub async fn show<R: Row>(
    format: Format,
    changes: Option<Changes>,
    polls: bool,
    mut rows: impl FnMut() -> anyhow::Result<Vec<R>>,
) -> anyhow::Result<()> {
    let mut printer = Printer::new(format, changes.is_some());
    let first = rows()?;
    if first.is_empty() && format == Format::Table {
        eprintln!("nothing found");
    }
    printer.print(first)?;
    let Some(mut changes) = changes else {
        return Ok(());
    };
    let mut stop = StopSignal::new()?;
    loop {
        tokio::select! {
            () = stop.received() => return Ok(()),
            () = changes.next() => {}
            () = tokio::time::sleep(POLL), if polls => {}
        }
        printer.print(rows()?)?;
    }
}
