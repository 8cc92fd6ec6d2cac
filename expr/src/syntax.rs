//! Text to syntax tree. Own lexer and parser instead of the `cel` crate's: that one keeps no positions, reads
//! `!!x` as `!x`, takes exponential time for nested `!!( … )`, and recurses without bound on long chains.
//! Knows no names and no types.

pub(crate) mod ast;
mod chain;
pub(crate) mod lexer;
mod literal;
mod parser;

pub(crate) use parser::parse;

/// Longest expression or template. An API server's limit for one CEL rule is of the same size.
pub(crate) const MAX_SOURCE_BYTES: usize = 16 * 1024;

/// Deepest nesting of a syntax tree. Parser, checker and evaluator recurse along it, on threads with 2 MiB of
/// stack; a unit test goes to this depth.
pub(crate) const MAX_DEPTH: usize = 64;
