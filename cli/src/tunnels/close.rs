//! Closes tunnels, gateway by gateway.

use serde::Serialize;
use tidegate_gateway::{CloseTunnels, ClosedTunnels};

use super::CloseArgs;
use crate::print::{Format, Printer, Row};
use crate::run::say;

/// Exit status when nothing was closed, or a gateway did not answer.
const NOT_DONE: u8 = 1;

/// How many tunnels one gateway closes.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ClosedRow {
    gateway: String,
    closed: usize,
}

impl Row for ClosedRow {
    const COLUMNS: &'static [&'static str] = &["GATEWAY", "CLOSED"];

    fn cells(&self) -> Vec<String> {
        vec![self.gateway.clone(), self.closed.to_string()]
    }

    fn id(&self) -> String {
        self.gateway.clone()
    }

    fn name(&self) -> String {
        self.gateway.clone()
    }
}

pub(super) async fn close(args: &CloseArgs) -> anyhow::Result<u8> {
    let running = args.running.find().await?;
    let request = CloseTunnels {
        filter: args
            .filter
            .query(&args.running.cluster.default_namespace().await),
        all: args.all,
        code: Some(args.code),
        reason: args.reason.clone(),
    };
    let (mut rows, mut complete) = (Vec::new(), true);
    for one in &running {
        match one
            .server
            .post::<ClosedTunnels>("/tunnels/close", &request)
            .await
        {
            Ok(ClosedTunnels { closed }) => rows.push(ClosedRow {
                gateway: one.server.name.clone(),
                closed,
            }),
            Err(error) => {
                eprintln!("{}", tidegate_config::error_chain(error.as_ref()));
                complete = false;
            }
        }
    }
    let closed: usize = rows.iter().map(|row| row.closed).sum();
    match args.output {
        Format::Table => say(&summary(closed, rows.len())),
        Format::Json | Format::Yaml | Format::Name => {
            Printer::new(args.output, false).print(rows)?;
        }
    }
    Ok(if closed > 0 && complete { 0 } else { NOT_DONE })
}

fn summary(closed: usize, gateways: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!(
        "{closed} tunnel{} closed on {gateways} gateway{}",
        plural(closed),
        plural(gateways)
    )
}
