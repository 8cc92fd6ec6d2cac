//! Syntax tree to program: resolves names, checks what a reader would notice, folds constants.
//! Refuses only what cannot work: where a type is not known, the evaluator decides.

mod call;
pub(crate) mod names;
mod operators;
mod resolve;

pub(crate) use resolve::{Resolved, resolve};
