//! The outcome of `tidegate validate`, for people and for programs.

mod sarif;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::finding::Finding;

/// Format of the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line for each finding, and a last line with counts.
    Text,
    /// JSON for programs.
    Json,
    /// Annotations of a GitHub workflow, and a last line with counts.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// What was found, and in how many objects.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The findings, in order of file and line.
    pub findings: Vec<Finding>,
    /// How many objects of each of Tidegate's kinds were checked.
    pub checked: BTreeMap<String, usize>,
    /// How many Secrets, ConfigMaps and Namespaces were read because those may name them.
    pub read: BTreeMap<String, usize>,
    /// How many documents of other kinds there are, by `apiVersion` and `kind`.
    pub skipped: BTreeMap<(String, String), usize>,
    /// How many references to objects that are elsewhere were not followed, by kind.
    pub external: BTreeMap<String, usize>,
}

impl Report {
    /// Is there anything that must be changed?
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| !finding.is_warning)
    }

    /// The report, without a newline at its end.
    ///
    /// # Errors
    ///
    /// When JSON cannot be written.
    pub fn render(&self, format: Format) -> serde_json::Result<String> {
        match format {
            Format::Text => Ok(self.lines(ToString::to_string)),
            Format::Github => Ok(self.lines(annotation)),
            Format::Json => serde_json::to_string_pretty(&self.json()),
            Format::Sarif => serde_json::to_string_pretty(&sarif::log(self)),
        }
    }

    fn lines(&self, line: impl Fn(&Finding) -> String) -> String {
        let lines = self.findings.iter().map(line);
        let lines = lines.chain(std::iter::once(self.summary()));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What was checked and what was not, in one line.
    fn summary(&self) -> String {
        let objects = self.checked.values().sum();
        let mut text = format!("{} checked", counted(objects, "object"));
        if objects > 0 {
            let _ = write!(text, " ({})", listed(&self.checked));
        }
        let warnings = self.findings.iter().filter(|f| f.is_warning).count();
        let errors = counted(self.findings.len() - warnings, "error");
        let _ = write!(text, ": {errors}, {}", counted(warnings, "warning"));
        if !self.read.is_empty() {
            let _ = write!(text, "; read beside them: {}", listed(&self.read));
        }
        if !self.skipped.is_empty() {
            let named = self.skipped.iter();
            let named =
                named.map(|((version, kind), count)| format!("{count} {kind} of {version}"));
            let named: Vec<_> = named.collect();
            let _ = write!(text, "; not checked: {}", named.join(", "));
        }
        if !self.external.is_empty() {
            let _ = write!(
                text,
                "; references not followed: {}",
                listed(&self.external)
            );
        }
        text
    }

    fn json(&self) -> Value {
        let finding = |finding: &Finding| {
            json!({
                "level": level(finding),
                "file": finding.file.display().to_string(),
                "line": finding.position.line,
                "column": finding.position.column,
                "object": finding.object,
                "field": finding.field,
                "message": finding.message,
            })
        };
        let skipped = |((version, kind), count): (&(String, String), &usize)| json!({"apiVersion": version, "kind": kind, "count": count});
        json!({
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "checked": self.checked,
            "read": self.read,
            "notChecked": self.skipped.iter().map(skipped).collect::<Vec<_>>(),
            "referencesNotFollowed": self.external,
        })
    }
}

fn level(finding: &Finding) -> &'static str {
    match finding.is_warning {
        true => "warning",
        false => "error",
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn listed(counts: &BTreeMap<String, usize>) -> String {
    let counts = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// A finding without its place, as one text.
fn text(finding: &Finding) -> String {
    let parts = [finding.object.as_deref(), finding.field.as_deref()];
    let parts = parts.into_iter().flatten();
    let parts = parts.chain(std::iter::once(finding.message.as_str()));
    parts.collect::<Vec<_>>().join(": ")
}

/// A workflow command: `::error file=…,line=…,col=…::…`.
fn annotation(finding: &Finding) -> String {
    let escaped = |text: &str| {
        let text = text.replace('%', "%25").replace('\r', "%0D");
        text.replace('\n', "%0A")
    };
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    format!(
        "::{} file={},line={},col={}::{}",
        level(finding),
        property(&finding.file.display().to_string()),
        finding.position.line,
        finding.position.column,
        escaped(&text(finding))
    )
}

#[cfg(test)]
mod tests;
