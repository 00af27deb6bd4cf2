//! The live connections of a row that blocks or is on the codec, and how a stop ends them.
//!
//! A thread or coroutine that waits for its client's next request cannot wait for a signal as well. A task
//! could, but to watch for the signal it would pay at every request.
//! So a stop shuts the reading side of every idle connection down, which its read sees as an end; a
//! busy one finishes its reply, finds that the server is stopping, and closes.

use crate::stop::{Drain, Live};
use slab::Slab;
use socket2::SockRef;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Every live connection of a server.
#[derive(Debug, Default)]
pub struct Connections {
    shared: Arc<Shared>,
    drain: Drain,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    live: Mutex<Slab<Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// Not a duplicate: may gives each worker the connections with certain numbers, so to take two a
    /// connection would give all of them to half of the workers.
    socket: RawFd,
    busy: Arc<AtomicBool>,
}

/// A connection and its place among the live ones, which it gives up when dropped, by a panic too.
#[derive(Debug)]
pub struct Tracked<S> {
    shared: Arc<Shared>,
    key: usize,
    busy: Arc<AtomicBool>,
    /// Closed after its entry is gone, since a field is dropped after `drop` has run.
    socket: S,
    _live: Live,
}

impl Connections {
    /// None yet.
    pub fn new() -> Connections {
        Connections::default()
    }

    /// Takes in a connection, idle at first.
    pub fn enter<S: AsFd>(&self, socket: S) -> Tracked<S> {
        let busy = Arc::new(AtomicBool::new(false));
        let entry = Entry { socket: socket.as_fd().as_raw_fd(), busy: Arc::clone(&busy) };
        let key = self.shared.live().insert(entry);
        let shared = Arc::clone(&self.shared);
        Tracked { shared, key, busy, socket, _live: self.drain.hold() }
    }

    /// Tells every connection to end and blocks until all have.
    pub fn drain(self) {
        self.end_idle();
        self.drain.wait();
    }

    /// Tells every connection to end and waits until all have.
    pub async fn drained(self) {
        self.end_idle();
        self.drain.drained().await;
    }

    fn end_idle(&self) {
        self.shared.stopping.store(true, SeqCst);
        for (_, entry) in self.shared.live().iter() {
            if !entry.busy.load(SeqCst) {
                entry.end();
            }
        }
    }
}

impl Shared {
    fn live(&self) -> MutexGuard<'_, Slab<Entry>> {
        // Nothing panics halfway through a change of the slab.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    #[expect(unsafe_code, reason = "an owned duplicate would change how may spreads its connections")]
    fn end(&self) {
        // SAFETY: the socket is open. `Tracked` closes it only after it has taken this entry out, for
        // which it needs the lock that the caller holds.
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket) };
        // Fails on a connection that its client has ended already.
        SockRef::from(&socket).shutdown(Shutdown::Read).ok();
    }
}

impl<S> Tracked<S> {
    /// The connection itself. Never to be swapped for another: the registry knows this one's number.
    pub(crate) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Says that a request has to be answered, which a stop waits for.
    pub fn set_busy(&self) {
        self.busy.store(true, SeqCst);
    }

    /// Says that the connection may end, and returns whether it must.
    ///
    /// Either this sees that the server is stopping, or the stop sees that this is idle: both store
    /// before they load.
    pub fn set_idle(&self) -> bool {
        self.busy.store(false, SeqCst);
        self.is_stopping()
    }

    /// Whether the server is stopping, so that no further request will be read.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(SeqCst)
    }
}

impl<S> Drop for Tracked<S> {
    fn drop(&mut self) {
        self.shared.live().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[test]
    fn a_drain_ends_idle_connections_and_waits_for_busy_ones() {
        let connections = Connections::new();
        let (idle, _client) = UnixStream::pair().unwrap();
        let (busy, mut patient) = UnixStream::pair().unwrap();
        let (mut idle, mut busy) = (connections.enter(idle), connections.enter(busy));
        busy.set_busy();
        let reads = thread::spawn(move || {
            let read = idle.socket_mut().read(&mut [0; 8]).unwrap();
            (read, idle.is_stopping())
        });
        let works = thread::spawn(move || {
            // Still readable while the other has been ended: the request in flight may have a body.
            busy.socket_mut().read_exact(&mut [0; 1]).unwrap();
            assert!(busy.set_idle());
        });
        let drains = thread::spawn(move || connections.drain());
        assert_eq!(reads.join().unwrap(), (0, true));
        assert!(!drains.is_finished());
        patient.write_all(b"x").unwrap();
        works.join().unwrap();
        drains.join().unwrap();
    }

    #[test]
    fn a_panic_gives_the_place_up() {
        let connections = Connections::new();
        let (socket, _client) = UnixStream::pair().unwrap();
        let tracked = connections.enter(socket);
        tracked.set_busy();
        let panics = thread::spawn(move || {
            let _tracked = tracked;
            std::panic::resume_unwind(Box::new("quietly"));
        });
        assert!(panics.join().is_err());
        assert!(connections.shared.live().is_empty());
        connections.drain();
    }
}
