//! The command line of Tidegate: the parts behind the program `tidegate`.

pub mod admin_token;
pub mod completion;
pub mod conformance;
pub mod connect;
pub mod demo;
pub mod echo;
pub mod explain;
pub mod finding;
pub mod identity;
pub mod import;
pub mod keys;
pub mod manifest;
pub mod objects;
pub mod positions;
pub mod report;
pub mod run;
pub mod schema;
pub mod standalone;
pub mod syntax;
pub mod validate;
pub mod world;
