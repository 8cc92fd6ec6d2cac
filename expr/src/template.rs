//! Templates: literal text with `${expression}` in it; `$${` is a literal `${`.

use std::sync::Arc;

use cel::Value;

use crate::error::{CompileError, EvalError, Fault};
use crate::evaluate::budget::{Budget, MAX_STEPS};
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
    pub fn compile(text: &str, stage: Stage) -> Result<Self, CompileError> {
        let chars = characters(text)?;
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while at < chars.len() {
            match &chars[at..] {
                ['$', '$', '{', ..] => {
                    literal.push_str("${");
                    at += 3;
                }
                ['$', '{', ..] => {
                    let end = expression_end(&chars, at)?;
                    let program = Program::part(&chars, at + 2, end, stage)?;
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Expression(program));
                    at = end + 1;
                }
                [plain, ..] => {
                    literal.push(*plain);
                    at += 1;
                }
                [] => break,
            }
        }
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self {
            parts: parts.into(),
        })
    }

    /// The text itself, when no part of it is an expression.
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for these variables.
    pub fn render(&self, vars: &Variables) -> Result<String, EvalError> {
        let mut budget = Budget::new(MAX_STEPS);
        let mut out = String::new();
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Expression(program) => {
                    let text = print(program, vars, &mut budget, out.len())
                        .map_err(|error| vars.presentable(error))?;
                    out.push_str(&text);
                }
            }
        }
        Ok(out)
    }

    /// The value of a template that is a single `${…}`, with its type; otherwise the text.
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
                    "\"${\" is never closed, for a literal one write \"$${\"",
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
