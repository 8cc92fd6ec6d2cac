//! Inside each crate imports run in one direction: the order stands in docs/architecture.md, and
//! nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the table begins.
const HEADING: &str = "## Order inside the crates";

/// What a crate's root is called, and what is built for tests alone.
const NOT_ORDERED: [&str; 5] = ["lib", "main", "bin", "tests", "testing"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Each crate of the table with its modules, in their order.
fn orders() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("the page is read");
    let (_, table) = page.split_once(HEADING).expect("the page has the table");
    let table = table.split("\n## ").next().unwrap_or_default();
    let quoted = |cell: &str| -> Vec<String> {
        let names = cell.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    };
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        (quoted(cells[1]).remove(0), quoted(cells[2]))
    })
    .collect()
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the folder is read") {
        let path = entry.expect("the folder is read").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The top-level module that a file of a crate belongs to.
fn module_of(file: &Path, source: &Path) -> String {
    let inner = file.strip_prefix(source).expect("it is below");
    let first = inner
        .components()
        .next()
        .expect("a file has a name")
        .as_os_str();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn is_test(file: &Path) -> bool {
    file.iter().any(|part| {
        let part = part.to_string_lossy();
        matches!(&*part, "tests" | "tests.rs" | "testing.rs")
    })
}

/// The text without comments, and without the tests at its end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("the file is read");
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next();
    let lines = before_tests.unwrap_or_default().lines();
    let lines = lines.map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn first_name(text: &str) -> String {
    let letters = text.trim_start().chars();
    letters
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

/// What stands between the brace that was opened before the text and its closing one, split at the
/// commas that are in no other braces.
fn members(text: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut members) = (1, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || letter == ',' && depth == 1 {
            members.push(&text[begin..at]);
            begin = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    members
}

/// The first names behind each `crate::` of a text.
fn imported(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, rest) in text
        .match_indices("crate::")
        .map(|(at, found)| text.split_at(at + found.len()))
    {
        match rest.strip_prefix('{') {
            None => names.extend([first_name(rest)]),
            Some(list) => names.extend(members(list).into_iter().map(first_name)),
        }
    }
    names.remove("");
    names
}

/// What the crate's root shows under a name of its own, and the module that it comes from.
fn shown(source: &Path) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let text = fs::read_to_string(source.join("lib.rs")).unwrap_or_default();
    for statement in text.split(';') {
        let Some((_, path)) = statement.rsplit_once("pub use ") else {
            continue;
        };
        let (module, rest) = path.split_once("::").unwrap_or((path, ""));
        let names = rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        for name in names.filter(|name| !name.is_empty()) {
            shown.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    shown
}

/// What is wrong with the imports of one crate.
fn faults(name: &str, order: &[String]) -> Vec<String> {
    let source = root().join(name).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let modules: BTreeSet<String> = files.iter().map(|file| module_of(file, &source)).collect();
    let rank = |module: &str| order.iter().position(|ordered| ordered == module);
    let mut faults = Vec::new();
    for module in &modules {
        let is_ordered = !NOT_ORDERED.contains(&module.as_str());
        if is_ordered && rank(module).is_none() {
            faults.push(format!("{name}: `{module}` is missing in the table"));
        }
    }
    let stale = order.iter().filter(|module| !modules.contains(*module));
    faults.extend(stale.map(|module| format!("{name}: there is no `{module}`")));
    let shown = shown(&source);
    for file in files.iter().filter(|file| !is_test(file)) {
        let own = module_of(file, &source);
        let Some(own_rank) = rank(&own) else { continue };
        for import in imported(&code(file)) {
            let module = shown.get(&import).unwrap_or(&import);
            if rank(module).is_some_and(|rank| rank > own_rank) {
                let file = file.strip_prefix(root()).expect("it is below").display();
                faults.push(format!("{file}: `{own}` stands before `{module}`"));
            }
        }
    }
    faults
}

#[test]
fn imports_run_in_the_order_of_the_page() {
    let orders = orders();
    for crate_name in ["config", "expr", "plan", "operator", "gateway", "tunnel"] {
        assert!(orders.contains_key(crate_name), "{crate_name} has no row");
    }
    let faults: Vec<String> = orders
        .iter()
        .flat_map(|(name, order)| faults(name, order))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_gateway_reads_as_sixteen_steps_at_most() {
    let modules = &orders()["gateway"];
    assert!(modules.len() <= 16, "{} modules", modules.len());
}

#[test]
fn imports_are_found_however_they_are_written() {
    for (text, expected) in [
        ("use crate::a;", &["a"][..]),
        ("use crate::a::{b, c};", &["a"]),
        ("use crate::{a, b::c};", &["a", "b"]),
        (
            "use crate::{a::{x, y}, b};\nfn f() { crate::c::g(1, 2) }",
            &["a", "b", "c"],
        ),
        ("pub(in crate::a) fn f() {}", &["a"]),
    ] {
        let names: Vec<String> = imported(text).into_iter().collect();
        assert_eq!(names, expected, "{text}");
    }
}
