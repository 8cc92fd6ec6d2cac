//! How this crate calls the printer of error chains.

pub(crate) use tidegate_config::error_chain as text_of;
