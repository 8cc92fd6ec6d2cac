//! URLs that templates give: does one lead where its author wrote?
//!
//! A value may fill the place that a template has for it. It may not leave it: not change scheme, host
//! or port, not climb in the path, not end it early, and not contain what parsers drop.

use std::ops::Range;

use crate::path::{has_dot_segment, leaves_nothing};

#[cfg(test)]
mod tests;

/// Why a URL may lead elsewhere than its author wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrlText {
    /// Also encoded, once or more often, and with parameters behind it.
    #[error("the path has a segment . or ..")]
    DotSegment,
    /// Readers that merge slashes would see the path without it.
    #[error("a value leaves a segment of the path empty")]
    EmptySegment,
    /// URL parsers take tabs and line ends away.
    #[error("it contains a control character")]
    Control,
    /// URL parsers take them away.
    #[error("it begins or ends with a space")]
    Blank,
    /// URL parsers take it for a slash.
    #[error("it contains a backslash")]
    Backslash,
    /// Nothing behind it is sent.
    #[error("it contains a #")]
    Fragment,
    /// What was literal in front of the path, or stood apart, would not be any more.
    #[error("a value changes the scheme, host or port")]
    Authority,
    /// What follows the value would not be in the path any more.
    #[error("a value ends the path early with a ?")]
    Query,
}

/// Checks the URL `text`, in which `values` are the ranges that expressions filled, from left to
/// right; without values, the whole text is an author's. Whether it is a URL at all is for its
/// parser to say.
///
/// # Errors
///
/// When the URL leads elsewhere than its author wrote, by a value or by how parsers read it.
pub fn check_url(text: &str, values: &[Range<usize>]) -> Result<(), InvalidUrlText> {
    check_characters(text)?;
    check_authority(text, values)?;
    let path = authority_end(text);
    let end = text[path..].find('?').map_or(text.len(), |at| path + at);
    if text[..end].contains('\\') {
        return Err(InvalidUrlText::Backslash);
    }
    check_segments(text, path..end, values)
}

/// Checks a path, with or without a query, as [`check_url`] does a URL's. Control characters, `#`
/// and backslashes are for the caller to encode.
///
/// # Errors
///
/// As with [`check_url`].
pub fn check_path(text: &str, values: &[Range<usize>]) -> Result<(), InvalidUrlText> {
    let end = text.find('?').unwrap_or(text.len());
    check_segments(text, 0..end, values)
}

fn check_characters(text: &str) -> Result<(), InvalidUrlText> {
    if text.contains(|c: char| c.is_ascii_control()) {
        Err(InvalidUrlText::Control)
    } else if text.starts_with(' ') || text.ends_with(' ') {
        Err(InvalidUrlText::Blank)
    } else if text.contains('#') {
        Err(InvalidUrlText::Fragment)
    } else {
        Ok(())
    }
}

/// Where scheme and authority end, as URL parsers see them.
fn authority_end(text: &str) -> usize {
    let start = scheme_end(text).unwrap_or_default();
    let end = text[start..].find(['/', '?', '#', '\\']);
    end.map_or(text.len(), |end| start + end)
}

/// Where the authority begins, if a scheme stands before it.
fn scheme_end(text: &str) -> Option<usize> {
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.chars().all(is_scheme).then(|| scheme.len() + 3)
}

/// A template's text with a letter for each value, and where the values stand in it: what its author
/// had in mind.
struct Outline {
    text: String,
    values: Vec<usize>,
}

impl Outline {
    fn of(text: &str, values: &[Range<usize>]) -> Self {
        let mut outline = Self {
            text: String::with_capacity(text.len()),
            values: Vec::with_capacity(values.len()),
        };
        let mut at = 0;
        for value in values {
            outline.text.push_str(&text[at..value.start]);
            outline.values.push(outline.text.len());
            outline.text.push('x');
            at = value.end;
        }
        outline.text.push_str(&text[at..]);
        outline
    }
}

/// Does each value in front of the path keep to its place there? Where the author wrote no scheme, a
/// value brings it, and is the place itself.
fn check_authority(text: &str, values: &[Range<usize>]) -> Result<(), InvalidUrlText> {
    let outline = Outline::of(text, values);
    let Some(start) = scheme_end(&outline.text) else {
        return Ok(());
    };
    let end = authority_end(&outline.text);
    for (value, at) in values.iter().zip(&outline.values) {
        let given = &text[value.clone()];
        let before = outline.text.get(start..*at).unwrap_or_default();
        if *at < end && given.starts_with(['/', '?']) && has_port(before) {
            // Host and port are whole: the path begins here, whatever follows.
            return Ok(());
        }
        let fits = if *at < start {
            given.chars().all(|c| c.is_ascii_alphanumeric())
        } else if *at < end {
            fits_authority(
                given,
                &outline.text[start..*at],
                &outline.text[*at + 1..end],
            )
        } else {
            true
        };
        if !fits {
            return Err(InvalidUrlText::Authority);
        }
    }
    Ok(())
}

/// Does what was written of an authority have its port, or at least a part of it?
fn has_port(before: &str) -> bool {
    let behind_address = before.rsplit(']').next().unwrap_or(before);
    let port = behind_address.rsplit_once(':').map(|(_, port)| port);
    // An outline has a letter where the port is a value.
    port.is_some_and(|port| {
        !port.is_empty() && port.chars().all(|c| c == 'x' || c.is_ascii_digit())
    })
}

/// May a value stand between these two parts of an authority?
fn fits_authority(value: &str, before: &str, after: &str) -> bool {
    let label = |c: char| c.is_ascii_alphanumeric() || "-_~".contains(c);
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let name = |text: &str| !text.is_empty() && text.chars().all(|c| label(c) || c == '.');
    // User and password are for the URL's parser to refuse.
    let before = before.rsplit('@').next().unwrap_or(before);
    if before.ends_with(':') {
        return digits(value) && !value.is_empty();
    }
    if before.is_empty() {
        // The whole host, perhaps with its port.
        let address = value
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'));
        let (is_host, rest) = match address {
            Some((address, rest)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), rest),
            None => {
                let end = value.find(':').unwrap_or(value.len());
                (name(&value[..end]), &value[end..])
            }
        };
        let port = rest.strip_prefix(':').unwrap_or(rest);
        let is_port = rest.is_empty() || after.is_empty() && !port.is_empty() && digits(port);
        return is_host && is_port;
    }
    if !after.is_empty() && !after.starts_with(':') {
        return value.chars().all(|c| label(c) || c == '.');
    }
    // At the end of the host nothing of the author's holds it back: a label, or the path.
    let is_rest = after.is_empty() && value.starts_with(['/', '?']);
    is_rest || value.chars().all(label)
}

fn check_segments(
    text: &str,
    path: Range<usize>,
    values: &[Range<usize>],
) -> Result<(), InvalidUrlText> {
    if has_dot_segment(&text[path.clone()]) {
        return Err(InvalidUrlText::DotSegment);
    }
    for value in values {
        let given = &text[value.clone()];
        if (value.start..value.end).contains(&path.end) && !may_end_path(&text[value.end..]) {
            return Err(InvalidUrlText::Query);
        }
        let name = given.split([';', '?']).next().unwrap_or(given);
        let is_nothing = name.bytes().all(|byte| byte == b'/') || leaves_nothing(name);
        let before = text[..value.start].ends_with('/');
        let after = text[value.end..].starts_with('/');
        if path.contains(&value.start) && is_nothing && before && after {
            return Err(InvalidUrlText::EmptySegment);
        }
    }
    Ok(())
}

/// A value with the query in it may come last, or before more of the query.
fn may_end_path(after: &str) -> bool {
    after.is_empty() || after.starts_with('&')
}
