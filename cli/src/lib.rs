//! The command line of Tidegate: the parts behind the program `tidegate`.

pub mod admin_token;
pub mod answer_server;
pub mod cluster;
pub mod completion;
pub mod conformance;
pub mod connect;
pub mod demo;
pub mod echo;
pub mod echo_server;
pub mod explain;
pub mod finding;
pub mod follow;
pub mod identity;
pub mod import;
pub mod input;
pub mod keys;
pub mod manifest;
pub mod objects;
pub mod planned;
pub mod positions;
pub mod print;
pub mod report;
pub mod run;
pub mod schema;
pub mod stand_in;
pub mod standalone;
pub mod status;
pub mod subscription_keys;
pub mod subscriptions;
pub mod syntax;
pub mod target;
#[cfg(test)]
mod testing;
pub mod validate;
pub mod watch;
pub mod world;
