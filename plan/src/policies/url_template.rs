//! URLs and paths that policies give as templates.

use std::ops::Range;

use tidegate_config::InvalidUrlText;
use tidegate_expr::Template;

use crate::problem::Problem;

/// How a gateway checks the URL or path that a template gives.
type CheckUrl = fn(&str, &[Range<usize>]) -> Result<(), InvalidUrlText>;

/// What is wrong with what the author of a URL or path wrote, whatever its expressions give. Those that
/// do not compile are reported elsewhere.
pub(super) fn check_author(template: &str, check: CheckUrl) -> Option<Problem> {
    // A digit can be a segment, a label and a port.
    let (text, values) = Template::outline(template, "1").ok()?;
    let why = check(&text, &values).err()?;
    Some(Problem::invalid(why.to_string()))
}
