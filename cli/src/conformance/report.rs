//! Reports of the outcomes: for people, programs and documents.

use std::fmt::Write as _;

use serde::Serialize;

/// The outcome of one case.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Title of its chapter.
    pub chapter: String,
    /// Its name.
    pub case: String,
    /// What was checked, as a sentence.
    pub says: String,
    /// The result.
    pub result: CaseResult,
    /// One line for each difference from what is expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// The result of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CaseResult {
    /// Everything is as expected.
    Passed,
    /// Something is not as expected.
    Failed,
    /// Not run, because the gateway's TLS listener was not named.
    Skipped,
}

impl Outcome {
    /// The outcome of a case with these differences; without differences it has passed.
    pub fn new(chapter: &str, case: &super::case::Case, differences: Vec<String>) -> Self {
        Self {
            chapter: chapter.to_owned(),
            case: case.name.clone(),
            says: case.says.clone(),
            result: if differences.is_empty() {
                CaseResult::Passed
            } else {
                CaseResult::Failed
            },
            differences,
        }
    }

    /// The outcome of a case that did not run.
    pub fn skipped(chapter: &str, case: &super::case::Case) -> Self {
        Self {
            result: CaseResult::Skipped,
            ..Self::new(chapter, case, Vec::new())
        }
    }
}

/// Format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line for each case, and the differences of those that failed.
    Table,
    /// JSON for programs.
    Json,
    /// A Markdown table.
    Markdown,
}

/// The report, ending in a newline.
///
/// # Errors
///
/// When JSON cannot be written.
pub fn render(outcomes: &[Outcome], format: Format) -> serde_json::Result<String> {
    match format {
        Format::Table => Ok(table(outcomes)),
        Format::Json => Ok(serde_json::to_string_pretty(outcomes)? + "\n"),
        Format::Markdown => Ok(markdown(outcomes)),
    }
}

fn summary(outcomes: &[Outcome]) -> String {
    let passed = outcomes.iter().filter(|o| o.result == CaseResult::Passed);
    let (passed, all) = (passed.count(), outcomes.len());
    format!("{passed} of {all} cases passed")
}

fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|o| o.case.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut chapter = "";
    for outcome in outcomes {
        if outcome.chapter != chapter {
            chapter = &outcome.chapter;
            let _ = writeln!(text, "{chapter}");
        }
        let mark = match outcome.result {
            CaseResult::Passed => "ok  ",
            CaseResult::Failed => "FAIL",
            CaseResult::Skipped => "skip",
        };
        let Outcome { case, says, .. } = outcome;
        let _ = writeln!(text, "  {mark}  {case:width$}  {says}");
        for difference in &outcome.differences {
            let _ = writeln!(text, "        {difference}");
        }
    }
    let _ = writeln!(text, "{}", summary(outcomes));
    text
}

fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = format!("{}.\n", summary(outcomes));
    let mut chapter = "";
    for outcome in outcomes {
        if outcome.chapter != chapter {
            chapter = &outcome.chapter;
            let _ = write!(
                text,
                "\n## {chapter}\n\n| case | what holds | |\n| --- | --- | --- |\n"
            );
        }
        let result = match outcome.result {
            CaseResult::Passed => "passed".to_owned(),
            CaseResult::Skipped => "skipped".to_owned(),
            CaseResult::Failed => format!("**failed**: {}", outcome.differences.join("; ")),
        };
        let Outcome { case, says, .. } = outcome;
        let row = format!("| `{case}` | {} | {} |", cell(says), cell(&result));
        let _ = writeln!(text, "{row}");
    }
    text
}

/// Escapes what would end a cell or a row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
