//! `tidegate import apim`: policies and API definitions of Azure API Management to Tidegate.
//!
//! Policy documents (`policy`) become steps; templates (`arm`) and folders (`apiops`) become entities,
//! of which `build` makes manifests.

mod apiops;
mod arm;
mod build;
mod cel;
mod csharp;
mod entity;
mod field;
mod finding;
mod json;
mod policy;
mod probe;
mod steps;
mod xml;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use self::entity::Entity;
use self::finding::{Finding, Level};
use self::policy::{Context, Fragment, Fragments, Scope};
use crate::conformance::yaml;
use crate::run::say;
use crate::validate::{ValidateArgs, validate};

/// Translates what another product's users have.
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Apim(ApimArgs),
}

/// Translates policies and API definitions of Azure API Management.
///
/// ARM templates (also compiled from Bicep) and folders of APIOps become manifests: give all that
/// belong together at once. Of policy documents (XML), each becomes an `onHandshake` block, to be put
/// under `spec` of a Gateway, Product or WebSocketApi. What is not translated is listed on standard
/// error as FILE:LINE:COLUMN: LEVEL: TEXT; where a policy could have refused a handshake, a step that
/// refuses with 501 stands in its place. Exit status: 0 all translated, 1 something not, 2 bad
/// arguments or a file that cannot be read.
#[derive(Debug, Args)]
pub struct ApimArgs {
    /// Policy documents (*.xml), or ARM templates (*.json) and folders of APIOps.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Whose policies the documents are.
    #[arg(long, value_enum, default_value = "api")]
    scope: Scope,
    /// Name of the Gateway that gets all APIs.
    #[arg(long, default_value = "imported", value_name = "NAME")]
    gateway: String,
}

/// Translates; the exit status.
pub fn import(args: &ImportArgs) -> anyhow::Result<u8> {
    let From::Apim(args) = &args.from;
    let is_definition =
        |path: &&PathBuf| path.is_dir() || path.extension().is_some_and(|e| e == "json");
    let definitions = args.paths.iter().filter(is_definition).count();
    let findings = match definitions {
        0 => documents(args)?,
        all if all == args.paths.len() => manifests(args)?,
        _ => bail!("give policy documents, or templates and folders, not both"),
    };
    for finding in &findings {
        eprintln!("{finding}");
    }
    let is_whole = findings.iter().all(|found| found.level == Level::Note);
    Ok(u8::from(!is_whole))
}

/// Policy documents, one by one, and the fragments among them, whoever includes them.
fn documents(args: &ApimArgs) -> anyhow::Result<Vec<Finding>> {
    let (mut documents, mut context) = (Vec::new(), Context::default());
    for file in &args.paths {
        let text = read(file)?;
        if policy::root_name(&text).as_deref() != Some("fragment") {
            documents.push((file, text));
            continue;
        }
        let (file, line) = (file.clone(), 1);
        let fragment = Fragment { text, file, line };
        let id = fragment_id(&fragment.file);
        if context.fragments.insert(id.clone(), fragment).is_some() {
            bail!("the fragment {id} is given twice");
        }
    }
    let (mut all, mut fragments) = (Vec::new(), Fragments::default());
    for (file, text) in documents {
        let findings = match policy::import(&text, args.scope, &context, &mut fragments) {
            Ok((steps, findings)) => {
                let yaml = serde_saphyr::to_string(&json!({"onHandshake": steps}))
                    .context("failed to write YAML")?;
                say(&format!("---\n{}", yaml.trim_end()));
                findings
            }
            Err(finding) => vec![finding],
        };
        all.extend(findings.into_iter().map(|finding| finding.in_file(file)));
    }
    for id in context.fragments.keys() {
        all.extend(policy::import_fragment(id, &context, &mut fragments));
    }
    if !fragments.objects.is_empty() {
        say(yaml(&fragments.objects)?.trim_end());
    }
    Ok(all)
}

/// `name.xml`, or `name/policy.xml` as APIOps writes it.
fn fragment_id(file: &Path) -> String {
    let folder = file.parent().and_then(Path::file_name);
    let name = match file.file_stem() {
        Some(stem) if stem == "policy" => folder.or(Some(stem)),
        stem => stem,
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// API definitions, all at once.
fn manifests(args: &ApimArgs) -> anyhow::Result<Vec<Finding>> {
    let (mut entities, mut findings) = (Vec::new(), Vec::new());
    for path in &args.paths {
        let (more, said) = definitions(path)?;
        entities.extend(more);
        findings.extend(said);
    }
    let built = build::build(&entities, &args.gateway);
    findings.extend(built.findings);
    let text = yaml(&built.objects)?;
    findings.extend(checked(&text)?);
    say(text.trim_end());
    Ok(findings)
}

fn definitions(path: &Path) -> anyhow::Result<(Vec<Entity>, Vec<Finding>)> {
    if !path.is_dir() {
        let found = arm::entities(path, &read(path)?);
        return Ok(found.unwrap_or_else(|finding| (Vec::new(), vec![finding])));
    }
    if !apiops::is_one(path) {
        bail!("{} is no folder of APIOps", path.display());
    }
    apiops::entities(path).with_context(|| format!("failed to read {}", path.display()))
}

/// What `tidegate validate` says to the manifests.
fn checked(text: &str) -> anyhow::Result<Vec<Finding>> {
    let directory = tempfile::tempdir().context("failed to make a directory")?;
    let file = directory.path().join("imported.yaml");
    std::fs::write(&file, text).context("failed to write the manifests")?;
    let found = validate(&ValidateArgs { paths: vec![file] })?;
    let about = |finding: crate::finding::Finding| {
        let object = finding.object.unwrap_or_default();
        let field = finding.field.map(|field| format!("{field}: "));
        let text = format!("{object}: {}{}", field.unwrap_or_default(), finding.message);
        Finding::at(
            Path::new("standard output"),
            finding.line,
            Level::Error,
            text,
        )
    };
    Ok(found.into_iter().map(about).collect())
}

/// Templates have at most 4 MB there, policy documents less.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

fn read(file: &Path) -> anyhow::Result<String> {
    read_bounded(file).with_context(|| format!("failed to read {}", file.display()))
}

fn read_bounded(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let mut bounded = std::fs::File::open(file)?.take(MAX_BYTES + 1);
    bounded.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it is longer than 16 MiB"));
    }
    Ok(text)
}
