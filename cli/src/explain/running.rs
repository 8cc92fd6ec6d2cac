//! Asks running gateways for a trace, through their admin servers.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use tidegate_config::error_chain;
use tidegate_gateway::Question;
use tidegate_gateway::trace::Trace;

use crate::running::RunningArgs;

/// The trace of a handshake that is not made, by the first Gateway that has a route for it; one pod of each is asked.
pub(super) async fn explain(args: &RunningArgs, question: &Question) -> anyhow::Result<Trace> {
    let mut asked = BTreeSet::new();
    let (mut first, mut failure) = (None, None);
    for running in args.find().await? {
        if let Some(gateway) = &running.gateway
            && asked.contains(gateway)
        {
            continue;
        }
        match running.server.post::<Trace>("/explain", question).await {
            Ok(trace) if trace.route.is_some() => return Ok(trace),
            Ok(trace) => {
                first.get_or_insert(trace);
                asked.extend(running.gateway.clone());
            }
            // Another pod of the Gateway may answer.
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    match (first, failure) {
        (Some(trace), failure) => {
            if let Some(error) = failure {
                eprintln!("{}", error_chain(error.as_ref()));
            }
            Ok(trace)
        }
        (None, Some(error)) => Err(error),
        (None, None) => bail!("no gateway was asked"),
    }
}

/// The trace of an earlier handshake, of the gateway that has it.
pub(super) async fn trace(args: &RunningArgs, id: &str) -> anyhow::Result<Trace> {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !id.chars().all(is_id) {
        bail!("{id:?} is not a trace ID");
    }
    let mut failure = None;
    for running in args.find().await? {
        match running.server.find(&format!("/traces/{id}")).await {
            Ok(Some(trace)) => return Ok(trace),
            Ok(None) => {}
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => None.with_context(|| format!("no gateway has a trace {id}")),
    }
}
