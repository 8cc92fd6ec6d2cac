//! Key material of JSON Web Tokens, parsed once into types that cannot be taken for each other.
//!
//! The planner and the gateways read a Secret with the same functions, so that what one accepts the
//! other can use. An [`HmacSecret`] is never a public key in some wrapping: anyone who knows that public
//! key could sign tokens with it (RFC 8725 §2.1). Pure.

mod algorithm;
mod hmac;
mod pem;
mod recognize;
mod signing;
mod verification;

pub use algorithm::{KeyFamily, algorithm_named, family_of, library_name};
pub use hmac::{HmacSecret, InvalidSecret, SecretLength};
pub use recognize::{Foreign, Form, Wrapping};
pub use signing::{InvalidSigningKey, SigningKey};
pub use verification::{InvalidKey, VerificationKey};
