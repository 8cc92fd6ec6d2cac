//! `tidegate import apim`: arguments, and what is printed. `tidegate-import` translates.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use tidegate_import::{Finding, Imported, Level, Scope};

use crate::manifest;
use crate::run::say;
use crate::validate::validate_text;

/// Translates the configuration of another product.
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
/// ARM templates (also those compiled from Bicep) and APIOps folders become manifests; pass all files of a
/// service at once. Each policy document (XML) becomes an `onHandshake` block for the `spec` of a Gateway,
/// Product or WebSocketApi. Standard error lists what is not translated as FILE:LINE:COLUMN: LEVEL: TEXT. A
/// policy that is not translated and could refuse a handshake becomes a step that refuses with 501. Exit
/// status: 0 when everything is translated, 1 when something is not, 2 for bad arguments or a file that
/// cannot be read.
#[derive(Debug, Args)]
pub struct ApimArgs {
    /// Policy documents (*.xml), or ARM templates (*.json) and APIOps folders.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Scope of the policy documents.
    #[arg(long, value_enum, default_value = "api")]
    scope: PolicyScope,
    /// Name of the Gateway that serves all APIs.
    #[arg(long, default_value = "imported", value_name = "NAME")]
    gateway: String,
}

/// [`Scope`] as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PolicyScope {
    /// All APIs; the block belongs in a Gateway.
    Global,
    /// One product; the block belongs in a Product.
    Product,
    /// One API, or its operation onHandshake; the block belongs in a WebSocketApi.
    Api,
}

impl PolicyScope {
    fn scope(self) -> Scope {
        match self {
            Self::Global => Scope::Global,
            Self::Product => Scope::Product,
            Self::Api => Scope::Api,
        }
    }
}

/// Translates, prints the result and its findings, and returns the exit status.
///
/// # Errors
///
/// When the arguments are bad or a file cannot be read.
pub fn import(args: &ImportArgs) -> anyhow::Result<u8> {
    let From::Apim(args) = &args.from;
    let is_definition = |path: &&PathBuf| tidegate_import::is_definition(path);
    let definitions = args.paths.iter().filter(is_definition).count();
    let findings = match definitions {
        0 => documents(args)?,
        all if all == args.paths.len() => manifests(args)?,
        _ => bail!("pass either policy documents, or templates and folders"),
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
