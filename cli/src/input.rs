//! Where the manifests of a command come from: files, directories, standard input. The same for every command.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use walkdir::{DirEntry, WalkDir};

use crate::finding::Finding;
use crate::manifest::{self, Document};

/// The path that stands for standard input.
const STDIN: &str = "-";

/// The file that findings name for standard input.
pub const STDIN_NAME: &str = "<stdin>";

/// Endings of the files that are read in a directory. A file that is named itself may have any.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Paths of manifests on a command line.
#[derive(Clone, Debug, Args)]
pub struct InputArgs {
    /// Files with YAML or JSON, directories with *.yaml, *.yml and *.json files, or - for standard input. The
    /// items of a List are read one by one.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Read the directories below the directories too, except those whose name begins with a dot.
    #[arg(long, short = 'R')]
    pub recursive: bool,
    /// Namespace of objects that name none.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// All documents.
    pub documents: Vec<Document>,
    /// What could not be read or parsed.
    pub findings: Vec<Finding>,
    /// The files with manifests, without those with keys.
    pub files: Vec<PathBuf>,
}

/// Manifests that can be read again and again. Standard input was read once.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Files and directories.
    paths: Vec<PathBuf>,
    is_recursive: bool,
    /// Namespace of objects that name none; empty: `default`.
    namespace: String,
    stdin: Option<Arc<str>>,
}

impl Input {
    /// Reads standard input, if it is one of the paths.
    ///
    /// # Errors
    ///
    /// When a path does not exist, or standard input cannot be read or is not UTF-8.
    pub fn open(args: &InputArgs) -> anyhow::Result<Self> {
        let (stdin, paths): (Vec<_>, Vec<_>) = args
            .paths
            .iter()
            .cloned()
            .partition(|path| path == Path::new(STDIN));
        for path in &paths {
            let found = path.metadata();
            found.with_context(|| format!("failed to read {}", path.display()))?;
        }
        let stdin = match stdin.is_empty() {
            true => None,
            false => Some(read_stdin().context("failed to read standard input")?),
        };
        Ok(Self {
            paths,
            is_recursive: args.recursive,
            namespace: args.namespace.clone(),
            stdin,
        })
    }

    /// Files and directories that exist.
    pub fn of_paths(paths: Vec<PathBuf>, is_recursive: bool) -> Self {
        Self {
            paths,
            is_recursive,
            ..Self::default()
        }
    }

    /// The files and directories.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Are directories below the directories read?
    pub const fn is_recursive(&self) -> bool {
        self.is_recursive
    }

    /// The documents of all files, and after them those of the files with keys. A file that is named twice is
    /// read once. What cannot be listed, read or parsed becomes a finding; the rest is not affected.
    pub fn read(&self, keys: &[PathBuf]) -> Read {
        let real = |path: &PathBuf| path.canonicalize().unwrap_or(path.clone());
        let mut seen: BTreeSet<_> = keys.iter().map(real).collect();
        let (mut files, mut findings) = files(&self.paths, self.is_recursive);
        files.retain(|path| seen.insert(real(path)));
        let (mut documents, problems) = manifest::read(&files);
        findings.extend(problems);
        if let Some(text) = &self.stdin {
            manifest::parse(Path::new(STDIN_NAME), text, &mut documents, &mut findings);
        }
        if !self.namespace.is_empty() {
            let of_none = documents.iter_mut();
            of_none.for_each(|document| document.set_namespace(&self.namespace));
        }
        let (others, problems) = manifest::read(keys);
        documents.extend(others);
        findings.extend(problems);
        Read {
            documents,
            findings,
            files,
        }
    }
}

fn read_stdin() -> io::Result<Arc<str>> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text.into())
}

/// The files at these paths, and what could not be listed. A directory stands for its manifests in order of name.
pub fn files(paths: &[PathBuf], is_recursive: bool) -> (Vec<PathBuf>, Vec<Finding>) {
    let (mut found, mut findings) = (Vec::new(), Vec::new());
    for path in paths {
        if path.is_dir() {
            in_directory(path, is_recursive, &mut found, &mut findings);
        } else {
            found.push(path.clone());
        }
    }
    (found, findings)
}

fn in_directory(
    root: &Path,
    is_recursive: bool,
    found: &mut Vec<PathBuf>,
    findings: &mut Vec<Finding>,
) {
    let depth = if is_recursive { usize::MAX } else { 1 };
    let walk = WalkDir::new(root).follow_links(true).max_depth(depth);
    let walk = walk.sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| !is_hidden_directory(entry)) {
        match entry {
            Ok(entry) if is_manifest(&entry) => {
                found.push(entry.into_path());
            }
            // A directory that contains itself has been read already; a link that leads nowhere and a file
            // that has just been removed are no files.
            Err(error) if error.loop_ancestor().is_none() && !is_gone(&error) => {
                findings.push(not_listed(root, &error));
            }
            _ => {}
        }
    }
}

/// A file or directory that may hold manifests, and cannot be opened.
fn not_listed(root: &Path, error: &walkdir::Error) -> Finding {
    let why = match error.io_error() {
        Some(error) => error.to_string(),
        None => error.to_string(),
    };
    let message = format!("cannot be read: {why}");
    Finding::of_file(error.path().unwrap_or(root), 1, message)
}

/// `.git`, or the directories behind the links of a mounted ConfigMap.
fn is_hidden_directory(entry: &DirEntry) -> bool {
    let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
    is_hidden && entry.depth() > 0 && entry.file_type().is_dir()
}

fn is_gone(error: &walkdir::Error) -> bool {
    let kind = error.io_error().map(io::Error::kind);
    error.depth() > 0 && kind == Some(io::ErrorKind::NotFound)
}

/// A file whose name begins with a dot is what an editor or a tool keeps for itself.
fn is_manifest(entry: &DirEntry) -> bool {
    let ending = entry.path().extension().and_then(OsStr::to_str);
    entry.file_type().is_file()
        && !entry.file_name().as_encoded_bytes().starts_with(b".")
        && ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

#[cfg(test)]
mod tests;
