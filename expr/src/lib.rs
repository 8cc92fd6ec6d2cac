//! Tidegate's expression language: CEL conditions and values, and `${…}` templates.
//!
//! Compile once ([`Program`], [`Template`]), evaluate per handshake over its [`Variables`]. Everything a reader
//! would notice is checked when compiling, with position and the nearest right name; every evaluation is bounded
//! in steps and size. Pure: no I/O, no clock (`now` is a variable); only `uuid()` and `random(n)` differ from
//! call to call.
//!
//! Values, and the functions of CEL and Kubernetes, come from the `cel` and `kube-cel` crates; why parser and
//! evaluator are our own is said in `syntax` and `evaluate`.

mod budget;
mod check;
mod error;
mod evaluate;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod library;
mod mask;
mod program;
mod registry;
mod syntax;
mod template;
mod types;
mod value;
mod variables;
mod vocabulary;

pub use cel::Value;

pub use check::names::nearest;
pub use error::{CompileError, EvalError};
pub use mask::{mask, mask_beginning};
pub use program::Program;
pub use template::Template;
pub use value::{ConversionError, from_json, from_time, to_json, to_text};
pub use variables::{TooBig, Variables};
pub use vocabulary::Stage;

#[cfg(test)]
mod tests;
