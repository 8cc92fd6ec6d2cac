//! A dry run: a handshake without a client. It counts nothing, and notes what it would have counted.

/// What a dry run would have counted and reserved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DryRun {
    /// Limits that would have counted it.
    pub(crate) counted: usize,
    /// Tunnel permits that it would have reserved.
    pub(crate) reserved: usize,
}
