//! `tidegate import apim`: arguments, and what is printed. `tidegate-import` translates.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tidegate_import::{Finding, Identity, Imported, Level, Manifest, Scope};

use crate::manifest;
use crate::run::print_out;
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
/// ARM templates (also those compiled from Bicep), with their files of parameters, and APIOps folders become
/// manifests; pass all files of a service at once. Each policy document (XML) becomes an `onHandshake` block for the `spec` of a Gateway,
/// Product or WebSocketApi. Standard error lists what is not translated as FILE:LINE:COLUMN: LEVEL: TEXT. A
/// policy that is not translated and could refuse a handshake becomes a step that refuses with 501. What is
/// printed is checked as `tidegate validate` does, and what it objects to is listed too. Exit status: 0 when everything is translated, 1 when something is not, 2 for bad arguments or a file that
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
    /// Tenant of the managed identities.
    #[arg(long, value_name = "ID")]
    azure_tenant: Option<String>,
    /// Client id of the identity where a policy names none: a user-assigned managed identity, or an application.
    #[arg(long, value_name = "ID")]
    azure_client: Option<String>,
    /// Where Entra ID issues tokens. Default: https://login.microsoftonline.com.
    #[arg(long, value_name = "URL")]
    azure_authority: Option<String>,
}

impl ApimArgs {
    fn identity(&self) -> Identity {
        Identity {
            authority: self.azure_authority.clone(),
            tenant: self.azure_tenant.clone(),
            client: self.azure_client.clone(),
        }
    }
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
    let scope = args.scope.scope();
    let mut imported = tidegate_import::import_policies(&args.paths, scope, &args.identity())?;
    print(&imported)?;
    let around: Vec<_> = around(&imported, scope).iter().map(Manifest::of).collect();
    let text = manifest::to_yaml(&around)?;
    let found = objections(&text, |_| 1);
    imported.findings.extend(found);
    Ok(imported.findings)
}

/// API definitions, all at once.
fn manifests(args: &ApimArgs) -> anyhow::Result<Vec<Finding>> {
    let mut imported =
        tidegate_import::import_definitions(&args.paths, &args.gateway, &args.identity())?;
    let text = print(&imported)?;
    imported.findings.extend(objections(&text, |line| line));
    Ok(imported.findings)
}

fn print(imported: &Imported) -> anyhow::Result<String> {
    let text = manifest::to_yaml(&imported.manifests())?;
    if !text.is_empty() {
        print_out(&text)?;
    }
    Ok(text)
}

/// Blocks of documents in objects that have nothing else, and the fragments.
fn around(imported: &Imported, scope: Scope) -> Vec<Value> {
    let values = imported.values();
    let values: Vec<_> = values
        .iter()
        .map(|name| json!({"name": name, "value": "x"}))
        .collect();
    let gateway = |name: &str, more: Value| {
        let listener = json!({"name": "plain", "port": 8080, "protocol": "WS"});
        let deployment = json!({"tokenAudiences": imported.token_audiences()});
        let mut spec = json!({"listeners": [listener], "values": values, "deployment": deployment});
        merge(&mut spec, more);
        object("Gateway", name, spec)
    };
    let api = |name: &str, more: Value| {
        let mut spec = json!({
            "gateways": [{"name": "edge"}],
            "path": format!("/{name}"),
            "backend": {"url": "wss://backend.example/"},
        });
        merge(&mut spec, more);
        object("WebSocketApi", name, spec)
    };
    let mut found = vec![gateway("edge", json!({}))];
    for (number, block) in imported.blocks.iter().enumerate() {
        let (name, block) = (format!("document-{}", number + 1), block.clone());
        match scope {
            Scope::Global => found.push(gateway(&name, block)),
            Scope::Api => found.push(api(&name, block)),
            Scope::Product => {
                found.push(api(&name, json!({})));
                let mut spec = json!({"apis": [{"name": name}]});
                merge(&mut spec, block);
                found.push(object("Product", &name, spec));
            }
        }
    }
    found.extend(imported.objects.iter().cloned());
    found
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name});
    json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn merge(spec: &mut Value, more: Value) {
    if let (Value::Object(spec), Value::Object(more)) = (spec, more) {
        spec.extend(more);
    }
}

/// What `tidegate validate` finds in a text; `line_of` says in which line of the output a line of it is.
fn objections(text: &str, line_of: impl Fn(u64) -> u64) -> Vec<Finding> {
    let output = Path::new("standard output");
    let finding = |finding: crate::finding::Finding| {
        let object = finding.object.unwrap_or_default();
        let field = finding.field.map(|field| format!("{field}: "));
        let text = format!("{object}: {}{}", field.unwrap_or_default(), finding.message);
        let level = match finding.is_warning {
            true => Level::Warning,
            false => Level::Error,
        };
        Finding::at(output, line_of(finding.position.line), level, text)
    };
    let found = validate_text(output, text).into_iter();
    found.map(finding).collect()
}
