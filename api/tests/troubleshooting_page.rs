//! `docs/troubleshooting.md` has a row for every reason of a condition, in order, and no others.

use tidegate_api::Reason;

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

#[test]
fn the_page_lists_every_reason_and_no_other() {
    let rows = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let listed: Vec<_> = rows.collect();
    let known: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(listed, known);
}
