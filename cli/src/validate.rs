//! `tidegate validate`: the checks of the API server and of the operator, offline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::PossibleValuesParser;
use tidegate_api::API_VERSION;
use tidegate_plan::Planner;

use crate::finding::Finding;
use crate::input::{Input, InputArgs};
use crate::keys;
use crate::manifest;
use crate::objects::{CORE_KINDS, KINDS, Loader, Objects};
use crate::report::{Format, Report};
use crate::world::{is_broken, planned, world};

/// Checks manifests as the API server and the operator would, without a cluster.
///
/// Prints one line for each finding: file, line, object, field, what to change. The last line counts what was
/// checked and what was not. Exit status: 0 when there are no findings or only warnings, 1 when there are
/// others or when nothing was checked, 2 for bad arguments.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Where the manifests are.
    #[command(flatten)]
    pub input: InputArgs,
    /// Kinds whose objects are elsewhere, separated by commas: references to missing ones are counted, not
    /// reported. For example --external Secret,Gateway.
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new([KINDS.as_slice(), CORE_KINDS.as_slice()].concat()),
        hide_possible_values = true,
    )]
    pub external: Vec<String>,
    /// Format of the output.
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: Format,
}

/// Checks the files.
///
/// # Errors
///
/// When a path does not exist or standard input cannot be read.
pub fn validate(args: &ValidateArgs) -> anyhow::Result<Report> {
    let read = Input::open(&args.input)?.read(&[]);
    let objects = Loader::default().load_documents(read.documents, read.findings);
    let mut report = check(objects, &args.external);
    if report.checked.is_empty() && !report.has_errors() {
        let is_shallow = !args.input.recursive && args.input.paths.iter().any(|path| path.is_dir());
        let hint = match is_shallow {
            true => "; -R reads the directories below too",
            false => "",
        };
        let text = format!(
            "nothing was checked: there is no object with apiVersion {API_VERSION} here{hint}"
        );
        let place = args.input.paths.first();
        let place = place.map_or(Path::new("."), PathBuf::as_path);
        report.findings.push(Finding::of_file(place, 1, text));
    }
    Ok(report)
}

/// All findings in one YAML stream, in order of line. They name `file` as their place.
pub fn validate_text(file: &Path, text: &str) -> Vec<Finding> {
    let (mut documents, mut findings) = (Vec::new(), Vec::new());
    manifest::parse(file, text, &mut documents, &mut findings);
    check(Loader::default().load_documents(documents, findings), &[]).findings
}

fn check(objects: Objects, external: &[String]) -> Report {
    let mut world = world(&objects, jiff::Timestamp::now().as_second());
    let mut planner = Planner::default();
    // Keys that the operator would generate are not missing.
    for request in &planner.plan(&world).key_requests {
        let secret = world.secrets.entry(request.secret.clone()).or_default();
        keys::fill(request, Arc::make_mut(secret));
    }
    let plan = planner.plan(&world);
    let (mut findings, references) = planned(plan, &objects);
    let mut not_followed = BTreeMap::new();
    for (missing, finding) in references {
        if external.iter().any(|kind| kind == missing.kind) {
            *not_followed.entry(missing.kind.to_owned()).or_default() += 1;
        } else if !is_broken(&missing, &objects) {
            findings.push(finding);
        }
    }
    let (checked, read) = counts(&objects);
    findings.extend(objects.findings);
    findings.sort();
    findings.dedup();
    Report {
        findings,
        checked,
        read,
        skipped: objects.skipped,
        external: not_followed,
    }
}

/// How many objects of each kind: those of Tidegate, and those that they may name.
fn counts(objects: &Objects) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut checked, mut read) = (BTreeMap::new(), BTreeMap::new());
    for id in objects.all.keys().chain(&objects.broken) {
        let counts = match CORE_KINDS.contains(&id.kind.as_str()) {
            true => &mut read,
            false => &mut checked,
        };
        *counts.entry(id.kind.clone()).or_default() += 1;
    }
    (checked, read)
}
