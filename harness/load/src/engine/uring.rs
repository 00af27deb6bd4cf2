//! io_uring: sends and receives of many connections in one call. A kept connection has one receive that
//! stays armed.
#![expect(unsafe_code, reason = "the kernel is given pointers, which have to stay valid until it is done")]

use super::buffers::{Buffers, GROUP};
use super::driver::{Doing, Driver, Event, READ_SIZE, Received, What};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use nix::errno::Errno;
use nix::libc;
use socket2::{SockAddr, Socket};
use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// Operations that are handed over in one call at the most.
const SUBMISSIONS: u32 = 1024;
/// The fewest and the most buffers: each connection has an answer under way at the most.
const BUFFERS: [usize; 2] = [256, 4096];

/// What an operation is, in the lowest bits of its user data; the slot and its generation lie above.
const CONNECT: u64 = 0;
const SEND: u64 = 1;
const RECEIVE: u64 = 2;
/// Generations are compared in so many bits.
const GENERATION: u32 = (1 << 29) - 1;

pub(super) struct Uring {
    // Dropped first: the kernel must not write into buffers that are gone.
    ring: IoUring,
    buffers: Buffers,
    request: Vec<u8>,
    address: Option<Box<SockAddr>>,
    slots: Vec<Slot>,
    /// Buffers whose events have been handed out, to be given back with the next call.
    taken: Vec<u16>,
    /// A kept connection's receive stays armed; another connection has one receive, for its one answer.
    reused: bool,
    /// Operations for which there was no room, in their order.
    backlog: VecDeque<squeue::Entry>,
    refusals: Refusals,
}

#[derive(Default)]
struct Slot {
    socket: Option<Socket>,
    generation: u32,
    /// A receive is with the kernel, which holds on to the socket.
    receiving: bool,
}

/// Calls that the kernel refuses for now: it lacks memory, or room for completions.
#[derive(Debug, Default)]
struct Refusals {
    /// When it refused the first one after the last that it took.
    since: Option<Instant>,
}

impl Refusals {
    /// How long the kernel may refuse every call.
    const LIMIT: Duration = Duration::from_secs(1);

    /// Turns the outcome of a call at `now` into an error, unless the next call may do better.
    fn judge(&mut self, done: io::Result<usize>, now: Instant) -> io::Result<()> {
        match done.map_err(|error| (error.raw_os_error(), error)) {
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR), _)) => self.since = None,
            Err((Some(libc::EAGAIN | libc::EBUSY), error)) => {
                if now.duration_since(*self.since.get_or_insert(now)) > Refusals::LIMIT {
                    return Err(error);
                }
            }
            Err((_, error)) => return Err(error),
        }
        Ok(())
    }
}

impl Uring {
    /// Has an operation handed over with the next call, or a later one if there is no room.
    fn push(&mut self, entry: &squeue::Entry) {
        // An error of the call comes back from the next poll as well.
        let has_room = |uring: &mut Uring| {
            uring.try_push(entry) || (uring.ring.submit().is_ok() && uring.try_push(entry))
        };
        if !self.backlog.is_empty() || !has_room(self) {
            self.backlog.push_back(entry.clone());
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: what the entry points to (the request, the address, the buffers) lives in `self` and is
        // neither moved nor changed while the ring exists.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    /// Has as much of the backlog handed over as there is room for.
    fn push_backlog(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.try_push(&entry) {
                return self.backlog.push_front(entry);
            }
        }
    }

    fn entry_for(&self, slot: usize, operation: u64) -> Option<(Fd, u64)> {
        let Slot { socket, generation, .. } = &self.slots[slot];
        let socket = socket.as_ref()?;
        Some((Fd(socket.as_raw_fd()), u64::from(*generation) << 35 | (slot as u64) << 3 | operation))
    }

    fn arm(&mut self, slot: usize) {
        let Some((fd, data)) = self.entry_for(slot, RECEIVE) else { return };
        let entry = if self.reused {
            opcode::RecvMulti::new(fd, GROUP).build()
        } else {
            let recv = opcode::Recv::new(fd, std::ptr::null_mut(), READ_SIZE as u32).buf_group(GROUP);
            recv.build().flags(squeue::Flags::BUFFER_SELECT)
        };
        self.slots[slot].receiving = true;
        self.push(&entry.user_data(data));
    }

    /// Hands over and collects completions, without turning them into events.
    fn enter(&mut self, wait: Option<Duration>) -> io::Result<()> {
        let done = match wait {
            // Nothing to hand over, and the kernel has nothing to tell: no call is needed.
            None if self.ring.submission().is_empty() && !self.ring.submission().taskrun() => return Ok(()),
            None => self.ring.submit(),
            Some(wait) => {
                let timeout = Timespec::from(wait);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
            }
        };
        self.refusals.judge(done, Instant::now())
    }

    fn complete(&mut self, completion: &cqueue::Entry, events: &mut Vec<Event>) {
        let data = completion.user_data();
        let slot = (data >> 3) as u32;
        let (index, operation) = (slot as usize, data & 7);
        let generation = (data >> 35) as u32;
        let buffer = cqueue::buffer_select(completion.flags());
        // Given back with the next call, whether or not anybody wants its bytes.
        self.taken.extend(buffer);
        if self.slots[index].generation != generation {
            return;
        }
        let result = completion.result();
        let failed = |doing| What::Failed { doing, errno: -result };
        let what = match operation {
            CONNECT if result < 0 => failed(Doing::Connecting),
            CONNECT => {
                if self.reused {
                    self.arm(index);
                }
                What::Connected
            }
            SEND if result < 0 => failed(Doing::Sending),
            SEND => return,
            _ => {
                let armed = cqueue::more(completion.flags());
                self.slots[index].receiving = armed;
                match (result, buffer) {
                    (0, _) => What::Ended,
                    (length, Some(buffer)) if length > 0 => {
                        if self.reused && !armed {
                            self.arm(index);
                        }
                        What::Received { buffer, length: length as u32 }
                    }
                    // No buffer was free; with this round's there will be.
                    (error, _) if error == -libc::ENOBUFS => return self.arm(index),
                    _ => failed(Doing::Receiving),
                }
            }
        };
        events.push(Event { slot, generation, what });
    }
}

impl Driver for Uring {
    const NAME: &'static str = "io_uring";
    const NONBLOCKING: bool = false;

    fn new(slots: usize, request: Vec<u8>, reused: bool) -> io::Result<Uring> {
        // Completions are worked on when this thread asks for them, and never interrupt it.
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().setup_clamp();
        builder.setup_cqsize((4 * slots as u32).clamp(4 * SUBMISSIONS, 1 << 16).next_power_of_two());
        let ring = builder.build(SUBMISSIONS)?;
        let count = slots.next_power_of_two().clamp(BUFFERS[0], BUFFERS[1]);
        let buffers = Buffers::new(count as u16, READ_SIZE);
        buffers.register(&ring.submitter())?;
        Ok(Uring {
            ring,
            buffers,
            request,
            address: None,
            slots: std::iter::repeat_with(Slot::default).take(slots).collect(),
            taken: Vec::with_capacity(count),
            reused,
            backlog: VecDeque::new(),
            refusals: Refusals::default(),
        })
    }

    fn connect(&mut self, slot: usize, socket: Socket, to: &SockAddr) {
        self.slots[slot].socket = Some(socket);
        let Some((fd, data)) = self.entry_for(slot, CONNECT) else { return };
        let address = self.address.get_or_insert_with(|| Box::new(to.clone()));
        let entry = opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build();
        self.push(&entry.user_data(data));
    }

    fn send(&mut self, slot: usize) {
        let Some((fd, data)) = self.entry_for(slot, SEND) else { return };
        let length = self.request.len() as u32;
        // MSG_WAITALL: the kernel goes on until all is sent.
        let send = opcode::Send::new(fd, self.request.as_ptr(), length);
        let entry = send.flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build();
        self.push(&entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(data));
        if !self.slots[slot].receiving {
            self.arm(slot);
        }
    }

    fn close(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        if let Some(socket) = slot.socket.take()
            && slot.receiving
        {
            // The kernel's receive holds on to the socket: closing it would not end it.
            _ = socket.shutdown(Shutdown::Both);
        }
        slot.receiving = false;
        slot.generation = (slot.generation + 1) & GENERATION;
    }

    fn poll(&mut self, wait: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        if !self.taken.is_empty() {
            for buffer in self.taken.drain(..) {
                self.buffers.put(buffer);
            }
            self.buffers.publish();
        }
        self.push_backlog();
        self.enter(wait.filter(|_| self.backlog.is_empty()))?;
        // One after the other, since taking one can make new submissions.
        while let Some(completion) = { self.ring.completion().next() } {
            self.complete(&completion, events);
        }
        Ok(())
    }

    fn receive(&mut self, event: &mut Event) -> Received<'_> {
        match std::mem::replace(&mut event.what, What::Drained) {
            What::Received { buffer, length } => Received::Bytes(self.buffers.bytes(buffer, length as usize)),
            What::Ended => Received::Ended,
            _ => Received::Nothing,
        }
    }

    fn more(&mut self, slot: usize) {
        if !self.slots[slot].receiving {
            self.arm(slot);
        }
    }

    fn is_current(&self, event: &Event) -> bool {
        self.slots[event.slot as usize].generation == event.generation
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Ends the receives that are armed, so that no connection outlives its client.
        for slot in 0..self.slots.len() {
            self.close(slot);
        }
    }
}

/// Whether an error of [`Uring::new`] says that the kernel does not do this, rather than that it failed.
pub(super) fn is_missing(error: &io::Error) -> bool {
    let missing = [Errno::ENOSYS, Errno::EPERM, Errno::EACCES, Errno::EINVAL, Errno::ENOMEM];
    missing.iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::net::TcpListener;

    /// A driver with so many connections, and their listener.
    fn connected(slots: usize) -> (Uring, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let to = listener.local_addr().expect("bound").into();
        let mut uring = Uring::new(slots, b"x".to_vec(), true).expect("the kernel allows it");
        for slot in 0..slots {
            let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            uring.connect(slot, socket, &to);
        }
        let (mut events, mut connected) = (Vec::new(), 0);
        while connected < slots {
            uring.poll(Some(Duration::from_secs(1)), &mut events).expect("it can");
            connected += events.drain(..).filter(|event| matches!(event.what, What::Connected)).count();
        }
        (uring, listener)
    }

    #[test]
    fn a_ring_that_takes_nothing_is_an_error_and_no_endless_loop() {
        let (mut uring, _listener) = connected(2);
        // From now on its file is none that can be entered.
        let null = std::fs::File::open("/dev/null").expect("it is there");
        // SAFETY: both are open, and whoever owns the second one closes it, whatever it is.
        assert!(unsafe { libc::dup2(null.as_raw_fd(), uring.ring.as_raw_fd()) } >= 0);
        for _ in 0..2 * SUBMISSIONS {
            uring.send(0);
        }
        assert!(uring.backlog.len() as u32 >= SUBMISSIONS, "there was no room for them");
        assert!(uring.poll(Some(Duration::ZERO), &mut Vec::new()).is_err());
    }

    #[test]
    fn operations_without_room_are_handed_over_later_in_their_order() {
        let (mut uring, listener) = connected(1);
        let (mut accepted, _) = listener.accept().expect("connected");
        let socket = uring.slots[0].socket.as_ref().expect("connected").as_raw_fd();
        let text: Vec<u8> = (0..=255).cycle().take(2 * SUBMISSIONS as usize).collect();
        for byte in &text {
            let entry = opcode::Send::new(Fd(socket), byte, 1).build().flags(squeue::Flags::SKIP_SUCCESS);
            uring.backlog.push_back(entry);
        }
        while !uring.backlog.is_empty() {
            uring.poll(None, &mut Vec::new()).expect("it can");
        }
        uring.poll(Some(Duration::ZERO), &mut Vec::new()).expect("it can");
        let mut received = vec![0; text.len()];
        accepted.read_exact(&mut received).expect("all of it");
        assert_eq!(received, text);
    }

    #[test]
    fn refusals_are_an_error_only_when_they_last() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let error = |errno| Err(io::Error::from_raw_os_error(errno));
        let mut refusals = Refusals::default();
        assert!(refusals.judge(error(libc::EAGAIN), start).is_ok());
        assert!(refusals.judge(error(libc::EBUSY), after(900)).is_ok());
        assert!(refusals.judge(Ok(1), after(950)).is_ok());
        assert!(refusals.judge(error(libc::EBUSY), after(1900)).is_ok());
        assert!(refusals.judge(error(libc::ETIME), after(2800)).is_ok());
        assert!(refusals.judge(error(libc::EBUSY), after(2900)).is_ok());
        assert!(refusals.judge(error(libc::EAGAIN), after(4000)).is_err());
        assert!(refusals.judge(error(libc::EBADF), after(4000)).is_err());
    }
}
