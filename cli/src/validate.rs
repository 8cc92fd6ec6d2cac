//! `tidegate validate`: the answer of the API server and of the operator, offline.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tidegate_plan::Planner;

use crate::finding::Finding;
use crate::keys;
use crate::manifest;
use crate::objects::Loader;
use crate::world::{findings, world};

/// Checks manifests as the API server and the operator would, without either.
///
/// Prints one line per finding: file, object, field, what to change. Exit status: 0 nothing found, or
/// only warnings, 1 something found, 2 bad arguments.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Files, or directories with *.yaml and *.yml files.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
}

/// All findings, in order of file and line.
pub fn validate(args: &ValidateArgs) -> anyhow::Result<Vec<Finding>> {
    let files = manifest::files(&args.paths).context("failed to list the directory")?;
    let objects = Loader::default().load(&files);
    let mut world = world(&objects, jiff::Timestamp::now().as_second());
    let mut planner = Planner::default();
    // Keys that would be generated are no finding: assume them.
    for request in &planner.plan(&world).key_requests {
        let secret = world.secrets.entry(request.secret.clone()).or_default();
        keys::fill(request, Arc::make_mut(secret));
    }
    let mut all = findings(&planner.plan(&world), &objects);
    all.extend(objects.findings);
    all.sort();
    Ok(all)
}
