//! A request.

/// A request from when it was due to its end. Times are the [`super::clock::Clock`]'s, in ns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request {
    /// Its intended start.
    pub(super) due: u64,
    /// When the client took it up.
    pub(super) taken: u64,
    /// When its first byte was written.
    pub(super) sent: u64,
}
