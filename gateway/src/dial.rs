//! The backend's leg: where it is, how to get there.

mod url;

pub(crate) use url::{BackendUrl, InvalidBackendUrl};
