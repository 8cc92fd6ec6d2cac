//! Parses the part of C# that policy expressions use.

mod expression;
mod lexer;
mod statement;
mod tree;

pub(crate) use lexer::in_line;
pub(crate) use statement::{expression_of, parse};
pub(crate) use tree::{Expr, Stmt};

/// What is not supported in a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);
