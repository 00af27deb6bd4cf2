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
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

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
}

#[derive(Default)]
struct Slot {
    socket: Option<Socket>,
    generation: u32,
    /// A receive is with the kernel, which holds on to the socket.
    receiving: bool,
}

impl Uring {
    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: what the entry points to (the request, the address, the buffers) lives in `self` and
            // is neither moved nor changed while the ring exists.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            // Full. An error would come back from the next poll as well.
            _ = self.ring.submit();
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
        match done.map_err(|error| (error.raw_os_error(), error)) {
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY), _)) => Ok(()),
            Err((_, error)) => Err(error),
        }
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
        self.enter(wait)?;
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
