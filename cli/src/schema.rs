//! `tidegate schema`: JSON Schema of manifests, for editors and other checks.

use clap::Args;
use tidegate_api::{json_schema, json_schemas};

/// Prints the JSON Schema of a kind, or of manifests of all kinds.
///
/// Editors with the YAML language server use it when a file begins with the line
/// `# yaml-language-server: $schema=FILE`. Without KIND, documents of other kinds are valid too.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest or WebSocketApi.
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

/// The schema as text.
///
/// # Errors
///
/// When there is no such kind.
pub fn schema(args: &SchemaArgs) -> anyhow::Result<String> {
    let schema = match &args.kind {
        None => json_schemas(),
        Some(kind) => match json_schema(kind) {
            Some(schema) => schema,
            None => anyhow::bail!(
                "there is no kind {kind:?}; there are Gateway, PolicyFragment, Product, Subscription, \
                 SubscriptionRequest and WebSocketApi"
            ),
        },
    };
    Ok(serde_json::to_string_pretty(&schema)?)
}
