//! Which log lines are written, as it is given on a command line.

/// The levels, from the fewest lines to the most.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why a text is not a filter of log lines.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a log level: write off, error, warn, info, debug, trace, or TARGET=LEVEL")]
pub struct InvalidLogFilter(String);

/// Checks a filter: a level, or a list of `TARGET=LEVEL` and levels, separated by commas. The logging library
/// alone would take a misspelt level for a target, and write nothing else.
///
/// # Errors
///
/// When a part of the list is neither.
pub fn check_log_filter(text: &str) -> Result<(), InvalidLogFilter> {
    if text.contains('[') {
        // It selects spans by their fields; the logging library checks it.
        return Ok(());
    }
    for part in text.split(',') {
        let level = part.rsplit('=').next().unwrap_or(part).trim();
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            return Err(InvalidLogFilter(level.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for right in [
            "info",
            "WARN",
            "info,tidegate::access=off",
            "tidegate=debug, warn",
            "tidegate[span{api=a}]=debug",
        ] {
            assert_eq!(check_log_filter(right), Ok(()), "{right}");
        }
        for (wrong, named) in [
            ("inof", "inof"),
            ("info,tidegate", "tidegate"),
            ("tidegate=debgu", "debgu"),
            ("", ""),
            ("info,", ""),
        ] {
            let refused = InvalidLogFilter(named.to_owned());
            assert_eq!(check_log_filter(wrong), Err(refused), "{wrong}");
        }
    }
}
