//! A handshake that nobody has begun: it counts nothing, and notes what it would have.

/// What a handshake that nobody has begun would have taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DryRun {
    /// Limits that would have counted it.
    pub(crate) counted: usize,
    /// Places among live tunnels that it would have.
    pub(crate) reserved: usize,
}
