//! `tidegate import apim`: arguments, and what is printed. `tidegate-import` translates.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use tidegate_import::{Finding, Imported, Level, Scope};

use crate::manifest;
use crate::run::say;
use crate::validate::validate_text;

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
    scope: Owner,
    /// Name of the Gateway that gets all APIs.
    #[arg(long, default_value = "imported", value_name = "NAME")]
    gateway: String,
}

/// [`Scope`] as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Owner {
    /// All APIs: goes into a Gateway.
    Global,
    /// Goes into a Product.
    Product,
    /// The operation onHandshake: goes into a WebSocketApi.
    Api,
}

impl Owner {
    fn scope(self) -> Scope {
        match self {
            Self::Global => Scope::Global,
            Self::Product => Scope::Product,
            Self::Api => Scope::Api,
        }
    }
}

/// Translates, prints the result and its findings, and returns the exit status.
pub fn import(args: &ImportArgs) -> anyhow::Result<u8> {
    let From::Apim(args) = &args.from;
    let is_definition = |path: &&PathBuf| tidegate_import::is_definition(path);
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

/// Policy documents, and the fragments among them.
fn documents(args: &ApimArgs) -> anyhow::Result<Vec<Finding>> {
    let imported = tidegate_import::import_policies(&args.paths, args.scope.scope())?;
    print(&imported)?;
    Ok(imported.findings)
}

/// API definitions, all at once.
fn manifests(args: &ApimArgs) -> anyhow::Result<Vec<Finding>> {
    let mut imported = tidegate_import::import_definitions(&args.paths, &args.gateway)?;
    print(&imported)?;
    imported.findings.extend(checked(&imported)?);
    Ok(imported.findings)
}

fn print(imported: &Imported) -> anyhow::Result<()> {
    let all = [&*imported.blocks, &*imported.objects].concat();
    if !all.is_empty() {
        say(manifest::to_yaml(&all)?.trim_end());
    }
    Ok(())
}

/// What `tidegate validate` finds in the manifests.
fn checked(imported: &Imported) -> anyhow::Result<Vec<Finding>> {
    let output = Path::new("standard output");
    let found = validate_text(output, &manifest::to_yaml(&imported.objects)?);
    let finding = |finding: crate::finding::Finding| {
        let object = finding.object.unwrap_or_default();
        let field = finding.field.map(|field| format!("{field}: "));
        let text = format!("{object}: {}{}", field.unwrap_or_default(), finding.message);
        Finding::at(output, finding.line, Level::Error, text)
    };
    Ok(found.into_iter().map(finding).collect())
}
