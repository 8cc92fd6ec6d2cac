//! Policies and API definitions of Azure API Management become Tidegate's steps and manifests.
//!
//! Policy documents (`policy`) become steps. ARM templates (`arm`) and APIOps folders (`apiops`) become
//! entities, and `build` turns those into manifests. Conditions and values, written in C#, are parsed by
//! `csharp` and translated to CEL by `cel`.
//!
//! Reads files and nothing else: no network, no clock. It does not check the manifests as a whole; the
//! program that prints them does.

mod apiops;
mod arm;
mod build;
mod cel;
mod csharp;
mod entity;
mod error;
mod field;
mod file;
mod finding;
mod json;
mod manifest;
mod policy;
mod probe;
mod service;
mod steps;
mod xml;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use self::error::ImportError;
pub use self::finding::{Finding, Level};
pub use self::manifest::Manifest;
pub use self::policy::Scope;
pub use self::service::Identity;

use self::entity::Entity;
use self::file::read;
use self::policy::{Context, Fragment, Fragments};

/// What an import produces.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// One object with the field `onHandshake` for each policy document.
    pub blocks: Vec<Value>,
    /// Manifests, in the order in which they are best read.
    pub objects: Vec<Value>,
    /// What was not translated, and what to know about the rest.
    pub findings: Vec<Finding>,
}

impl Imported {
    /// Everything that is printed, in this order.
    pub fn manifests(&self) -> Vec<Manifest> {
        let all = self.blocks.iter().chain(&self.objects);
        all.map(Manifest::of).collect()
    }

    /// Audiences of the tokens that the policies show, for `deployment.tokenAudiences` of the Gateway.
    pub fn token_audiences(&self) -> Vec<&'static str> {
        let mut all = self.blocks.iter().chain(&self.objects);
        let audience = steps::AUDIENCE;
        let is_shown = all.any(|value| value.to_string().contains(audience));
        is_shown.then_some(audience).into_iter().collect()
    }

    /// Names of the values that the policies read.
    pub fn values(&self) -> Vec<String> {
        let all = self.blocks.iter().chain(&self.objects);
        let names = all.flat_map(|value| service::values_of(&value.to_string()));
        names
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }
}

/// Whether the path is a definition (an ARM template or an APIOps folder) rather than a policy document.
pub fn is_definition(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|ending| ending == "json")
}

/// Translates policy documents, one block each. Policy fragments among them become PolicyFragment objects.
///
/// # Errors
///
/// When a file cannot be read, or two fragments have the same name.
pub fn import_policies(
    files: &[PathBuf],
    scope: Scope,
    identity: &Identity,
) -> Result<Imported, ImportError> {
    let (documents, mut context) = sorted(files)?;
    context.service.identity = identity.clone();
    let fragments = context.fragments.values().map(|fragment| &fragment.text);
    for text in documents.iter().map(|(_, text)| text).chain(fragments) {
        let names = policy::token_variables(text);
        names
            .iter()
            .for_each(|name| context.service.expect_token(name));
    }
    let (mut imported, mut fragments) = (Imported::default(), Fragments::default());
    for (file, text) in documents {
        let found = policy::import(&text, scope, &context, &mut fragments);
        let (steps, findings) = found.unwrap_or_else(|finding| {
            let finding = finding.becoming("refuses with 501 instead");
            (policy::refusal(), vec![finding])
        });
        imported.blocks.push(json!({"onHandshake": steps}));
        let findings = findings.into_iter().map(|finding| finding.in_file(file));
        imported.findings.extend(findings);
    }
    for id in context.fragments.keys() {
        let findings = policy::import_fragment(id, &context, &mut fragments);
        imported.findings.extend(findings);
    }
    imported.objects = fragments.objects;
    Ok(imported)
}

/// Documents with their files.
type Documents<'a> = Vec<(&'a PathBuf, String)>;

/// Documents, and a context with the fragments among the files.
fn sorted(files: &[PathBuf]) -> Result<(Documents<'_>, Context), ImportError> {
    let (mut documents, mut context) = (Vec::new(), Context::default());
    for file in files {
        let text = read(file)?;
        if policy::root_name(&text).as_deref() != Some("fragment") {
            documents.push((file, text));
            continue;
        }
        let (file, line) = (file.clone(), 1);
        let fragment = Fragment { text, file, line };
        let id = fragment_id(&fragment.file);
        if context.fragments.insert(id.clone(), fragment).is_some() {
            return Err(ImportError::DuplicateFragment { id });
        }
    }
    Ok((documents, context))
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

/// Translates ARM templates (`*.json`) with their files of parameters, and APIOps folders, all as one service.
/// `gateway` is the name of the Gateway that serves all APIs.
///
/// # Errors
///
/// When a file cannot be read, or a folder was not written by APIOps.
pub fn import_definitions(
    paths: &[PathBuf],
    gateway: &str,
    identity: &Identity,
) -> Result<Imported, ImportError> {
    let (entities, mut findings) = entities(paths)?;
    let built = build::build(&entities, gateway, identity);
    findings.extend(built.findings);
    Ok(Imported {
        objects: built.objects,
        findings,
        ..Imported::default()
    })
}

/// All entities of templates and folders.
fn entities(paths: &[PathBuf]) -> Result<(Vec<Entity>, Vec<Finding>), ImportError> {
    let (mut templates, mut parameters) = (Vec::new(), Vec::new());
    let (mut entities, mut findings) = (Vec::new(), Vec::new());
    for path in paths {
        if path.is_dir() {
            let found = apiops::entities(path)?;
            entities.extend(found.0);
            findings.extend(found.1);
            continue;
        }
        let text = read(path)?;
        match arm::parameters(&text) {
            Some(given) => parameters.extend(given),
            None => templates.push((path, text)),
        }
    }
    for (path, text) in templates {
        let found = arm::entities(path, &text, &parameters);
        let found = found.unwrap_or_else(|finding| (Vec::new(), vec![finding]));
        entities.extend(found.0);
        findings.extend(found.1);
    }
    Ok((entities, findings))
}
