//! The one thing may_minihttp tells of a connection: its socket's number.

use std::os::fd::{AsFd, BorrowedFd, RawFd};

/// A connection's socket, which may_minihttp owns.
#[derive(Debug)]
pub(crate) struct Socket(RawFd);

impl Socket {
    /// The socket that `HttpServiceFactory::new_service` was given as its `id`.
    pub(crate) fn of_service(id: usize) -> Option<Socket> {
        RawFd::try_from(id).ok().map(Socket)
    }
}

impl AsFd for Socket {
    #[expect(unsafe_code, reason = "may_minihttp lends its sockets as numbers only")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: a `Socket` belongs to the service of its connection, and may_minihttp drops the
        // service before it closes the socket: the service is an argument of the function that serves
        // the connection, the stream only lent to it.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}
