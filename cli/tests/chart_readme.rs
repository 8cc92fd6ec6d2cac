//! The table of values in the chart's README is made from values.yaml, its comments and its schema.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate_cli::positions::Positions;

const MARK: &str =
    "<!-- written by UPDATE_DOCS=1 cargo test -p tidegate-cli --test chart_readme -->\n";

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tidegate")
}

/// A values file, line by line.
struct Values {
    lines: Vec<String>,
    positions: Positions,
    value: Value,
    schema: Value,
}

/// A row of the table.
struct Row {
    line: usize,
    path: String,
    default: String,
    text: String,
}

impl Values {
    fn read() -> Self {
        let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
        let schema = fs::read_to_string(chart().join("values.schema.json")).unwrap();
        Self {
            lines: text.lines().map(str::to_owned).collect(),
            positions: Positions::read(&text, 1),
            value: serde_saphyr::from_str(&text).unwrap(),
            schema: serde_json::from_str(&schema).unwrap(),
        }
    }

    /// Number of the line that has the name of a value, from 0.
    fn line(&self, path: &str) -> usize {
        let position = self.positions.of(path).unwrap();
        usize::try_from(position.line).unwrap() - 1
    }

    /// The comment right above a value.
    fn comment(&self, path: &str) -> String {
        let above = self.lines[..self.line(path)].iter().rev();
        let comment = above.map_while(|line| line.trim_start().strip_prefix('#'));
        let mut comment: Vec<_> = comment
            .take_while(|line| !line.starts_with(" ---"))
            .map(str::trim)
            .collect();
        comment.reverse();
        comment.join(" ")
    }

    /// The values below one. A map is one value, unless the schema names everything that it may have.
    fn rows(&self, path: &str, value: &Value, schema: &Value, rows: &mut Vec<Row>) {
        let named = schema["properties"].as_object();
        let is_closed = schema["additionalProperties"] == false || path == "global";
        let named = named.filter(|_| is_closed);
        let (Some(named), Value::Object(map)) = (named, value) else {
            let text = self.comment(path);
            rows.push(Row {
                line: self.line(path),
                path: path.to_owned(),
                default: serde_json::to_string(value).unwrap(),
                text,
            });
            return;
        };
        let first = rows.len();
        for (name, below) in named {
            let path = match path {
                "" => name.clone(),
                _ => format!("{path}.{name}"),
            };
            let value = map.get(name);
            let value = value.unwrap_or_else(|| panic!("values.yaml lacks {path}"));
            self.rows(&path, value, below, rows);
        }
        rows[first..].sort_by_key(|row| row.line);
        // What is said of the whole stands at its first value.
        let begin = &mut rows[first];
        let whole = if path.is_empty() {
            String::new()
        } else {
            self.comment(path)
        };
        begin.text = [whole.as_str(), begin.text.as_str()]
            .join(" ")
            .trim()
            .to_owned();
    }

    /// The heading of the part of the file that a line is in.
    fn heading(&self, line: usize) -> Option<&str> {
        let above = self.lines[..line].iter().rev();
        let mut headings = above.filter_map(|line| line.strip_prefix("# --- "));
        headings
            .next()
            .map(|line| line.trim_end_matches(['-', ' ']))
    }

    fn table(&self) -> String {
        let mut rows = Vec::new();
        self.rows("", &self.value, &self.schema, &mut rows);
        let (mut text, mut heading) = (String::new(), None);
        for (i, row) in rows.iter().enumerate() {
            let Row {
                line,
                path,
                default,
                text: said,
            } = row;
            assert!(!said.is_empty(), "values.yaml: {path} has no comment");
            if i == 0 || self.heading(*line) != heading {
                heading = self.heading(*line);
                let title = heading.unwrap_or("names and images");
                let (first, rest) = title.split_at(1);
                text.push_str(&format!(
                    "\n### {}{rest}\n\n| value | default | |\n| --- | --- | --- |\n",
                    first.to_uppercase()
                ));
            }
            let said = said.replace('|', "\\|");
            text.push_str(&format!("| `{path}` | `{default}` | {said} |\n"));
        }
        text
    }
}

#[test]
fn the_table_of_values_is_that_of_the_chart() {
    let path = chart().join("README.md");
    let page = fs::read_to_string(&path).unwrap();
    let (prose, _) = page.split_once(MARK).expect("the page has the mark");
    let wanted = format!("{prose}{MARK}{}", Values::read().table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(
        found == wanted,
        "charts/tidegate/README.md is old: run `UPDATE_DOCS=1 cargo test -p tidegate-cli --test chart_readme`"
    );
}
