//! What a row needs whose reads and writes block their thread or coroutine.
//!
//! The code that speaks HTTP is made of futures. Where everything blocks, these are ready when first polled.

use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A socket whose calls block their thread or coroutine.
pub trait Transport: Read + Write + AsFd {
    /// The longest a read may take; `None` for as long as it takes.
    ///
    /// # Errors
    /// The socket is gone.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        TcpStream::set_read_timeout(self, timeout)
    }
}

/// A socket that knows its timeout.
#[derive(Debug)]
pub(crate) struct Blocking<S> {
    pub(crate) socket: S,
    /// The timeout the socket has now, to save the call that sets it again.
    timeout: Option<Duration>,
}

impl<S: Transport> Blocking<S> {
    pub(crate) fn new(socket: S) -> Blocking<S> {
        Blocking { socket, timeout: None }
    }

    /// Waits for bytes, for as long as `limit`, and says how many came: 0 at the end of the stream.
    pub(crate) fn read(&mut self, buffer: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        if self.timeout != limit {
            self.socket.set_read_timeout(limit)?;
            self.timeout = limit;
        }
        loop {
            match self.socket.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl<S: AsFd> AsFd for Blocking<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The output of a future that is ready at once.
pub fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_does_not_block_is_noticed() {
        assert_eq!(poll_once(async { 7 }), Some(7));
        assert_eq!(poll_once(std::future::pending::<()>()), None);
    }
}
