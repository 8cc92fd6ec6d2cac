//! Policy documents are almost XML: expressions stand in them unescaped.
//!
//! Before parsing, the characters of expressions that XML forbids are replaced by others of the same
//! width in columns, so that positions stay those of the file; afterwards they are put back.

/// What is replaced, and by which characters for private use.
const STANDINS: [(char, char); 4] = [
    ('"', '\u{e000}'),
    ('<', '\u{e001}'),
    ('&', '\u{e002}'),
    ('\'', '\u{e003}'),
];

const ENTITIES: [&str; 6] = ["&quot;", "&lt;", "&gt;", "&amp;", "&apos;", "&#"];

/// The document with readable expressions; `None` when it has one of the stand-ins already.
pub(crate) fn protect(text: &str) -> Option<String> {
    if text.contains(STANDINS.map(|(_, standin)| standin)) {
        return None;
    }
    let mut found = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = verbatim_length(rest);
        let is_start = rest.starts_with("@(") || rest.starts_with("@{");
        let before = found.trim_end().chars().next_back();
        if length > 0 {
            found.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if is_start && matches!(before, Some('"' | '\'' | '>')) {
            let end = end(rest).unwrap_or(2);
            replace(&rest[..end], &mut found);
            rest = &rest[end..];
        } else {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            found.push_str(&rest[..first]);
            rest = &rest[first..];
        }
    }
    Some(found)
}

/// The text as it was.
pub(crate) fn restore(text: &str) -> String {
    let back = |c| STANDINS.iter().find(|(_, standin)| *standin == c);
    text.chars()
        .map(|c| back(c).map_or(c, |(original, _)| *original))
        .collect()
}

/// Length of a comment or CDATA section at the start.
fn verbatim_length(rest: &str) -> usize {
    for (open, close) in [("<!--", "-->"), ("<![CDATA[", "]]>")] {
        if rest.starts_with(open) {
            return rest.find(close).map_or(rest.len(), |at| at + close.len());
        }
    }
    0
}

fn replace(expression: &str, found: &mut String) {
    for (at, c) in expression.char_indices() {
        let is_entity = ENTITIES
            .iter()
            .any(|entity| expression[at..].starts_with(entity));
        let standin = STANDINS.iter().find(|(original, _)| *original == c);
        match standin {
            Some((_, standin)) if !is_entity => found.push(*standin),
            _ => found.push(c),
        }
    }
}

/// Where the expression at the start ends: after the bracket that closes its first one.
fn end(rest: &str) -> Option<usize> {
    let (mut depth, mut at, mut quote) = (0_usize, 1, None);
    while let Some(c) = rest[at..].chars().next() {
        let (c, length) = match rest[at..].starts_with("&quot;") {
            true => ('"', "&quot;".len()),
            false => (c, c.len_utf8()),
        };
        at += length;
        match (quote, c) {
            (Some(_), '\\') => {
                let is_entity = rest[at..].starts_with("&quot;");
                let next = rest[at..].chars().next().map_or(0, char::len_utf8);
                at += if is_entity { "&quot;".len() } else { next };
            }
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '{' | '[') => depth += 1,
            (None, ')' | '}' | ']') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            (None, _) => {}
        }
    }
    None
}
