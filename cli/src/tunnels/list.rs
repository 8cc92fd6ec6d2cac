//! Lists tunnels, page by page, gateway by gateway.

use std::time::Duration;

use tidegate_gateway::{TunnelPage, TunnelQuery};
use url::form_urlencoded::Serializer;

use super::ListArgs;
use super::row::TunnelRow;
use crate::admin_client::AdminServer;
use crate::print::{Format, Printer};
use crate::run::StopSignal;
use crate::running::Running;

/// Tunnels of a page at most: what the admin server allows.
const PAGE: usize = 1000;

/// How often to look again with `--watch`.
const LOOK: Duration = Duration::from_secs(2);

/// Exit status when a gateway did not answer.
const UNANSWERED: u8 = 1;

/// What was found, and whether everybody answered.
struct Found {
    rows: Vec<TunnelRow>,
    hidden: usize,
    complete: bool,
}

pub(super) async fn list(args: &ListArgs) -> anyhow::Result<u8> {
    let running = args.running.find().await?;
    let query = args
        .filter
        .query(&args.running.cluster.default_namespace().await);
    let mut printer = Printer::new(args.output, args.watch);
    let mut found = find(args, &running, &query).await;
    if found.rows.is_empty() && args.output == Format::Table {
        eprintln!("nothing found");
    }
    let mut stop = StopSignal::new()?;
    loop {
        if found.hidden > 0 && args.output == Format::Table {
            eprintln!("{} more are not shown: raise --limit", found.hidden);
        }
        let rows = found.rows.into_iter();
        let rows = match args.watch {
            true => rows.map(TunnelRow::without_age).collect(),
            false => rows.collect(),
        };
        printer.print(rows)?;
        if !args.watch {
            break;
        }
        tokio::select! {
            () = stop.received() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
        found = find(args, &running, &query).await;
    }
    Ok(if found.complete { 0 } else { UNANSWERED })
}

async fn find(args: &ListArgs, running: &[Running<'_>], query: &TunnelQuery) -> Found {
    let mut found = Found {
        rows: Vec::new(),
        hidden: 0,
        complete: true,
    };
    for one in running {
        if let Err(error) = read(args, &one.server, query, &mut found).await {
            eprintln!("{}", tidegate_config::error_chain(error.as_ref()));
            found.complete = false;
        }
    }
    found
}

/// All pages of one gateway, up to the limit.
async fn read(
    args: &ListArgs,
    server: &AdminServer<'_>,
    query: &TunnelQuery,
    found: &mut Found,
) -> anyhow::Result<()> {
    let mut left = match args.limit {
        0 => usize::MAX,
        limit => limit,
    };
    let mut from = 0;
    loop {
        let path = path(query, from, left.min(PAGE));
        let page: TunnelPage = server.get(&path).await?;
        let (count, matched) = (page.tunnels.len(), page.matched);
        let rows = page.tunnels.into_iter();
        found
            .rows
            .extend(rows.map(|tunnel| TunnelRow::new(server.name.clone(), tunnel)));
        left = left.saturating_sub(count);
        match page.next {
            Some(next) if left > 0 => from = next,
            Some(_) => {
                found.hidden += matched.saturating_sub(args.limit);
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}

fn path(query: &TunnelQuery, from: u64, limit: usize) -> String {
    let mut pairs = Serializer::new(String::new());
    let client = query.client.map(|client| client.to_string());
    for (name, value) in [
        ("id", &query.id),
        ("api", &query.api),
        ("product", &query.product),
        ("subscription", &query.subscription),
        ("listener", &query.listener),
        ("client", &client),
    ] {
        if let Some(value) = value {
            pairs.append_pair(name, value);
        }
    }
    pairs.append_pair("from", &from.to_string());
    pairs.append_pair("limit", &limit.to_string());
    format!("/tunnels?{}", pairs.finish())
}
