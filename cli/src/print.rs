//! How commands print what they list: a table, JSON, YAML or names. With `--watch`, rows that change follow.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::run::print_out;

/// Spaces between two columns.
const GAP: usize = 3;

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line for each row.
    #[default]
    Table,
    /// A JSON array; with --watch one JSON object a line.
    Json,
    /// A YAML list; with --watch one YAML document for each row.
    Yaml,
    /// One name a line, as `kubectl` takes it.
    Name,
}

/// A line of a list.
pub trait Row: Clone + PartialEq + Serialize {
    /// The heads of its columns.
    const COLUMNS: &'static [&'static str];

    /// The last cell of a row that is not in the list any more.
    const GONE: &'static str = "gone";

    /// One text for each column.
    fn cells(&self) -> Vec<String>;

    /// What it is about: the same for the same thing in another state.
    fn id(&self) -> String;

    /// What `-o name` prints.
    fn name(&self) -> String;
}

/// Prints rows; when called again, those that differ from the last time.
#[derive(Debug)]
pub struct Printer<R> {
    format: Format,
    is_watch: bool,
    widths: Vec<usize>,
    last: Option<BTreeMap<String, R>>,
}

impl<R: Row> Printer<R> {
    /// Prints in this format.
    pub const fn new(format: Format, is_watch: bool) -> Self {
        Self {
            format,
            is_watch,
            widths: Vec::new(),
            last: None,
        }
    }

    /// Prints all rows the first time, then those that changed.
    ///
    /// # Errors
    ///
    /// When a row cannot be written in the format, or standard output cannot be written.
    pub fn print(&mut self, rows: Vec<R>) -> anyhow::Result<()> {
        let text = self.render(rows)?;
        if !text.is_empty() {
            print_out(&text)?;
        }
        Ok(())
    }

    fn render(&mut self, rows: Vec<R>) -> anyhow::Result<String> {
        let is_first = self.last.is_none();
        let mut before = self.last.take().unwrap_or_default();
        let now: BTreeMap<_, _> = rows.iter().map(|row| (row.id(), row.clone())).collect();
        let changed = rows.into_iter();
        let changed: Vec<_> = changed
            .filter(|row| before.get(&row.id()) != Some(row))
            .collect();
        before.retain(|id, _| !now.contains_key(id));
        let gone: Vec<_> = before.into_values().collect();
        self.last = Some(now);
        match self.format {
            Format::Table => Ok(self.table(&changed, &gone, is_first)),
            Format::Name => Ok(changed.iter().fold(String::new(), |text, row| {
                text + &escaped(&row.name()) + "\n"
            })),
            Format::Json if self.is_watch => {
                each(&changed, &gone, |row| Ok(serde_json::to_string(row)?))
            }
            Format::Yaml if self.is_watch => {
                each(&changed, &gone, |row| Ok("---\n".to_owned() + &yaml(row)?))
            }
            Format::Json => Ok(serde_json::to_string_pretty(&changed)?),
            Format::Yaml => yaml(&changed),
        }
    }

    fn table(&mut self, rows: &[R], gone: &[R], with_head: bool) -> String {
        let mut cells: Vec<Vec<String>> = rows.iter().map(shown).collect();
        cells.extend(gone.iter().map(|row| {
            let mut cells = shown(row);
            if let Some(last) = cells.last_mut() {
                R::GONE.clone_into(last);
            }
            cells
        }));
        if with_head && rows.is_empty() {
            return String::new();
        }
        let head: Vec<_> = R::COLUMNS.iter().map(|&column| column.to_owned()).collect();
        if with_head {
            self.widths = (0..head.len())
                .map(|at| {
                    let widest = cells.iter().map(|row| row[at].chars().count()).max();
                    widest.unwrap_or_default().max(head[at].len())
                })
                .collect();
        }
        let head = with_head.then_some(&head);
        head.into_iter()
            .chain(&cells)
            .fold(String::new(), |text, row| text + &self.line(row) + "\n")
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&self.widths) {
            // A String takes everything.
            let _ = write!(line, "{cell:<width$}{:GAP$}", "");
        }
        line.trim_end().to_owned()
    }
}

/// Cells as they are shown: absent ones as a dash, so that columns can be counted.
fn shown<R: Row>(row: &R) -> Vec<String> {
    let cells = row.cells().into_iter();
    cells
        .map(|cell| match cell.is_empty() {
            true => "-".to_owned(),
            false => escaped(&cell),
        })
        .collect()
}

/// Rows that changed, and those that are gone, with `gone: true`.
fn each<R: Serialize>(
    rows: &[R],
    gone: &[R],
    render: impl Fn(&Value) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let rows = rows.iter().map(|row| (row, false));
    let gone = gone.iter().map(|row| (row, true));
    let mut text = String::new();
    for (row, is_gone) in rows.chain(gone) {
        let mut value = serde_json::to_value(row)?;
        if is_gone {
            value["gone"] = Value::Bool(true);
        }
        text.push_str(render(&value)?.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// A value as YAML, its fields in the order of its type.
///
/// # Errors
///
/// When the value has keys that are not text.
pub fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    serde_saphyr::to_string(value).context("failed to write YAML")
}

/// Prints one value that is no list.
///
/// # Errors
///
/// When it cannot be written in the format, or standard output cannot be written.
pub fn print_value(format: Format, value: &impl Serialize) -> anyhow::Result<()> {
    let text = match format {
        Format::Yaml => yaml(value)?,
        Format::Json | Format::Table | Format::Name => serde_json::to_string_pretty(value)?,
    };
    print_out(&text)
}

/// Without control characters: other people's texts must not start lines or move the cursor.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => safe.extend(letter.escape_default()),
            false => safe.push(letter),
        }
    }
    safe
}

/// The text of a value that is written as a JSON string, such as the variant of an enum.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize)]
    struct Boat {
        name: &'static str,
        state: String,
    }

    impl Row for Boat {
        const COLUMNS: &'static [&'static str] = &["NAME", "STATE"];

        fn cells(&self) -> Vec<String> {
            vec![self.name.to_owned(), self.state.clone()]
        }

        fn id(&self) -> String {
            self.name.to_owned()
        }

        fn name(&self) -> String {
            format!("boat/{}", self.name)
        }
    }

    fn boat(name: &'static str, state: &str) -> Boat {
        Boat {
            name,
            state: state.to_owned(),
        }
    }

    #[test]
    fn a_list_is_printed_in_every_format_and_then_its_changes() {
        let first = vec![boat("pequod", "a\u{1b}[2J"), boat("x", "")];
        let then = vec![boat("pequod", "sunk"), boat("x", "")];
        for (format, is_watch, list, change) in [
            (
                Format::Table,
                false,
                "NAME     STATE\npequod   a\\u{1b}[2J\nx        -\n",
                "pequod   sunk\n",
            ),
            (
                Format::Name,
                false,
                "boat/pequod\nboat/x\n",
                "boat/pequod\n",
            ),
            (
                Format::Json,
                true,
                "{\"name\":\"pequod\",\"state\":\"a\\u001b[2J\"}\n{\"name\":\"x\",\"state\":\"\"}\n",
                "{\"name\":\"pequod\",\"state\":\"sunk\"}\n",
            ),
            (
                Format::Yaml,
                true,
                "---\nname: pequod\nstate: \"a\\e[2J\"\n---\nname: x\nstate: \"\"\n",
                "---\nname: pequod\nstate: sunk\n",
            ),
        ] {
            let mut printer = Printer::new(format, is_watch);
            assert_eq!(printer.render(first.clone()).unwrap(), list, "{format:?}");
            assert_eq!(printer.render(then.clone()).unwrap(), change, "{format:?}");
            assert_eq!(printer.render(then.clone()).unwrap(), "", "{format:?}");
        }
    }

    #[test]
    fn a_row_that_goes_is_said_once() {
        for (format, expected) in [
            (Format::Table, "x        gone\n"),
            (Format::Name, ""),
            (
                Format::Json,
                "{\"gone\":true,\"name\":\"x\",\"state\":\"\"}\n",
            ),
            (Format::Yaml, "---\ngone: true\nname: x\nstate: \"\"\n"),
        ] {
            let mut printer = Printer::new(format, true);
            printer
                .render(vec![boat("pequod", ""), boat("x", "")])
                .unwrap();
            let left = vec![boat("pequod", "")];
            assert_eq!(
                printer.render(left.clone()).unwrap(),
                expected,
                "{format:?}"
            );
            assert_eq!(printer.render(left).unwrap(), "", "{format:?}");
        }
    }

    #[test]
    fn json_and_yaml_of_a_list_are_lists_even_when_it_is_empty() {
        for (format, rows, expected) in [
            (Format::Json, vec![], "[]"),
            (Format::Yaml, vec![], "[]\n"),
            (
                Format::Yaml,
                vec![boat("x", "afloat")],
                "- name: x\n  state: afloat\n",
            ),
        ] {
            let text = Printer::new(format, false).render(rows).unwrap();
            assert_eq!(text, expected, "{format:?}");
        }
    }
}
