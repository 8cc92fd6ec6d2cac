//! Templates: literal text with `${expression}` in it; `$${` is a literal `${`.

use std::ops::Range;
use std::sync::Arc;

use cel::Value;

use crate::budget::{Budget, MAX_STEPS};
use crate::error::{CompileError, EvalError, Fault};
use crate::program::{Program, characters};
use crate::syntax::lexer::{Lexer, Token};
use crate::value::{text, to_text};
use crate::variables::Variables;
use crate::vocabulary::Stage;

/// A compiled template, cheap to clone and to render.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Arc<[Part]>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Expression(Program),
}

impl Template {
    /// Compiles a text; positions of errors count in the whole text.
    ///
    /// # Errors
    ///
    /// When a `${` is not closed, or an expression does not compile in `stage`.
    pub fn compile(text: &str, stage: Stage) -> Result<Self, CompileError> {
        let chars = characters(text)?;
        let part = |piece| {
            Ok(match piece {
                Piece::Literal(text) => Part::Literal(text),
                Piece::Expression { start, end } => {
                    Part::Expression(Program::part(&chars, start, end, stage)?)
                }
            })
        };
        let parts: Result<Vec<_>, _> = pieces(&chars)?.into_iter().map(part).collect();
        Ok(Self {
            parts: parts?.into(),
        })
    }

    /// What the author of a text wrote, with `stand_in` for the value of each expression, and the
    /// ranges of these stand-ins: to be checked before there are values. The expressions are not
    /// compiled.
    ///
    /// # Errors
    ///
    /// When a `${` is not closed.
    pub fn outline(
        text: &str,
        stand_in: &str,
    ) -> Result<(String, Vec<Range<usize>>), CompileError> {
        let (mut out, mut values) = (String::new(), Vec::new());
        for piece in pieces(&characters(text)?)? {
            match piece {
                Piece::Literal(text) => out.push_str(&text),
                Piece::Expression { .. } => {
                    values.push(out.len()..out.len() + stand_in.len());
                    out.push_str(stand_in);
                }
            }
        }
        Ok((out, values))
    }

    /// The text itself, when no part of it is an expression.
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for these variables.
    ///
    /// # Errors
    ///
    /// When an expression gives no value or one without a text form, or the whole exceeds its
    /// budget.
    pub fn render(&self, vars: &Variables) -> Result<String, EvalError> {
        self.render_with(vars, |_| ())
    }

    /// The text for these variables, and the ranges in it that the values of expressions fill, from
    /// left to right; what is between them its author wrote.
    ///
    /// # Errors
    ///
    /// As with [`Self::render`].
    pub fn render_marked(
        &self,
        vars: &Variables,
    ) -> Result<(String, Vec<Range<usize>>), EvalError> {
        let mut values = Vec::with_capacity(self.parts.len());
        let text = self.render_with(vars, |value| values.push(value))?;
        Ok((text, values))
    }

    fn render_with(
        &self,
        vars: &Variables,
        mut mark: impl FnMut(Range<usize>),
    ) -> Result<String, EvalError> {
        let mut budget = Budget::new(MAX_STEPS);
        let mut out = String::new();
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Expression(program) => {
                    let start = out.len();
                    let text = print(program, vars, &mut budget, start)
                        .map_err(|error| vars.presentable(error))?;
                    out.push_str(&text);
                    mark(start..out.len());
                }
            }
        }
        Ok(out)
    }

    /// The value of a template that is a single `${…}`, with its type; otherwise the text.
    ///
    /// # Errors
    ///
    /// As with [`Self::render`].
    pub fn value(&self, vars: &Variables) -> Result<Value, EvalError> {
        match &*self.parts {
            [Part::Expression(program)] => program.evaluate(vars),
            _ => self.render(vars).map(text),
        }
    }

    /// The named values it needs (`values.NAME`), each with its position in the text; those that it
    /// asks for with `has()` or `.?` may be missing.
    pub fn named_values(&self) -> impl Iterator<Item = (usize, &str)> {
        self.parts.iter().flat_map(|part| match part {
            Part::Literal(_) => Vec::new(),
            Part::Expression(program) => program.named_values().collect(),
        })
    }
}

/// A part of a text that is not compiled yet.
enum Piece {
    Literal(String),
    /// What stands between its braces.
    Expression {
        start: usize,
        end: usize,
    },
}

/// At least one.
fn pieces(chars: &[char]) -> Result<Vec<Piece>, CompileError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while at < chars.len() {
        match &chars[at..] {
            ['$', '$', '{', ..] => {
                literal.push_str("${");
                at += 3;
            }
            ['$', '{', ..] => {
                let end = expression_end(chars, at)?;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                let start = at + 2;
                pieces.push(Piece::Expression { start, end });
                at = end + 1;
            }
            [plain, ..] => {
                literal.push(*plain);
                at += 1;
            }
            [] => break,
        }
    }
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// The text of one expression; the whole text so far counts towards the limit.
fn print(
    program: &Program,
    vars: &Variables,
    budget: &mut Budget,
    length: usize,
) -> Result<String, EvalError> {
    let at = |fault: Fault| fault.at(program.position());
    let value = program.evaluate_within(vars, budget)?;
    budget
        .spend_values(std::slice::from_ref(&value), 1)
        .map_err(at)?;
    let text = to_text(&value).map_err(|error| at(Fault::new(error.to_string())))?;
    budget.spend_text(length + text.len()).map_err(at)?;
    Ok(text)
}

/// Where the `}` stands that closes the expression whose `${` is at `start`. Braces inside strings and of maps
/// do not close it.
fn expression_end(chars: &[char], start: usize) -> Result<usize, CompileError> {
    let mut lexer = Lexer::new(chars, start + 2);
    let mut open = 0_usize;
    loop {
        match lexer.next()? {
            (_, Token::End) => {
                return Err(CompileError::new(
                    start,
                    "\"${\" is not closed; for a literal one write \"$${\"",
                ));
            }
            (_, Token::Sign("{")) => open += 1,
            (at, Token::Sign("}")) => match open.checked_sub(1) {
                Some(left) => open = left,
                None => return Ok(at),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
