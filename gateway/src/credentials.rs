//! What clients prove who they are with, and what backends get: tokens and their key sets,
//! passwords, tokens of this gateway's own.

pub(crate) mod aws;
pub(crate) mod jwks;
pub(crate) mod jwt;
pub(crate) mod password;
pub(crate) mod renewed;
pub(crate) mod token_source;
