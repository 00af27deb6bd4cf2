//! A connection to the server under test: blocking, with a deadline on everything.

use super::wire::{Parsed, Reply, parse};
use anyhow::{Context, Result};
use socket2::SockRef;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// A timeout of zero would mean to wait forever.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Received, and not yet taken as a reply.
    buffer: Vec<u8>,
    /// No more bytes will come: the server closed or reset the connection.
    ended: bool,
    /// Sending has failed: the server is gone, and what it sent before that counts.
    deaf: bool,
    half_closed: bool,
    /// When something last came, the end included.
    received: Instant,
    /// Before it was opened.
    pub(super) opened: Instant,
}

/// What came next on a connection.
#[derive(Debug)]
pub(super) enum Next {
    /// A reply.
    Reply(Reply),
    /// The end, with the bytes of an unfinished reply, if any.
    End(Vec<u8>),
    /// Bytes that are no reply.
    Garbage(Vec<u8>),
    /// Nothing more, or not enough, before the deadline.
    Nothing(Vec<u8>),
}

impl Connection {
    /// Connects, with Nagle's algorithm off: what is written apart is sent apart.
    pub(super) fn open(addr: SocketAddr, patience: Duration) -> Result<Connection> {
        let opened = Instant::now();
        let stream = TcpStream::connect_timeout(&addr, patience)
            .with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(patience))?;
        // A reset at the end leaves no TIME_WAIT behind: thousands of them would outlast the check
        // and share the machine with the measurement that follows it.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        Ok(Connection {
            stream,
            buffer: Vec::new(),
            ended: false,
            deaf: false,
            half_closed: false,
            received: opened,
            opened,
        })
    }

    /// Sends bytes. A server that hangs up on a bad request does so while it is still being sent:
    /// a failure is not an error here, and what was received before it counts.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.deaf = self.deaf || self.stream.write_all(bytes).is_err();
    }

    /// Sends as many of the bytes as the kernel takes at once, and says how many.
    ///
    /// # Errors
    /// The server has closed the connection.
    pub(super) fn send_what_fits(&mut self, bytes: &[u8]) -> Result<usize> {
        self.stream.set_nonblocking(true)?;
        let sent = self.stream.write(bytes);
        self.stream.set_nonblocking(false)?;
        match sent {
            Ok(sent) => Ok(sent),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            Err(error) => Err(error).context("the server closed a connection that it was asked on"),
        }
    }

    /// Lets the kernel keep no more than about this many bytes of either direction on this side.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn limit_buffers(&self, bytes: usize) -> Result<()> {
        let socket = SockRef::from(&self.stream);
        socket.set_send_buffer_size(bytes)?;
        socket.set_recv_buffer_size(bytes)?;
        Ok(())
    }

    /// Shuts down the sending side.
    pub(super) fn half_close(&mut self) {
        self.half_closed = true;
        self.deaf = self.deaf || self.stream.shutdown(Shutdown::Write).is_err();
    }

    /// Whether nothing can be asked on this connection any more.
    pub(super) fn is_half_closed(&self) -> bool {
        self.half_closed
    }

    /// Does nothing for a while but notice when something comes.
    pub(super) fn pause(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.ended && self.receive(until) {}
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    /// How long it had been open when something last came.
    pub(super) fn age(&self) -> Duration {
        self.received.saturating_duration_since(self.opened)
    }

    /// Whether more has come than was taken.
    pub(super) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Goes away in an orderly way; dropping a connection resets it instead.
    pub(super) fn close(self) -> Result<()> {
        SockRef::from(&self.stream).set_linger(None).context("cannot unset the linger time")
    }

    /// Waits for the next reply.
    pub(super) fn next(&mut self, head: bool, deadline: Instant) -> Next {
        loop {
            if !self.buffer.is_empty() {
                match parse(&self.buffer, head, self.ended, self.received) {
                    Parsed::Complete(reply, used) => {
                        self.buffer.drain(..used);
                        return Next::Reply(reply);
                    }
                    Parsed::Garbage => return Next::Garbage(std::mem::take(&mut self.buffer)),
                    Parsed::Partial => {}
                }
            }
            if self.ended {
                return Next::End(std::mem::take(&mut self.buffer));
            }
            if !self.receive(deadline) {
                return Next::Nothing(self.buffer.clone());
            }
        }
    }

    /// Reads once. Says no if the deadline passed; what has already come is read even then.
    fn receive(&mut self, deadline: Instant) -> bool {
        let mut bytes = [0; 16 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.stream.set_read_timeout(Some(left.max(LEAST_TIMEOUT))).is_err() {
                return false;
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(n) => self.buffer.extend_from_slice(&bytes[..n]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut if left.is_zero() => return false,
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => continue,
                    // A reset is an end: the peer does not want this connection any more.
                    _ => self.ended = true,
                },
            }
            self.received = Instant::now();
            return true;
        }
    }
}
