//! epoll: one edge-triggered registration per connection, one write and one read per request.

use super::driver::{Doing, Driver, Event, READ_SIZE, Received, What};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::Socket;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

/// The most events one call collects.
const BATCH: usize = 512;

pub(super) struct Epoll {
    epoll: OwnedFd,
    request: Vec<u8>,
    slots: Vec<Slot>,
    ready: Vec<epoll::Event>,
    /// Failures of calls that were made between two polls.
    failures: Vec<Event>,
    input: Box<[u8; READ_SIZE]>,
}

#[derive(Default)]
struct Slot {
    socket: Option<Socket>,
    generation: u32,
    connecting: bool,
    /// Bytes of the request that the socket had no room for.
    unsent: usize,
    /// The peer has closed: reading goes on until it says so.
    hung_up: bool,
}

impl Epoll {
    fn fail(&mut self, slot: usize, doing: Doing, errno: Errno) {
        let what = What::Failed { doing, errno: errno.raw_os_error() };
        self.failures.push(Event { slot: slot as u32, generation: self.slots[slot].generation, what });
    }

    fn write(&mut self, slot: usize) {
        let Slot { socket: Some(socket), unsent, .. } = &mut self.slots[slot] else { return };
        let rest = &self.request[self.request.len() - *unsent..];
        match rustix::net::send(socket.as_fd(), rest, SendFlags::NOSIGNAL) {
            Ok(sent) => *unsent -= sent,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => self.fail(slot, Doing::Sending, errno),
        }
    }

    /// Turns what epoll says of a connection into what the engine has to know.
    fn note(&mut self, event: &epoll::Event, events: &mut Vec<Event>) {
        let (slot, generation) = (event.data.u64() as u32, (event.data.u64() >> 32) as u32);
        let index = slot as usize;
        if self.slots[index].generation != generation {
            return;
        }
        let flags = event.flags;
        if self.slots[index].connecting {
            if flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
                self.slots[index].connecting = false;
                let error = self.slots[index].socket.as_ref().and_then(|s| s.take_error().ok().flatten());
                let what = match error.and_then(|error| error.raw_os_error()) {
                    Some(errno) => What::Failed { doing: Doing::Connecting, errno },
                    None => What::Connected,
                };
                events.push(Event { slot, generation, what });
            }
            return;
        }
        if flags.contains(EventFlags::OUT) && self.slots[index].unsent > 0 {
            self.write(index);
        }
        let hung_up = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        self.slots[index].hung_up |= hung_up;
        if hung_up || flags.contains(EventFlags::IN) {
            events.push(Event { slot, generation, what: What::Readable });
        }
    }
}

impl Driver for Epoll {
    const NAME: &'static str = "epoll";
    const NONBLOCKING: bool = true;

    fn new(slots: usize, request: Vec<u8>, _reused: bool) -> io::Result<Epoll> {
        Ok(Epoll {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            request,
            slots: std::iter::repeat_with(Slot::default).take(slots).collect(),
            ready: Vec::with_capacity(BATCH),
            failures: Vec::new(),
            input: Box::new([0; READ_SIZE]),
        })
    }

    fn connect(&mut self, slot: usize, socket: Socket, to: &socket2::SockAddr) {
        let generation = self.slots[slot].generation;
        let data = EventData::new_u64(u64::from(generation) << 32 | slot as u64);
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let begun = match socket.connect(to) {
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => Ok(()),
            done => done,
        };
        // Registered afterwards: a socket that has not begun to connect counts as hung up.
        let begun = begun.and_then(|()| Ok(epoll::add(&self.epoll, &socket, data, flags)?));
        self.slots[slot] =
            Slot { socket: Some(socket), generation, connecting: begun.is_ok(), unsent: 0, hung_up: false };
        if let Err(error) = begun {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.fail(slot, Doing::Connecting, errno);
        }
    }

    fn send(&mut self, slot: usize) {
        self.slots[slot].unsent = self.request.len();
        self.write(slot);
    }

    fn close(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        slot.socket = None;
        slot.generation = slot.generation.wrapping_add(1);
    }

    fn poll(&mut self, wait: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let pending = !self.failures.is_empty();
        let wait = if pending { Duration::ZERO } else { wait.unwrap_or_default() };
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        self.ready.clear();
        let mut ready = std::mem::take(&mut self.ready);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        events.append(&mut self.failures);
        for event in &ready {
            self.note(event, events);
        }
        // Of the writes that went on just now.
        events.append(&mut self.failures);
        self.ready = ready;
        Ok(())
    }

    fn receive(&mut self, event: &mut Event) -> Received<'_> {
        if !matches!(event.what, What::Readable) {
            return Received::Nothing;
        }
        let slot = &self.slots[event.slot as usize];
        let Some(socket) = &slot.socket else { return Received::Nothing };
        match rustix::net::recv(socket.as_fd(), &mut self.input[..], RecvFlags::empty()) {
            Ok((_, 0)) => Received::Ended,
            Ok((_, read)) => {
                // A short read of a stream has emptied it, unless its end is there as well.
                if read < READ_SIZE && !slot.hung_up {
                    event.what = What::Drained;
                }
                Received::Bytes(&self.input[..read])
            }
            Err(Errno::AGAIN) => Received::Nothing,
            Err(Errno::INTR) => Received::Bytes(&[]),
            Err(errno) => Received::Failed(errno.into()),
        }
    }

    fn more(&mut self, _slot: usize) {
        // The registration stands.
    }

    fn is_current(&self, event: &Event) -> bool {
        self.slots[event.slot as usize].generation == event.generation
    }
}
