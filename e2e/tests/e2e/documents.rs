//! What `tidegate validate` takes and refuses, the API server takes and refuses too.
//!
//! The documents are those that the api crate's own tests look at without a server.

use anyhow::{Context, ensure};
use tidegate_e2e::cluster::Cluster;

/// The documents of a stream, as they are written.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n---\n").filter(|text| text.contains("kind:"))
}

/// The text behind `name: ` or `"name": ` in a document.
fn word<'a>(document: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let starts = [format!("{name}: "), format!("\"{name}\": ")];
    let found = starts.iter().find_map(|start| document.split_once(start));
    let (_, rest) = found.with_context(|| format!("no {name} in {document}"))?;
    let end = rest.find([',', '\n', '}']).unwrap_or(rest.len());
    Ok(rest[..end].trim().trim_matches('"'))
}

/// What the API server says to a document; nothing is kept.
async fn dry_run(client: &kube::Client, document: &str) -> anyhow::Result<Result<(), String>> {
    let kind = word(document, "kind")?.to_lowercase();
    let path = format!("/apis/tidegate.dev/v1alpha1/namespaces/default/{kind}s");
    let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
        .header("Content-Type", "application/yaml")
        .body(document.as_bytes().to_vec())?;
    match client.request::<serde_json::Value>(request).await {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => {
            Ok(Err(status.message.clone()))
        }
        Err(error) => Err(error).context("the API server gave no verdict"),
    }
}

#[tokio::test]
async fn the_api_server_takes_what_validate_takes() -> anyhow::Result<()> {
    let client = Cluster::shared().await?.client().await?;
    let mut seen = 0;
    for document in documents(include_str!("../../../api/tests/accepted.yaml")) {
        let verdict = dry_run(&client, document).await?;
        ensure!(verdict.is_ok(), "{verdict:?}: {document}");
        seen += 1;
    }
    ensure!(seen > 3, "only {seen} documents: is the stream split?");
    Ok(())
}

#[tokio::test]
async fn the_api_server_refuses_what_validate_refuses_at_the_same_place() -> anyhow::Result<()> {
    let client = Cluster::shared().await?.client().await?;
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents(include_str!("../../../api/tests/refused.yaml")) {
        let (name, at) = (word(document, "name")?, word(document, "at")?);
        match dry_run(&client, document).await? {
            Ok(()) => wrong.push(format!("{name}: taken")),
            Err(said) if !said.contains(at) => wrong.push(format!("{name}: not {at}, but {said}")),
            Err(_) => {}
        }
        seen += 1;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(seen > 30, "only {seen} documents: is the stream split?");
    Ok(())
}
