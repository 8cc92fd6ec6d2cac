//! The command line of Tidegate: the parts behind the program `tidegate`.

pub mod connect;
pub mod echo;
pub mod finding;
pub mod manifest;
