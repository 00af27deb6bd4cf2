//! The connection loop: reads heads, drops bodies, asks the handler, writes replies.

use super::body::Decoder;
use super::encode::{self, CONTINUE, Context, Date};
use super::head::{self, Framing, Head, Refusal, Target, Version};
use super::input::Input;
use crate::blocking::{Blocking, Transport, poll_once};
use crate::connections::{Connections, Tracked};
use crate::handler::{Config, Runtime, respond};
use crate::reply::Reply;
use crate::server::Server;
use crate::{MAX_BODY, MAX_HEAD};
use http::Method;
use socket2::SockRef;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A socket whose reads and writes are futures. Where they block instead, they are ready when first polled.
///
/// Nothing here asks for `Send`, as in [`Runtime`].
pub trait AsyncTransport: AsFd {
    /// Waits for bytes, for as long as `limit`, and says how many came: 0 at the end of the stream.
    fn read(&mut self, buffer: &mut [u8], limit: Option<Duration>)
    -> impl Future<Output = io::Result<usize>>;

    /// Writes all of `bytes`.
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>>;
}

impl<S: Transport> AsyncTransport for Blocking<S> {
    async fn read(&mut self, buffer: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        Blocking::read(self, buffer, limit)
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
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
        let connection = Connection::new(self.connections.enter(Blocking::new(stream)), self.header_timeout);
        let (runtime, config) = (self.runtime.clone(), self.config);
        move || {
            if poll_once(connection.serve(runtime, config)).is_none() {
                eprintln!("error: a handler has to block and did not");
            }
        }
    }

    /// A future that serves one connection to its end, to be spawned. It is `Send` if the stream, the runtime
    /// and their own futures are.
    pub fn serve_async<S>(&self, stream: S) -> impl Future<Output = ()> + 'static + use<S, R>
    where
        S: AsyncTransport + 'static,
    {
        let connection = Connection::new(self.connections.enter(stream), self.header_timeout);
        connection.serve(self.runtime.clone(), self.config)
    }

    /// Tells every connection to end and blocks until they have.
    pub fn drain(self) {
        self.connections.drain();
    }

    /// Tells every connection to end and waits until they have.
    pub async fn drained(self) {
        self.connections.drained().await;
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
    input: Input,
    output: Vec<u8>,
    target: Target,
    date: Date,
    /// The last request's, which a refusal of the next one is written in.
    version: Version,
    /// Whether a request was answered already.
    served: bool,
}

impl<S: AsyncTransport> Connection<S> {
    fn new(stream: Tracked<S>, header_timeout: Option<Duration>) -> Self {
        Connection {
            stream,
            header_timeout,
            input: Input::new(),
            output: Vec::with_capacity(256),
            target: Target::default(),
            date: Date::new(),
            version: Version::Http11,
            served: false,
        }
    }

    async fn serve<R: Runtime>(mut self, runtime: R, config: Config) {
        // A connection that breaks is the client's business: its fate is counted there.
        let _broken = self.run(&runtime, config).await;
        self.finish();
    }

    async fn run<R: Runtime>(&mut self, runtime: &R, config: Config) -> Result<(), io::Error> {
        loop {
            let head = match self.read_head().await {
                Ok(head) => head,
                Err(End::Closed) => return Ok(()),
                Err(End::Refused(refusal)) => {
                    encode::refusal(&mut self.output, refusal, self.version, &mut self.date);
                    return self.flush().await;
                }
            };
            self.version = head.version;
            let reply = match self.drop_body(&head).await {
                Ok(()) => {
                    let (path, query) = (self.target.path(), self.target.query());
                    respond(runtime, config, head.method.as_str(), path, query).await
                }
                Err(reply) => reply,
            };
            let context = Context {
                version: head.version,
                keep_alive: head.keep_alive && !self.stream.is_stopping(),
                head_only: head.method == Method::HEAD,
            };
            let open = encode::reply(&mut self.output, &reply, context, &mut self.date);
            self.flush().await?;
            if !open {
                return Ok(());
            }
            self.served = true;
        }
    }

    /// Reads up to the end of the next head. Its deadline starts here, with an idle connection.
    async fn read_head(&mut self) -> Result<Head, End> {
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
            if wait.is_some_and(|wait| wait.is_zero()) || self.read(wait).await? == 0 {
                return Err(End::Closed);
            }
        }
    }

    /// Reads a body to its end and drops it, without a timeout, as hyper does.
    async fn drop_body(&mut self, head: &Head) -> Result<(), Reply> {
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
                self.flush().await.map_err(|_| Reply::bad_body())?;
                if !matches!(self.read(None).await, Ok(1..)) {
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

    async fn read(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        let read = self.stream.socket_mut().read(self.input.room(), limit).await?;
        self.input.filled(read);
        Ok(read)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.socket_mut().write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }

    /// Says goodbye before the socket closes: with bytes left unread, a close alone is a reset.
    fn finish(mut self) {
        SockRef::from(&*self.stream.socket_mut()).shutdown(Shutdown::Write).ok();
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
