//! Operands and the operators between them, joined by precedence without recursion.

use super::MAX_DEPTH;
use super::ast::{Binary, Expr, ExprKind};
use super::lexer::Token;
use crate::error::CompileError;

type Parsed<T> = Result<T, CompileError>;

/// What may stand between two operands.
#[derive(Clone, Copy)]
pub(super) enum Infix {
    Or,
    And,
    Binary(Binary),
}

impl Infix {
    /// Higher binds tighter; all of them group from the left.
    fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Binary(Binary::Add | Binary::Subtract) => 4,
            Self::Binary(Binary::Multiply | Binary::Divide | Binary::Modulo) => 5,
            Self::Binary(_) => 3,
        }
    }
}

/// The operator that a token is, if it is one between two operands.
pub(super) fn infix(token: &Token) -> Option<Infix> {
    Some(match token {
        Token::Sign("||") => Infix::Or,
        Token::Sign("&&") => Infix::And,
        Token::Sign("==") => Infix::Binary(Binary::Equal),
        Token::Sign("!=") => Infix::Binary(Binary::NotEqual),
        Token::Sign("<") => Infix::Binary(Binary::Less),
        Token::Sign("<=") => Infix::Binary(Binary::LessOrEqual),
        Token::Sign(">") => Infix::Binary(Binary::Greater),
        Token::Sign(">=") => Infix::Binary(Binary::GreaterOrEqual),
        Token::Sign("+") => Infix::Binary(Binary::Add),
        Token::Sign("-") => Infix::Binary(Binary::Subtract),
        Token::Sign("*") => Infix::Binary(Binary::Multiply),
        Token::Sign("/") => Infix::Binary(Binary::Divide),
        Token::Sign("%") => Infix::Binary(Binary::Modulo),
        Token::Name(name) if name == "in" => Infix::Binary(Binary::In),
        _ => return None,
    })
}

/// Operands read so far, and the operators between them that wait for their right side.
#[derive(Default)]
pub(super) struct Chain {
    operands: Vec<Expr>,
    pending: Vec<(usize, Infix)>,
}

impl Chain {
    pub(super) fn push_operand(&mut self, operand: Expr) {
        self.operands.push(operand);
    }

    /// The operator behind the last operand.
    pub(super) fn push_operator(&mut self, at: usize, infix: Infix) -> Parsed<()> {
        self.reduce(infix.precedence())?;
        self.pending.push((at, infix));
        Ok(())
    }

    /// The whole as one expression; none when there was no operand.
    pub(super) fn finish(mut self) -> Parsed<Option<Expr>> {
        self.reduce(0)?;
        Ok(self.operands.pop())
    }

    /// Joins the operands of all waiting operators that bind at least as tightly.
    fn reduce(&mut self, precedence: u8) -> Parsed<()> {
        while let Some((at, infix)) = self.pending.pop_if(|(_, i)| i.precedence() >= precedence) {
            if let (Some(right), Some(left)) = (self.operands.pop(), self.operands.pop()) {
                self.operands.push(join(at, infix, left, right)?);
            }
        }
        Ok(())
    }
}

fn join(at: usize, infix: Infix, left: Expr, right: Expr) -> Parsed<Expr> {
    let depth = left.depth.max(right.depth);
    match (infix, left.kind) {
        (Infix::Binary(operator), kind) => {
            let left = Box::new(Expr { kind, ..left });
            node(at, depth, ExprKind::Binary(operator, left, Box::new(right)))
        }
        (Infix::And, ExprKind::And(terms)) => {
            longer(left.at, left.depth, terms, right, ExprKind::And)
        }
        (Infix::Or, ExprKind::Or(terms)) => longer(left.at, left.depth, terms, right, ExprKind::Or),
        (Infix::And, kind) => node(at, depth, ExprKind::And(vec![Expr { kind, ..left }, right])),
        (Infix::Or, kind) => node(at, depth, ExprKind::Or(vec![Expr { kind, ..left }, right])),
    }
}

/// One more term for a chain, which is not one level more.
fn longer(
    at: usize,
    depth: usize,
    mut terms: Vec<Expr>,
    term: Expr,
    kind: fn(Vec<Expr>) -> ExprKind,
) -> Parsed<Expr> {
    let below = term.depth.max(depth - 1);
    terms.push(term);
    node(at, below, kind(terms))
}

/// A node one level above the deepest below it.
pub(super) fn node(at: usize, below: usize, kind: ExprKind) -> Parsed<Expr> {
    let depth = below + 1;
    if depth > MAX_DEPTH {
        return Err(too_deep(at));
    }
    Ok(Expr { at, depth, kind })
}

pub(super) fn too_deep(at: usize) -> CompileError {
    CompileError::new(
        at,
        format!("nested or chained deeper than {MAX_DEPTH} levels"),
    )
}
