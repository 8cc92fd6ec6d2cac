//! Every link between the pages leads to a file, and to a heading in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where pages are.
const FOLDERS: [&str; 6] = ["docs", "examples", "conformance", "e2e", "charts", "deploy"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn add_pages(directory: &Path, deep: bool, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the folder is read") {
        let path = entry.expect("the folder is read").path();
        let is_dependency = path.ends_with("node_modules") || path.ends_with("target");
        if path.is_dir() && deep && !is_dependency {
            add_pages(&path, deep, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The lines outside blocks of code.
fn prose(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).expect("the page is read");
    let mut in_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    });
    lines.map(str::to_owned).collect()
}

/// The anchors that GitHub makes of a page's headings.
fn anchors(page: &Path) -> Vec<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let lines = prose(page);
    let headings = lines.iter().filter(|line| line.starts_with('#'));
    let names = headings.map(|heading| {
        let letters = heading.trim_start_matches('#').trim().chars();
        let kept = letters.filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    });
    names
        .map(|name| {
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            match *count {
                1 => name,
                more => format!("{name}-{}", more - 1),
            }
        })
        .collect()
}

/// A line without its code between backquotes.
fn without_code(line: String) -> String {
    line.split('`').step_by(2).collect()
}

fn targets(page: &Path) -> Vec<String> {
    let lines = prose(page).into_iter().map(without_code);
    let text = lines.collect::<Vec<_>>().join("\n");
    let links = text.split("](").skip(1);
    let targets = links.filter_map(|rest| rest.split([')', ' ']).next());
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    inside.map(str::to_owned).collect()
}

/// What is wrong with a link.
fn problem(page: &Path, target: &str) -> Option<&'static str> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match file {
        "" => page.to_owned(),
        file => page.parent()?.join(file),
    };
    if !file.exists() {
        return Some("no such file");
    }
    let is_page = file.extension().is_some_and(|extension| extension == "md");
    let leads_on = anchor.is_empty() || !is_page || anchors(&file).iter().any(|it| it == anchor);
    (!leads_on).then_some("no such heading")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut pages = Vec::new();
    add_pages(&root(), false, &mut pages);
    for folder in FOLDERS {
        add_pages(&root().join(folder), true, &mut pages);
    }
    assert!(pages.len() > 25, "only {} pages found", pages.len());
    let mut broken = Vec::new();
    for page in &pages {
        for target in targets(page) {
            if let Some(problem) = problem(page, &target) {
                broken.push(format!("{}: {target}: {problem}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
