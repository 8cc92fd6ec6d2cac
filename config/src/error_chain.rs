//! The only place that prints an error with its causes: an error's own text says its own level only.

use std::error::Error;

/// The error and its causes in one line, joined by colons. A cause whose text is already in the line is
/// left out, because some libraries repeat it.
pub fn error_chain(error: &dyn Error) -> String {
    join(error.to_string(), error.source(), |cause| cause.to_string())
}

/// The same with texts of the caller's choice, one for each error of the chain.
pub fn error_chain_by(
    error: &(dyn Error + 'static),
    text_of: fn(&(dyn Error + 'static)) -> String,
) -> String {
    join(text_of(error), error.source(), text_of)
}

fn join<'a>(
    mut line: String,
    mut cause: Option<&'a (dyn Error + 'static)>,
    text_of: fn(&(dyn Error + 'static)) -> String,
) -> String {
    while let Some(error) = cause {
        let text = text_of(error);
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn chain(texts: &[&'static str]) -> Level {
        let (first, rest) = texts.split_first().unwrap();
        Level {
            text: first,
            source: (!rest.is_empty()).then(|| Box::new(chain(rest))),
        }
    }

    #[test]
    fn every_level_is_printed_once() {
        for (levels, wanted) in [
            (&["alone"][..], "alone"),
            (
                &["failed to read", "no such file"],
                "failed to read: no such file",
            ),
            (&["outer", "middle", "inner"], "outer: middle: inner"),
            (&["outer: inner", "inner"], "outer: inner"),
            (
                &["outer (inner) at 3", "inner", "root"],
                "outer (inner) at 3: root",
            ),
        ] {
            assert_eq!(error_chain(&chain(levels)), wanted);
        }
    }

    #[test]
    fn the_caller_may_choose_the_texts() {
        let line = error_chain_by(&chain(&["a", "b"]), |error| format!("<{error}>"));
        assert_eq!(line, "<a>: <b>");
    }
}
