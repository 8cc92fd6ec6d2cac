//! What came of the cases: for people, programs and documents.

use std::fmt::Write as _;

use serde::Serialize;

/// What came of one case.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Its chapter's title.
    pub chapter: String,
    /// Its name.
    pub case: String,
    /// What should hold.
    pub says: String,
    /// Does it hold?
    pub result: Verdict,
    /// Every difference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// Does a case hold?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It does.
    Passed,
    /// It does not.
    Failed,
    /// Nobody looked: the gateway's listener for TLS was not named.
    Skipped,
}

impl Outcome {
    /// Of a case with these differences.
    pub fn new(chapter: &str, case: &super::case::Case, differences: Vec<String>) -> Self {
        Self {
            chapter: chapter.to_owned(),
            case: case.name.clone(),
            says: case.says.clone(),
            result: if differences.is_empty() {
                Verdict::Passed
            } else {
                Verdict::Failed
            },
            differences,
        }
    }

    /// Of a case that is not played.
    pub fn skipped(chapter: &str, case: &super::case::Case) -> Self {
        Self {
            result: Verdict::Skipped,
            ..Self::new(chapter, case, Vec::new())
        }
    }
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line per case, failures with what differed.
    Table,
    /// For programs.
    Json,
    /// For documents.
    Markdown,
}

/// The report, with a newline at its end.
pub fn render(outcomes: &[Outcome], format: Format) -> serde_json::Result<String> {
    match format {
        Format::Table => Ok(table(outcomes)),
        Format::Json => Ok(serde_json::to_string_pretty(outcomes)? + "\n"),
        Format::Markdown => Ok(markdown(outcomes)),
    }
}

fn summary(outcomes: &[Outcome]) -> String {
    let passed = outcomes.iter().filter(|o| o.result == Verdict::Passed);
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
            Verdict::Passed => "ok  ",
            Verdict::Failed => "FAIL",
            Verdict::Skipped => "skip",
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
            Verdict::Passed => "passed".to_owned(),
            Verdict::Skipped => "skipped".to_owned(),
            Verdict::Failed => format!("**failed**: {}", outcome.differences.join("; ")),
        };
        let Outcome { case, says, .. } = outcome;
        let row = format!("| `{case}` | {} | {} |", cell(says), cell(&result));
        let _ = writeln!(text, "{row}");
    }
    text
}

/// What would end a cell or a row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
