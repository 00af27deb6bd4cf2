//! What the engine asks of a system interface: connections known by their slots, and events.
//!
//! Everything is asynchronous: what cannot be done becomes an event of the next [`Driver::poll`].

use socket2::Socket;
use std::io;
use std::time::Duration;

/// The bytes one read takes at the most. A longer answer comes in several.
pub(super) const READ_SIZE: usize = 2048;

/// Something that happened to a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// Which.
    pub(super) slot: u32,
    /// Which use of the slot: an event of a connection that was closed meanwhile is stale.
    pub(super) generation: u32,
    /// What.
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// The connection is there.
    Connected,
    /// There are bytes, or the end, to be had from [`Driver::receive`].
    Readable,
    /// The same, and they are in this buffer of the driver's already.
    Received { buffer: u16, length: u32 },
    /// All bytes of a readable connection have been received.
    Drained,
    /// The peer has closed its side, and no bytes are left.
    Ended,
    /// It failed, with an `errno`, and is of no use any more.
    Failed { doing: Doing, errno: i32 },
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Connecting,
    Sending,
    Receiving,
}

/// What [`Driver::receive`] found.
#[derive(Debug)]
pub(super) enum Received<'a> {
    Bytes(&'a [u8]),
    /// No more of this event.
    Nothing,
    Ended,
    Failed(io::Error),
}

/// A system interface. Slots are numbered from 0, and each has one connection at a time at the most.
pub(super) trait Driver: Sized {
    /// Its name in result files.
    const NAME: &'static str;
    /// Whether its sockets are to be non-blocking.
    const NONBLOCKING: bool;

    /// One for `slots` connections to one server, each of which sends `request` when told to. `reused` says
    /// that a connection carries more than one.
    fn new(slots: usize, request: Vec<u8>, reused: bool) -> io::Result<Self>;

    /// Begins to connect the slot's socket.
    fn connect(&mut self, slot: usize, socket: Socket, to: &socket2::SockAddr);

    /// Sends the request.
    fn send(&mut self, slot: usize);

    /// Closes the slot's connection. Its events that have not been handled yet are stale.
    fn close(&mut self, slot: usize);

    /// Hands over to the kernel what has been asked for, and collects events: those that are there, or for
    /// `wait` at the most the first ones.
    fn poll(&mut self, wait: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()>;

    /// The bytes of an event. To be called until there is nothing more, or [`Driver::close`] has been.
    fn receive(&mut self, event: &mut Event) -> Received<'_>;

    /// An answer is not complete yet: more bytes are wanted.
    fn more(&mut self, slot: usize);

    /// Whether the connection of the event is still the slot's.
    fn is_current(&self, event: &Event) -> bool;
}
