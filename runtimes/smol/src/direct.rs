//! A connection for hyper that has what comes written straight into hyper's buffer.
//!
//! smol-hyper fills all of that buffer with zeros before every read: 8 KiB, three times a request.

use hyper::rt::{Read, ReadBufCursor, Write};
use smol::Async;
use smol::io::AsyncWrite as _;
use socket2::SockRef;
use std::io::{self, ErrorKind, IoSlice};
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pub(crate) struct Direct(pub(crate) Async<TcpStream>);

impl Read for Direct {
    #[expect(unsafe_code, reason = "hyper lends its uninitialised buffer to no safe code")]
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // SAFETY: recv writes bytes to it, and nothing that is uninitialised.
            let room = unsafe { buffer.as_mut() };
            match SockRef::from(self.0.get_ref()).recv(room) {
                Ok(read) => {
                    // SAFETY: recv has written that many.
                    unsafe { buffer.advance(read) };
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.0.poll_readable(context))?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Write for Direct {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}
