//! Configurations: a `source` publishes an `update`, which is compiled to a `snapshot` with its routes;
//! `state_dir` keeps the last good one on disk.

mod applied;
pub(crate) mod route;
pub mod settings;
pub(crate) mod snapshot;
pub(crate) mod source;
pub(crate) mod state_dir;
pub(crate) mod update;

pub use applied::Applied;
pub use source::Problem;
