//! The part of C# that policy expressions use: text to tree.

mod expression;
mod lexer;
mod statement;
mod tree;

pub(crate) use statement::parse;
pub(crate) use tree::{Expr, Stmt};

/// Why a text is none that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);
