//! `tidegate import apim`: policy documents of Azure API Management to steps of Tidegate.

mod cel;
mod csharp;
mod field;
mod finding;
mod policy;
mod probe;
mod steps;
mod xml;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use self::finding::{Finding, Level};
use self::policy::Scope;
use crate::run::say;

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

/// Translates policy documents (XML) of Azure API Management into `onHandshake` blocks.
///
/// Prints one YAML document per file, to be put under `spec` of a Gateway, Product or WebSocketApi.
/// What is not translated is listed on standard error as FILE:LINE:COLUMN: LEVEL: TEXT; where it
/// could have refused a handshake, a step that refuses with 501 stands in its place. Exit status: 0
/// all translated, 1 something not, 2 bad arguments or a file that can not be read.
#[derive(Debug, Args)]
pub struct ApimArgs {
    /// Policy documents.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whose policies they are.
    #[arg(long, value_enum, default_value = "api")]
    scope: Scope,
}

/// Translates; the exit status.
pub fn import(args: &ImportArgs) -> anyhow::Result<u8> {
    let From::Apim(args) = &args.from;
    let mut is_whole = true;
    for file in &args.files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("failed to read {}", file.display()))?;
        let findings = match policy::import(&text, args.scope) {
            Ok((steps, findings)) => {
                let yaml = serde_saphyr::to_string(&json!({"onHandshake": steps}))
                    .context("failed to write YAML")?;
                say(&format!("---\n{}", yaml.trim_end()));
                findings
            }
            Err(finding) => vec![finding],
        };
        for mut finding in findings {
            finding.file.clone_from(file);
            is_whole &= finding.level == Level::Note;
            tell(&finding);
        }
    }
    Ok(u8::from(!is_whole))
}

fn tell(finding: &Finding) {
    eprintln!("{finding}");
}
