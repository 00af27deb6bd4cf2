//! The one loop: reads requests, asks the laws when each departs, and sends the answer at that instant.

use crate::answer::{Answers, Wanted};
use crate::arguments::Arguments;
use crate::clock::{self, Alarm};
use crate::connection::{Connection, Job, Next};
use crate::cost::{self, Burn};
use crate::faults::Faults;
use crate::law::Law;
use anyhow::{Context as _, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use socket2::SockRef;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

/// How long before an answer is due the loop stops sleeping, in nanoseconds. A wake-up takes about 50 µs on
/// a virtual machine.
const SPIN: u64 = 150_000;
/// Headers a request may have.
const MAX_HEADERS: usize = 64;
/// Tokens of the events that are no connection; a connection's is its socket's number.
const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;
const ALARM: u64 = u64::MAX - 2;

/// The server.
#[derive(Debug)]
pub(crate) struct Oracle {
    epoll: Epoll,
    /// Gone when the process was asked to stop.
    listener: Option<TcpListener>,
    stop: Arc<EventFd>,
    alarm: Alarm,
    connections: Vec<Option<Connection>>,
    accepted: u64,
    reset_on_accept: bool,
    per_connection: usize,
    /// Requests so far.
    number: u64,
    law: Law,
    faults: Faults,
    burn: Burn,
    /// Instructions of each request.
    instructions: u64,
    answers: Answers,
    /// What the first request touches, in bytes, and then that memory.
    touch: usize,
    touched: Vec<u8>,
    /// Requests whose answers are not due.
    waiting: BinaryHeap<Reverse<Job>>,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Oracle {
    pub(crate) fn new(arguments: &Arguments, listener: TcpListener, stop: Arc<EventFd>) -> Result<Oracle> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let alarm = Alarm::new()?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&*stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        // By edge: nobody has to read that it rang.
        epoll.add(alarm.timer(), EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, ALARM))?;
        Ok(Oracle {
            epoll,
            listener: Some(listener),
            stop,
            alarm,
            connections: Vec::new(),
            accepted: 0,
            reset_on_accept: arguments.reset_on_accept,
            per_connection: arguments.per_connection,
            number: 0,
            law: Law::new(arguments),
            faults: arguments.faults(),
            burn: Burn::new(arguments.burn, arguments.burn_later, arguments.burn_after_idle),
            instructions: arguments.instructions,
            answers: Answers::new(),
            touch: arguments.touch,
            touched: Vec::new(),
            waiting: BinaryHeap::new(),
            input: vec![0; 64 * 1024],
            out: Vec::new(),
        })
    }

    /// Serves until it was asked to stop and nothing is waiting.
    pub(crate) fn run(mut self) -> Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        loop {
            self.release();
            let timeout = self.timeout()?;
            let count = match self.epoll.wait(&mut events, timeout) {
                Err(nix::Error::EINTR) => continue,
                count => count?,
            };
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept()?,
                    STOP => {
                        self.epoll.delete(&*self.stop)?;
                        self.listener = None;
                    }
                    ALARM => {}
                    index => self.serve(usize::try_from(index)?),
                }
                self.release();
            }
            // A last round without waiting has answered everything that came before the signal.
            if count == 0 && self.listener.is_none() && self.waiting.is_empty() {
                return Ok(());
            }
        }
    }

    /// How long to wait for events: until shortly before an answer is due, and then not at all.
    fn timeout(&mut self) -> Result<EpollTimeout> {
        match self.waiting.peek() {
            Some(Reverse(job)) => {
                let wake = job.due.saturating_sub(SPIN);
                if wake <= clock::now() {
                    return Ok(EpollTimeout::ZERO);
                }
                self.alarm.set(wake)?;
                Ok(EpollTimeout::NONE)
            }
            None if self.listener.is_none() => Ok(EpollTimeout::ZERO),
            None => Ok(EpollTimeout::NONE),
        }
    }

    /// Answers what is due.
    fn release(&mut self) {
        while let Some(Reverse(job)) = self.waiting.peek().copied() {
            let now = clock::now();
            if job.due > now {
                return;
            }
            self.waiting.pop();
            self.settle(&job, now);
            self.send(job.index);
        }
    }

    fn accept(&mut self) -> Result<()> {
        while let Some(listener) = &self.listener {
            match listener.accept() {
                Ok((stream, _)) if self.reset_on_accept => {
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                }
                Ok((stream, _)) => self.enter(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                // To go on would make an unknown of every answer time.
                Err(error) => return Err(error).context("cannot accept a connection"),
            }
        }
        Ok(())
    }

    fn enter(&mut self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true).ok();
        stream.set_nonblocking(true)?;
        let index = usize::try_from(stream.as_raw_fd())?;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        self.accepted += 1;
        let memory = cost::touched(self.per_connection);
        self.connections[index] = Some(Connection::new(stream, self.accepted, memory));
        Ok(())
    }

    /// Reads once, or writes what is owed. What is left makes another event.
    fn serve(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        if connection.is_blocked() {
            self.send(index);
            return;
        }
        match connection.stream.read(&mut self.input) {
            Ok(0) => self.connections[index] = None,
            Ok(read) => {
                let arrival = clock::now();
                self.heads(index, read, arrival);
                self.send(index);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.connections[index] = None,
        }
    }

    /// Takes in the heads that end in the first `read` bytes of the input.
    fn heads(&mut self, index: usize, read: usize, arrival: u64) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        let mut kept = std::mem::take(&mut connection.input);
        let input = std::mem::take(&mut self.input);
        let bytes = if kept.is_empty() {
            &input[..read]
        } else {
            kept.extend_from_slice(&input[..read]);
            &kept
        };
        let mut rest = bytes;
        while !rest.is_empty() && self.is_listening(index) {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut request = httparse::Request::new(&mut headers);
            match request.parse(rest) {
                Ok(httparse::Status::Complete(length)) => {
                    let wanted = Wanted {
                        target: self.answers.find(request.path.unwrap_or_default()),
                        head_only: request.method == Some("HEAD"),
                    };
                    let close = request.version == Some(0)
                        || request.headers.iter().any(|header| {
                            header.name.eq_ignore_ascii_case("connection")
                                && header.value.eq_ignore_ascii_case(b"close")
                        });
                    self.arrive(index, wanted, close, arrival);
                    rest = &rest[length..];
                }
                Ok(httparse::Status::Partial) if rest.len() <= contract::MAX_HEAD => {
                    if let Some(Some(connection)) = self.connections.get_mut(index) {
                        connection.input = rest.to_vec();
                    }
                    break;
                }
                // No HTTP, or a head without end.
                _ => {
                    self.connections[index] = None;
                    break;
                }
            }
        }
        self.input = input;
    }

    fn is_listening(&self, index: usize) -> bool {
        self.connections[index].as_ref().is_some_and(|connection| !connection.muted)
    }

    /// A request is here.
    fn arrive(&mut self, index: usize, wanted: Wanted, close: bool, arrival: u64) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        self.number += 1;
        if self.number == 1 {
            self.touched = cost::touched(self.touch);
        }
        let fate = self.faults.of(self.number);
        // Behind the requests of the connection, whatever the law: HTTP answers in order.
        let due = self.law.departure(arrival).max(connection.last_due);
        connection.last_due = due;
        connection.muted |= close || fate.is_last();
        let generation = connection.generation;
        let job = Job { due, number: self.number, arrival, index, generation, wanted, fate, close };
        self.burn.burn(self.number);
        cost::execute(self.instructions);
        if self.law.is_immediate() {
            self.settle(&job, arrival);
        } else {
            self.waiting.push(Reverse(job));
        }
    }

    /// Puts the job's answer into `out`, if its connection is still there.
    fn settle(&mut self, job: &Job, now: u64) {
        if let Some(Some(connection)) = self.connections.get_mut(job.index)
            && connection.generation == job.generation
        {
            connection.settle(job, &self.faults, &mut self.answers, now, &mut self.out);
        }
    }

    /// Sends what `out` has for a connection, and closes it if it is over.
    fn send(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            self.out.clear();
            return;
        };
        let was_blocked = connection.is_blocked();
        let interest = match connection.send(&mut self.out) {
            Next::Read if was_blocked => EpollFlags::EPOLLIN,
            Next::Write if !was_blocked => EpollFlags::EPOLLOUT,
            Next::Read | Next::Write => return,
            Next::Close => {
                self.connections[index] = None;
                return;
            }
        };
        let mut event = EpollEvent::new(interest, index as u64);
        if self.epoll.modify(&connection.stream, &mut event).is_err() {
            self.connections[index] = None;
        }
    }
}
