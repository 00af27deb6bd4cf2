//! The connection loop: reads heads, drops bodies, asks the handler, writes replies.

use super::body::Decoder;
use super::encode::{self, CONTINUE, Context, Date};
use super::head::{self, Framing, Head, Refusal, Target, Version};
use super::input::Input;
use crate::connections::{Connections, Tracked};
use crate::handler::{Config, Runtime, respond};
use crate::reply::Reply;
use crate::server::Server;
use crate::{MAX_BODY, MAX_HEAD};
use http::Method;
use socket2::SockRef;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::pin::pin;
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

/// A socket whose calls block their thread or coroutine.
pub trait Transport: Read + Write + AsFd {
    /// The longest a read may take; `None` for as long as it takes.
    ///
    /// # Errors
    /// The socket is gone.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        TcpStream::set_read_timeout(self, timeout)
    }
}

/// Serves connections until the server is told to stop; what `hyper_http::Http` is to the hyper rows.
#[derive(Debug)]
pub struct Http<R> {
    runtime: R,
    config: Config,
    header_timeout: Option<Duration>,
    connections: Connections,
}

impl<R: Runtime> Http<R> {
    /// The codec as every row has it.
    pub fn new(server: &Server, runtime: R) -> Http<R> {
        Http {
            runtime,
            config: server.config(),
            header_timeout: server.header_timeout(),
            connections: Connections::new(),
        }
    }

    /// A job that serves one connection to its end, to be run on a thread or coroutine of its own. It is
    /// `Send` if the stream and the runtime are.
    pub fn serve<S>(&self, stream: S) -> impl FnOnce() + 'static + use<S, R>
    where
        S: Transport + 'static,
    {
        let mut connection = Connection::new(self.connections.enter(stream), self.header_timeout);
        let (runtime, config) = (self.runtime.clone(), self.config);
        move || {
            // A connection that breaks is the client's business: its fate is counted there.
            let _broken = connection.run(&runtime, config);
            connection.finish();
        }
    }

    /// Tells every connection to end and blocks until they have.
    pub fn drain(self) {
        self.connections.drain();
    }
}

/// Why no further request is read.
#[derive(Debug)]
enum End {
    /// The client is gone, silent for too long, or was told to go.
    Closed,
    /// What it sent is no request.
    Refused(Refusal),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Closed
    }
}

struct Connection<S> {
    stream: Tracked<S>,
    header_timeout: Option<Duration>,
    /// The timeout the socket has now, to save the call that sets it again.
    timeout: Option<Duration>,
    input: Input,
    output: Vec<u8>,
    target: Target,
    date: Date,
    /// The last request's, which a refusal of the next one is written in.
    version: Version,
    /// Whether a request was answered already.
    served: bool,
}

impl<S: Transport> Connection<S> {
    fn new(stream: Tracked<S>, header_timeout: Option<Duration>) -> Self {
        Connection {
            stream,
            header_timeout,
            timeout: None,
            input: Input::new(),
            output: Vec::with_capacity(256),
            target: Target::default(),
            date: Date::new(),
            version: Version::Http11,
            served: false,
        }
    }

    fn run<R: Runtime>(&mut self, runtime: &R, config: Config) -> Result<(), io::Error> {
        loop {
            let head = match self.read_head() {
                Ok(head) => head,
                Err(End::Closed) => return Ok(()),
                Err(End::Refused(refusal)) => {
                    encode::refusal(&mut self.output, refusal, self.version, &mut self.date);
                    return self.flush();
                }
            };
            self.version = head.version;
            let reply = match self.drop_body(&head) {
                Ok(()) => self.answer(runtime, config, &head.method),
                Err(reply) => reply,
            };
            let context = Context {
                version: head.version,
                keep_alive: head.keep_alive && !self.stream.is_stopping(),
                head_only: head.method == Method::HEAD,
            };
            let open = encode::reply(&mut self.output, &reply, context, &mut self.date);
            self.flush()?;
            if !open {
                return Ok(());
            }
            self.served = true;
        }
    }

    /// Reads up to the end of the next head. Its deadline starts here, with an idle connection.
    fn read_head(&mut self) -> Result<Head, End> {
        let deadline = self.header_timeout.map(|timeout| Instant::now() + timeout);
        let mut wait = self.header_timeout;
        let mut seen = 0;
        loop {
            let bytes = self.input.bytes();
            if head::may_be_complete(bytes, seen)
                && let Some(head) = head::parse(bytes, &mut self.target).map_err(End::Refused)?
            {
                self.stream.set_busy();
                self.input.consume(head.len);
                return Ok(head);
            }
            seen = bytes.len();
            if seen >= MAX_HEAD {
                return Err(End::Refused(Refusal::TooLarge));
            }
            // As with hyper, a stop waits for a first head that has begun, but not for a later one.
            let idle = self.served || seen == 0;
            if idle && self.stream.set_idle() {
                return Err(End::Closed);
            }
            if seen > 0 {
                wait = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            }
            if wait.is_some_and(|wait| wait.is_zero()) || self.read(wait)? == 0 {
                return Err(End::Closed);
            }
        }
    }

    /// Reads a body to its end and drops it, without a timeout, as hyper does.
    fn drop_body(&mut self, head: &Head) -> Result<(), Reply> {
        if head.framing == Framing::Length(0) {
            return Ok(());
        }
        if matches!(head.framing, Framing::Length(length) if length > MAX_BODY as u64) {
            return Err(Reply::body_too_long());
        }
        if head.expect_continue {
            self.output.extend_from_slice(CONTINUE);
        }
        let mut decoder = Decoder::new(head.framing);
        let mut length = 0;
        while !decoder.is_done() {
            if self.input.bytes().is_empty() {
                let read = self.flush().and_then(|()| self.read(None));
                if !matches!(read, Ok(1..)) {
                    return Err(Reply::bad_body());
                }
            }
            let step = decoder.step(self.input.bytes()).map_err(|_| Reply::bad_body())?;
            self.input.consume(step.taken);
            length += step.data;
            if length > MAX_BODY {
                return Err(Reply::body_too_long());
            }
        }
        Ok(())
    }

    fn answer<R: Runtime>(&self, runtime: &R, config: Config, method: &Method) -> Reply {
        let path = self.target.path();
        let reply = respond(runtime, config, method.as_str(), path, self.target.query());
        poll_once(reply).unwrap_or_else(|| {
            eprintln!("error: the handler of {path} has to block and did not");
            Reply::error(500, "the handler did not block")
        })
    }

    fn read(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        if self.timeout != timeout {
            self.stream.socket_mut().set_read_timeout(timeout)?;
            self.timeout = timeout;
        }
        self.input.fill(self.stream.socket_mut())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.socket_mut().write_all(&self.output)?;
            self.output.clear();
        }
        Ok(())
    }

    /// Says goodbye before the socket closes: with bytes left unread, a close alone is a reset.
    fn finish(mut self) {
        SockRef::from(&*self.stream.socket_mut()).shutdown(Shutdown::Write).ok();
    }
}

/// The output of a future that is ready at once.
pub fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
