//! The tables of a run, in Markdown.

use std::fmt::Write as _;

use crate::peer::Kind;
use crate::row::{BARE, COMPARED, HANDSHAKES, Row, Target, Unit};
use crate::samples::Samples;

/// Between these lines of the page stands what a run has written.
const BEGIN: &str = "<!-- written by make bench: begin -->\n";
const END: &str = "<!-- written by make bench: end -->\n";

/// Both tables.
pub(crate) fn tables(samples: &Samples) -> Result<String, std::fmt::Error> {
    let mut text = "| measure | Tidegate | nginx | HAProxy | Envoy | target | |\n\
        | --- | ---: | ---: | ---: | ---: | --- | --- |\n"
        .to_owned();
    for row in COMPARED {
        write!(text, "| {} |", row.name)?;
        for kind in Kind::ALL {
            write!(text, " {} |", cell(samples, row, kind))?;
        }
        writeln!(text, " {} |", verdict(samples, row))?;
    }
    text.push_str(
        "\nTidegate's CPU per handshake by what it checks:\n\n\
         | handshake | CPU | × bare | target | |\n| --- | ---: | ---: | --- | --- |\n",
    );
    for row in HANDSHAKES {
        let (value, bare) = (of(samples, row), of(samples, &BARE));
        let (Some(value), Some(bare)) = (value, bare) else {
            continue;
        };
        let value_text = number(value, row.unit);
        let verdict = verdict(samples, row);
        writeln!(
            text,
            "| {} | {value_text} | {:.2} | {verdict} |",
            row.name,
            value / bare
        )?;
    }
    Ok(text)
}

/// Puts a run's text into the page.
pub(crate) fn insert(page: &str, text: &str) -> anyhow::Result<String> {
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| anyhow::anyhow!("the page lacks its marks"))?;
    Ok(format!("{before}{BEGIN}{text}{END}{after}"))
}

fn of(samples: &Samples, row: &Row) -> Option<f64> {
    samples.median(row, Kind::Tidegate)
}

/// Value, spread, and how many times Tidegate's it is.
fn cell(samples: &Samples, row: &Row, kind: Kind) -> String {
    let Some(value) = samples.median(row, kind) else {
        return String::new();
    };
    let mut cell = number(value, row.unit);
    if let Some(spread) = samples.spread(row, kind) {
        let _ = write!(cell, " ±{}", number(spread, row.unit));
    }
    if kind != Kind::Tidegate
        && let Some(ours) = of(samples, row).filter(|ours| *ours > 0.0)
    {
        let _ = write!(cell, " (×{:.2})", value / ours);
    }
    cell
}

fn verdict(samples: &Samples, row: &Row) -> String {
    let Some(target) = row.target else {
        return " | ".to_owned();
    };
    let (text, most) = match target {
        Target::Of(share, kind) => (
            format!("≤ {share} × {}", kind.name()),
            samples.median(row, kind).map(|value| share * value),
        ),
        Target::Most(value) => (format!("≤ {}", number(value, row.unit)), Some(value)),
        Target::OfBare(times) => (
            format!("≤ {times} × bare"),
            of(samples, &BARE).map(|bare| times * bare),
        ),
    };
    let verdict = match (of(samples, row), most) {
        (Some(value), Some(most)) if value <= most => "reached",
        (Some(_), Some(_)) => "**not reached**",
        _ => "not measured",
    };
    format!("{text} | {verdict}")
}

fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Micros => format!("{value:.1} µs"),
        Unit::PerSecond => format!("{value:.0}"),
        Unit::Bytes => format!("{:.1} KiB", value / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::CPU_SMALL;

    #[test]
    fn a_run_replaces_what_the_last_one_wrote() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        assert_eq!(
            insert(&page, "new\n").unwrap(),
            format!("before\n{BEGIN}new\n{END}after\n")
        );
        insert("no marks", "new").unwrap_err();
    }

    #[test]
    fn a_target_is_reached_or_not() {
        let mut samples = Samples::default();
        assert!(verdict(&samples, &CPU_SMALL).ends_with("| not measured"));
        samples.add(&CPU_SMALL, Kind::Tidegate, 9.0);
        samples.add(&CPU_SMALL, Kind::Nginx, 10.0);
        assert_eq!(verdict(&samples, &CPU_SMALL), "≤ 0.9 × nginx | reached");
        assert_eq!(cell(&samples, &CPU_SMALL, Kind::Nginx), "10.0 µs (×1.11)");
        samples.add(&CPU_SMALL, Kind::Tidegate, 9.2);
        assert_eq!(
            verdict(&samples, &CPU_SMALL),
            "≤ 0.9 × nginx | **not reached**"
        );
    }

    #[test]
    fn the_page_has_all_rows() {
        let page = include_str!("../../docs/benchmarks.md");
        insert(page, "").unwrap();
        for row in COMPARED.iter().chain(&HANDSHAKES) {
            assert!(page.contains(&format!("| {} |", row.name)), "{}", row.name);
        }
    }
}
