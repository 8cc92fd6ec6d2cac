//! `tidegate validate`: the checks of the API server and of the operator, offline.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tidegate_plan::Planner;

use crate::finding::Finding;
use crate::keys;
use crate::manifest;
use crate::objects::{Loader, Objects};
use crate::world::{findings, world};

/// Checks manifests as the API server and the operator would, without a cluster.
///
/// Prints one line for each finding: file, object, field, what to change. Exit status: 0 when there are no
/// findings or only warnings, 1 when there are others, 2 for bad arguments.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Files, or directories with *.yaml and *.yml files.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
}

/// All findings in the files, in order of file and line.
///
/// # Errors
///
/// When a directory cannot be listed.
pub fn validate(args: &ValidateArgs) -> anyhow::Result<Vec<Finding>> {
    let files = manifest::files(&args.paths).context("failed to list the directory")?;
    Ok(check(Loader::default().load(&files)))
}

/// All findings in one YAML stream, in order of line. They name `file` as their place.
pub fn validate_text(file: &Path, text: &str) -> Vec<Finding> {
    let (mut documents, mut findings) = (Vec::new(), Vec::new());
    manifest::parse(file, text, &mut documents, &mut findings);
    check(Loader::default().load_documents(documents, findings))
}

fn check(objects: Objects) -> Vec<Finding> {
    let mut world = world(&objects, jiff::Timestamp::now().as_second());
    let mut planner = Planner::default();
    // Keys that the operator would generate are not missing.
    for request in &planner.plan(&world).key_requests {
        let secret = world.secrets.entry(request.secret.clone()).or_default();
        keys::fill(request, Arc::make_mut(secret));
    }
    let mut all = findings(&planner.plan(&world), &objects);
    all.extend(objects.findings);
    all.sort();
    all
}
