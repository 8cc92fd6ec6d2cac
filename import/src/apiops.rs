//! Reads the entities in a folder that APIOps extracted.

use std::fs;
use std::path::{Path, PathBuf};

use super::entity::{Entity, Place};
use super::error::ImportError;
use super::file::read;
use super::finding::{Finding, Level};
use super::json::{Kind, Node};

/// Folders of entities: name, type, name of the file with the properties.
const FOLDERS: [(&str, &str, &str); 8] = [
    ("apis", "apis", "apiInformation.json"),
    ("products", "products", "productInformation.json"),
    (
        "subscriptions",
        "subscriptions",
        "subscriptionInformation.json",
    ),
    ("named values", "namedvalues", "namedValueInformation.json"),
    ("backends", "backends", "backendInformation.json"),
    (
        "policy fragments",
        "policyfragments",
        "policyFragmentInformation.json",
    ),
    ("gateways", "gateways", "gatewayInformation.json"),
    (
        "version sets",
        "apiversionsets",
        "versionSetInformation.json",
    ),
];

/// Files and folders without effect on handshakes.
const OTHERS: [&str; 6] = [
    "diagnostics",
    "groups",
    "tags",
    "loggers",
    "wikis",
    "resolvers",
];

/// Whether the folder has any of the folders that APIOps writes.
fn is_apiops(folder: &Path) -> bool {
    FOLDERS.iter().any(|(name, ..)| folder.join(name).is_dir())
}

type Result<T> = std::result::Result<T, ImportError>;

/// All entities of a folder that APIOps wrote.
pub(super) fn entities(root: &Path) -> Result<(Vec<Entity>, Vec<Finding>)> {
    if !is_apiops(root) {
        return Err(ImportError::NotApiops {
            path: root.to_owned(),
        });
    }
    let mut reader = Reader::default();
    for path in children(root)? {
        let name = file_name(&path);
        match FOLDERS.iter().find(|(folder, ..)| *folder == name) {
            Some((_, kind, information)) => {
                for entity in children(&path)? {
                    reader.folder(&entity, kind, information)?;
                }
            }
            None if name == "policy.xml" => reader.policy("policies", &["policy"], path)?,
            None => reader.skip(&path),
        }
    }
    Ok((reader.entities, reader.findings))
}

#[derive(Default)]
struct Reader {
    entities: Vec<Entity>,
    findings: Vec<Finding>,
}

impl Reader {
    fn folder(&mut self, folder: &Path, kind: &str, information: &str) -> Result<()> {
        let name = file_name(folder);
        for path in children(folder)? {
            match file_name(&path).as_str() {
                file if file == information => self.information(kind, &name, &path)?,
                "policy.xml" if kind == "policyfragments" => {
                    self.policy("policyfragments/policies", &[&name, "policy"], path)?;
                }
                "policy.xml" => {
                    self.policy(&format!("{kind}/policies"), &[&name, "policy"], path)?
                }
                "apis.json" => self.links(&format!("{kind}/apis"), &name, &path)?,
                "apis" => {
                    for api in children(&path)? {
                        let at = Place {
                            file: api.clone(),
                            line: 1,
                        };
                        self.link(&format!("{kind}/apis"), &name, &file_name(&api), at);
                    }
                }
                "operations" => {
                    for operation in children(&path)? {
                        let policy = operation.join("policy.xml");
                        if policy.is_file() {
                            let names = [&*name, &file_name(&operation), "policy"];
                            self.policy("apis/operations/policies", &names, policy)?;
                        }
                    }
                }
                // The only operation of a WebSocket API is onHandshake.
                file if file.starts_with("specification.") => {}
                _ => self.skip(&path),
            }
        }
        Ok(())
    }

    fn information(&mut self, kind: &str, name: &str, path: &Path) -> Result<()> {
        let Some(root) = self.json(path)? else {
            return Ok(());
        };
        let properties = root.get("properties").cloned().unwrap_or(Node {
            line: root.line,
            kind: Kind::Map(Vec::new()),
        });
        self.entities.push(Entity {
            kind: kind.to_owned(),
            names: vec![name.to_owned()],
            properties,
            unknown: Vec::new(),
            place: Place {
                file: path.to_owned(),
                line: root.line,
            },
        });
        Ok(())
    }

    fn policy(&mut self, kind: &str, names: &[&str], path: PathBuf) -> Result<()> {
        let text = read(&path)?;
        let text = text.trim_start_matches('\u{feff}').to_owned();
        self.entities.push(Entity::of_text(kind, names, text, path));
        Ok(())
    }

    /// Reads a file with names of APIs.
    fn links(&mut self, kind: &str, owner: &str, path: &Path) -> Result<()> {
        let Some(root) = self.json(path)? else {
            return Ok(());
        };
        for item in root.items() {
            match item.text_of("name").or(item.text()) {
                Some(name) => {
                    let (file, line) = (path.to_owned(), item.line);
                    self.link(kind, owner, name, Place { file, line });
                }
                None => {
                    let text = "a name is expected here".to_owned();
                    let finding = Finding::at(path, item.line.into(), Level::Error, text);
                    self.findings.push(finding);
                }
            }
        }
        Ok(())
    }

    fn link(&mut self, kind: &str, owner: &str, api: &str, place: Place) {
        let mut entity = Entity::of_text(kind, &[owner, api], String::new(), place.file);
        entity.place.line = place.line;
        self.entities.push(entity);
    }

    fn json(&mut self, path: &Path) -> Result<Option<Node>> {
        match Node::parse(&read(path)?) {
            Ok(node) => Ok(Some(node)),
            Err(error) => {
                let finding = Finding::at(path, error.line, Level::Error, error.message);
                self.findings.push(finding);
                Ok(None)
            }
        }
    }

    fn skip(&mut self, path: &Path) {
        let name = file_name(path);
        let stem = name.split('.').next().unwrap_or_default().to_owned();
        let level = if OTHERS.contains(&&*stem) {
            Level::Note
        } else {
            Level::Warning
        };
        let text = "not read: this file is not translated".to_owned();
        self.findings.push(Finding::at(path, 1, level, text));
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What is in a folder, in order of names, without hidden files.
fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = |source| ImportError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !file_name(&path).starts_with('.') {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
