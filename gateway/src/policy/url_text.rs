//! Templates that say where to: URLs, and paths. A value in one may not lead elsewhere.

use std::borrow::Cow;
use std::ops::Range;

use tidegate_config::{InvalidUrlText, check_path, check_url};
use tidegate_expr::Template;

use super::compile::{Compiler, InvalidPolicy};
use super::expression::Text;
use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};

/// Stands for the value of an expression while there is none: it can be a segment, a label and a port.
const STAND_IN: &str = "1";

type Check = fn(&str, &[Range<usize>]) -> Result<(), InvalidUrlText>;

/// A template of a URL or a path, compiled; what its author wrote in it is safe.
#[derive(Debug)]
pub(super) struct UrlText {
    text: Text,
    check: Check,
    /// The field that it stands in.
    field: String,
}

impl UrlText {
    pub(super) fn url(
        field: &str,
        source: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Self::compile(field, source, check_url, compiler)
    }

    pub(super) fn path(
        field: &str,
        source: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Self::compile(field, source, check_path, compiler)
    }

    fn compile(
        field: &str,
        source: &str,
        check: Check,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let text = compiler.text(field, source)?;
        let outline = Template::outline(source, STAND_IN);
        let (outline, values) = outline.map_err(|error| compiler.expression(field, &error))?;
        check(&outline, &values).map_err(|error| compiler.invalid(field, error.to_string()))?;
        Ok(Self {
            text,
            check,
            field: field.to_owned(),
        })
    }

    /// The text, when it is always the same.
    pub(super) fn literal(&self) -> Option<&str> {
        self.text.literal()
    }

    /// The text for this exchange, if no value leads elsewhere.
    pub(super) fn render<'t>(&'t self, exchange: &mut Exchange) -> Result<Cow<'t, str>, Refusal> {
        if let Some(text) = self.text.literal() {
            return Ok(Cow::Borrowed(text));
        }
        let (text, values) = self.text.render_marked(exchange)?;
        match (self.check)(&text, &values) {
            Ok(()) => Ok(Cow::Owned(text)),
            Err(why) => Err(not_safe(&self.field, why)),
        }
    }
}

/// The text itself may hold what is secret: the field tells where to look.
fn not_safe(field: &str, why: InvalidUrlText) -> Refusal {
    let message = "Internal server error";
    Refusal::new(500, Reason::UrlNotSafe, Origin::Policy, message).detail(format!("{field}: {why}"))
}

#[cfg(test)]
mod tests;
