//! The part of C# that policy expressions use: text to tree.

mod lexer;
mod parser;

pub(crate) use parser::{Expr, Stmt, parse};

/// Why a text is none that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);
