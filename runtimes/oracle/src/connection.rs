//! One connection: what it has sent of a head, what it is owed of an answer, and its end.

use crate::answer::{Answers, Wanted};
use crate::faults::{Fate, Faults};
use socket2::SockRef;
use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A request on its way through virtual time. It is ordered by when its answer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Job {
    /// When, on the monotonic clock in nanoseconds.
    pub(crate) due: u64,
    /// The request's number, which decides between answers that are due together.
    pub(crate) number: u64,
    /// When the last byte of its head was read.
    pub(crate) arrival: u64,
    /// Where its connection is, and which of those that have been there.
    pub(crate) index: usize,
    pub(crate) generation: u64,
    pub(crate) wanted: Wanted,
    pub(crate) fate: Fate,
    /// Whether the client wants the connection to end with it.
    pub(crate) close: bool,
}

/// Kept small: `--per-connection` is to be what a connection costs.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) generation: u64,
    /// The start of a head whose end has not come.
    pub(crate) input: Vec<u8>,
    /// Nothing that comes is looked at any more.
    pub(crate) muted: bool,
    /// When the last request's answer is due: a later one's is not before it.
    pub(crate) last_due: u64,
    /// What the socket had no room for.
    owed: Vec<u8>,
    /// Whether it ends when nothing is owed.
    ending: bool,
    answers: u64,
    _memory: Box<[u8]>,
}

/// What the loop has to do about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for requests.
    Read,
    /// Wait for room.
    Write,
    /// Close it. Pending input makes the kernel send an RST rather than a FIN, as it does for any server
    /// that closes at that moment.
    Close,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, generation: u64, memory: Vec<u8>) -> Connection {
        Connection {
            stream,
            generation,
            input: Vec::new(),
            muted: false,
            last_due: 0,
            owed: Vec::new(),
            ending: false,
            answers: 0,
            _memory: memory.into_boxed_slice(),
        }
    }

    /// Whether the loop waits for room in the socket.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Appends what the job is answered with at the instant `now`.
    pub(crate) fn settle(
        &mut self,
        job: &Job,
        faults: &Faults,
        answers: &mut Answers,
        now: u64,
        out: &mut Vec<u8>,
    ) {
        if self.ending {
            return;
        }
        self.answers += u64::from(!job.fate.is_last());
        let last = faults.last_answer.filter(|last| last.number == self.answers);
        let announced = job.close || last.is_some_and(|last| last.announced);
        match job.fate {
            Fate::Silent => return,
            Fate::Close => {}
            Fate::Reset => {
                // Closing now discards what is in the socket and sends an RST. Without it it is a FIN.
                SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).ok();
            }
            Fate::Answer | Fate::Status | Fate::Body | Fate::Truncate => {
                answers.write(out, job.wanted, job.fate, job.due - job.arrival, announced, now);
            }
        }
        self.ending = announced || last.is_some() || job.fate.is_last();
        self.muted |= self.ending;
    }

    /// Sends what is owed and then `out`, which it leaves empty.
    pub(crate) fn send(&mut self, out: &mut Vec<u8>) -> Next {
        if !self.owed.is_empty() {
            self.owed.append(out);
            std::mem::swap(&mut self.owed, out);
        }
        let mut sent = 0;
        let next = loop {
            if sent == out.len() {
                break if self.ending { Next::Close } else { Next::Read };
            }
            match self.stream.write(&out[sent..]) {
                Ok(0) => break Next::Close,
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.owed = out.split_off(sent);
                    break Next::Write;
                }
                Err(_) => break Next::Close,
            }
        };
        out.clear();
        next
    }
}
