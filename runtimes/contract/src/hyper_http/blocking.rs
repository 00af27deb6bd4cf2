//! hyper where calls block: on a thread or a coroutine per connection, without an executor.
//!
//! Nothing blocks inside a poll of hyper. It is polled until it can do nothing before its reply is made or more
//! bytes come; the handler runs, and the socket is read and written, between two polls. A poll that blocked
//! would save one, but hyper keeps its date in a thread-local variable. It looks at the clock when a poll begins,
//! so an idle connection's next reply would be dated by its last request. And a coroutine that blocks may go on
//! in another thread, where the rest of the poll would use the first thread's variable: with two workers, may
//! panicked in hyper's date.

use super::{builder, drop_body, response};
use crate::blocking::{Blocking, Transport, poll_once};
use crate::connections::{Connections, Tracked};
use crate::handler::{Config, Runtime, respond};
use crate::reply::Reply;
use crate::server::Server;
use futures_lite::future::poll_fn;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use socket2::SockRef;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// What one read may bring: hyper's own first buffer.
const SIZE: usize = 8 * 1024;

/// Serves connections until the server is told to stop; what `codec::Http` is to the rows on the codec.
#[derive(Debug)]
pub struct Http<R> {
    shared: Arc<Shared<R>>,
    connections: Connections,
}

#[derive(Debug)]
struct Shared<R> {
    runtime: R,
    config: Config,
    header_timeout: Option<Duration>,
    builder: http1::Builder,
}

impl<R: Runtime> Http<R> {
    /// hyper as every row has it. A head's time is the socket's to keep, so hyper needs no timer.
    pub fn new(server: &Server, runtime: R) -> Http<R> {
        let mut builder = builder();
        builder.header_read_timeout(None);
        let header_timeout = server.header_timeout();
        let shared = Shared { runtime, config: server.config(), header_timeout, builder };
        Http { shared: Arc::new(shared), connections: Connections::new() }
    }

    /// A job that serves one connection to its end, to be run on a thread or coroutine of its own. It is
    /// `Send` if the stream is, and if the runtime may be shared between threads.
    pub fn serve<S>(&self, stream: S) -> impl FnOnce() + 'static + use<S, R>
    where
        S: Transport + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let stream = self.connections.enter(Blocking::new(stream));
        move || shared.serve(stream)
    }

    /// Tells every connection to end and blocks until they have.
    pub fn drain(self) {
        self.connections.drain();
    }
}

impl<R: Runtime> Shared<R> {
    fn serve<S: Transport>(&self, stream: Tracked<Blocking<S>>) {
        let wire = Wire::new(stream, self.header_timeout);
        let service = service_fn(async |mut request: Request<Incoming>| {
            wire.head_has_come();
            let reply = match drop_body(request.body_mut()).await {
                Ok(()) => wire.reply_to(request).await,
                Err(refusal) => refusal,
            };
            wire.is_answered();
            Ok::<_, Infallible>(response(reply))
        });
        let mut connection = pin!(self.builder.serve_connection(&wire, service));
        let again = Arc::new(Again::default());
        let waker = Waker::from(Arc::clone(&again));
        // A connection that breaks is the client's business: its fate is counted there.
        while poll(connection.as_mut(), &mut Context::from_waker(&waker)).is_pending() {
            if again.is_asked_for() {
                continue;
            }
            if wire.flush().is_err() {
                return;
            }
            if let Some(request) = wire.take_request() {
                wire.give(self.answer(&request));
                if wire.is_stopping() {
                    connection.as_mut().graceful_shutdown();
                }
            } else if wire.receive().is_err() {
                return;
            }
        }
        wire.finish();
    }

    fn answer(&self, request: &Request<Incoming>) -> Reply {
        let (method, uri) = (request.method().as_str(), request.uri());
        let reply = respond(&self.runtime, self.config, method, uri.path(), uri.query());
        poll_once(reply).unwrap_or_else(|| {
            eprintln!("error: the handler of {} has to block and did not", uri.path());
            Reply::error(500, "the handler did not block")
        })
    }
}

/// Polls once. Never inlined: the compiler may remember where a thread-local variable is for as long as a function
/// runs, and between two polls a coroutine may have moved to another thread.
#[inline(never)]
fn poll<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    future.poll(context)
}

/// hyper's wish to be polled again at once.
#[derive(Debug, Default)]
struct Again(AtomicBool);

impl Again {
    fn is_asked_for(&self) -> bool {
        // Asked for inside the poll, or not at all: nothing else knows of hyper.
        self.0.swap(false, Relaxed)
    }
}

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// A connection between hyper, which finds here what has come, and its socket. Both ends are on one stack.
struct Wire<S>(RefCell<State<S>>);

struct State<S> {
    stream: Tracked<Blocking<S>>,
    input: Box<[u8]>,
    /// What has come and hyper has not taken.
    unread: Range<usize>,
    ended: bool,
    /// What hyper has written and is not sent.
    output: Vec<u8>,
    /// What the handler is to answer, and what it answered.
    request: Option<Request<Incoming>>,
    reply: Option<Reply>,
    /// Whether the service has a request, so that what comes is its body.
    answering: bool,
    /// Whether a request was answered already.
    served: bool,
    header_timeout: Option<Duration>,
    /// Whether the head that is waited for was read for already.
    begun: bool,
    /// When that head has to be there.
    deadline: Option<Instant>,
}

impl<S: Transport> Wire<S> {
    fn new(stream: Tracked<Blocking<S>>, header_timeout: Option<Duration>) -> Wire<S> {
        Wire(RefCell::new(State {
            stream,
            input: vec![0; SIZE].into(),
            unread: 0..0,
            ended: false,
            output: Vec::with_capacity(256),
            request: None,
            reply: None,
            answering: false,
            served: false,
            header_timeout,
            begun: false,
            deadline: None,
        }))
    }

    /// Says that the service has got a request.
    fn head_has_come(&self) {
        let mut state = self.0.borrow_mut();
        state.answering = true;
        state.stream.set_busy();
    }

    /// Puts a request down for the handler, and waits for its reply.
    async fn reply_to(&self, request: Request<Incoming>) -> Reply {
        self.0.borrow_mut().request = Some(request);
        poll_fn(|_| self.0.borrow_mut().reply.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    fn take_request(&self) -> Option<Request<Incoming>> {
        self.0.borrow_mut().request.take()
    }

    fn give(&self, reply: Reply) {
        self.0.borrow_mut().reply = Some(reply);
    }

    /// Says that the service has made its reply.
    fn is_answered(&self) {
        let mut state = self.0.borrow_mut();
        (state.answering, state.served, state.begun) = (false, true, false);
    }

    fn is_stopping(&self) -> bool {
        self.0.borrow().stream.is_stopping()
    }

    /// Waits for bytes. An error if the connection ends without another word.
    fn receive(&self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if state.ended {
            // hyper knows, and has nothing to say to it.
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // Bodies are waited for as long as it takes, as hyper does; a head has its time.
        let limit = if state.answering { None } else { state.head_limit()? };
        let read = state.stream.socket_mut().read(&mut state.input, limit)?;
        state.unread = 0..read;
        state.ended = read == 0;
        Ok(())
    }

    /// Sends what hyper has written.
    fn flush(&self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if !state.output.is_empty() {
            state.stream.socket_mut().socket.write_all(&state.output)?;
            state.output.clear();
        }
        Ok(())
    }

    /// Sends the last words, and says goodbye before the socket closes.
    fn finish(&self) {
        // Fails if the client has gone before.
        if self.flush().is_ok() {
            SockRef::from(&self.0.borrow_mut().stream.socket_mut().socket).shutdown(Shutdown::Write).ok();
        }
    }
}

impl<S> State<S> {
    /// How long the next read for a head may take; an error if the connection ends instead.
    fn head_limit(&mut self) -> io::Result<Option<Duration>> {
        // A stop waits for a first head that has begun, but not for a later one.
        if (self.served || !self.begun) && self.stream.set_idle() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        if !self.begun {
            self.begun = true;
            self.deadline = self.header_timeout.map(|timeout| Instant::now() + timeout);
            // Rounded up to the whole, which the socket has from the last request.
            return Ok(self.header_timeout);
        }
        match self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => Err(ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

impl<S> Read for &Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let state = &mut *self.0.borrow_mut();
        if state.unread.is_empty() && !state.ended {
            return Poll::Pending;
        }
        let Range { start, end } = state.unread;
        let taken = start..end.min(start + to.remaining());
        state.unread.start = taken.end;
        to.put_slice(&state.input[taken]);
        Poll::Ready(Ok(()))
    }
}

impl<S> Write for &Wire<S> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[path = "blocking_tests.rs"]
mod tests;
