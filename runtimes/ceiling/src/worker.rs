//! One thread with its own epoll: reads, counts heads, writes as many answers in one call.

use crate::heads::Heads;
use anyhow::Result;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

/// The answer of /plaintext, with the date and the process time of nowhere.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-process-time: 0.000000000\r\n\
content-length: 13\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nHello, World!";
/// The most answers one call writes: more than any client of the matrix pipelines.
const BATCH: usize = 128;
/// The token of the event that is no connection.
const STOP: u64 = u64::MAX;

/// A worker's end that other threads see.
#[derive(Debug)]
pub(crate) struct Worker {
    epoll: Epoll,
    stop: EventFd,
    /// Connections whose first event the worker has not seen yet.
    new: Mutex<Vec<TcpStream>>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    heads: Heads,
    /// Bytes of answers that the socket has no room for yet.
    owed: usize,
}

/// The thread's own: its connections by their sockets' numbers, and its buffers.
struct Loop<'a> {
    epoll: &'a Epoll,
    connections: Vec<Option<Connection>>,
    input: Vec<u8>,
    answers: Vec<u8>,
}

impl Worker {
    pub(crate) fn new() -> Result<Worker> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let stop = EventFd::new()?;
        epoll.add(&stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        Ok(Worker { epoll, stop, new: Mutex::default() })
    }

    /// Takes a connection over.
    pub(crate) fn take(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true).ok();
        stream.set_nonblocking(true)?;
        // Locked before the event can come, so that the worker finds the connection behind it.
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, token(&stream)))?;
        new.push(stream);
        Ok(())
    }

    /// Lets the worker answer what has arrived, then end.
    pub(crate) fn stop(&self) -> Result<()> {
        self.stop.write(1)?;
        Ok(())
    }

    pub(crate) fn run(&self) -> Result<()> {
        let mut turn = Loop {
            epoll: &self.epoll,
            connections: Vec::new(),
            input: vec![0; 64 * 1024],
            answers: ANSWER.repeat(BATCH),
        };
        let mut events = [EpollEvent::empty(); 256];
        let mut stopping = false;
        loop {
            let timeout = if stopping { EpollTimeout::ZERO } else { EpollTimeout::NONE };
            let count = match self.epoll.wait(&mut events, timeout) {
                Err(nix::Error::EINTR) => continue,
                count => count?,
            };
            // A last round without waiting has answered everything that came before the signal.
            if stopping && count == 0 {
                return Ok(());
            }
            for event in &events[..count] {
                if event.data() == STOP {
                    stopping = true;
                    self.epoll.delete(&self.stop)?;
                    continue;
                }
                let index = usize::try_from(event.data())?;
                if turn.connections.get(index).is_none_or(Option::is_none) {
                    let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
                    new.drain(..).for_each(|stream| turn.enter(stream));
                }
                turn.serve(index);
            }
        }
    }
}

impl Loop<'_> {
    fn enter(&mut self, stream: TcpStream) {
        let index = stream.as_raw_fd() as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.connections[index] = Some(Connection { stream, heads: Heads::default(), owed: 0 });
    }

    /// Reads once, answers, and closes a connection that is over. What is left makes another event.
    fn serve(&mut self, index: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(index) {
            let owed_before = connection.owed > 0;
            let open = connection.serve(&mut self.input, &self.answers);
            if !open {
                self.connections[index] = None;
            } else if owed_before != (connection.owed > 0) {
                let interest = if owed_before { EpollFlags::EPOLLIN } else { EpollFlags::EPOLLOUT };
                let mut event = EpollEvent::new(interest, token(&connection.stream));
                if self.epoll.modify(&connection.stream, &mut event).is_err() {
                    self.connections[index] = None;
                }
            }
        }
    }
}

impl Connection {
    /// Says whether the connection is still open.
    fn serve(&mut self, input: &mut [u8], answers: &[u8]) -> bool {
        if self.owed == 0 {
            match self.stream.read(input) {
                Ok(0) => return false,
                Ok(read) => self.owed = self.heads.count(&input[..read]) * ANSWER.len(),
                Err(error) => return may_go_on(error.kind()),
            }
        }
        while self.owed > 0 {
            // The answers end where an answer ends, so what is owed of a broken-off one comes first.
            let first = (ANSWER.len() - self.owed % ANSWER.len()) % ANSWER.len();
            let len = self.owed.min(answers.len() - first);
            match self.stream.write(&answers[first..first + len]) {
                Ok(written) => self.owed -= written,
                Err(error) => return may_go_on(error.kind()),
            }
        }
        true
    }
}

fn may_go_on(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A connection's event is known by its socket's number.
fn token(stream: &TcpStream) -> u64 {
    stream.as_raw_fd() as u64
}
