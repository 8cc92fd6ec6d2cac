//! The backend's leg: where it is, how to get there.

mod tls;
mod url;

pub(crate) use tls::{ClientTls, ClientTlsFactory, InvalidBackendTls};
pub(crate) use url::{BackendUrl, InvalidBackendUrl};
