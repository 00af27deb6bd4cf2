//! The hyper service that all hyper rows share.
//!
//! A row brings its I/O and timer adapters; what hyper is told, and what the service answers, is here.

use crate::handler::{Config, Runtime, respond};
use crate::reply::{JSON, Reply, TEXT};
use crate::server::Server;
use crate::stop::{Drain, Stop};
use crate::{MAX_BODY, MAX_HEAD};
use futures_lite::future::{self, poll_fn};
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::rt::{Read, Timer, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Waker;

#[cfg(feature = "blocking")]
pub mod blocking;

static X_PROCESS_TIME: HeaderName = HeaderName::from_static("x-process-time");
/// Made once: a value is checked byte by byte when it is made.
static TEXT_PLAIN: HeaderValue = HeaderValue::from_static(TEXT);
static APPLICATION_JSON: HeaderValue = HeaderValue::from_static(JSON);

/// Serves connections with hyper until the server is told to stop. A clone is for a thread that a connection moves to;
/// it is waited for as a connection is.
#[derive(Debug)]
pub struct Http<R> {
    shared: Arc<Shared<R>>,
    drain: Drain,
}

#[derive(Debug)]
struct Shared<R> {
    runtime: R,
    config: Config,
    stop: Stop,
    builder: http1::Builder,
}

impl<R> Clone for Http<R> {
    fn clone(&self) -> Self {
        Http { shared: Arc::clone(&self.shared), drain: self.drain.clone() }
    }
}

impl<R: Runtime> Http<R> {
    /// hyper as every row has it; `timer` is the row's own.
    pub fn new(server: &Server, runtime: R, timer: impl Timer + Send + Sync + 'static) -> Http<R> {
        let mut builder = builder();
        builder.timer(timer).header_read_timeout(server.header_timeout());
        let shared = Shared { runtime, config: server.config(), stop: server.stop.clone(), builder };
        Http { shared: Arc::new(shared), drain: Drain::new() }
    }

    /// A future that serves one connection to its end, to be spawned. It is `Send` if `io` and the runtime's
    /// own futures are, and if the runtime may be shared between threads.
    pub fn serve<I>(&self, io: I) -> impl Future<Output = ()> + 'static + use<I, R>
    where
        I: Read + Write + Unpin + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let live = self.drain.hold();
        async move {
            let _live = live;
            let service = service_fn(|request| answer(&shared.runtime, shared.config, request));
            let mut connection = pin!(shared.builder.serve_connection(io, service));
            let mut stop = pin!(shared.stop.requested());
            // Whom the stop will wake. To poll it takes a lock of the whole process, so that is done once, and
            // again only when somebody else runs this future. What is left for each poll is an atomic load.
            let mut woken: Option<Waker> = None;
            let mut stopping = false;
            // A connection that breaks is the client's business: its fate is counted there.
            let _ended = poll_fn(|context| {
                if !stopping && !woken.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    woken = Some(context.waker().clone());
                    _ = stop.as_mut().poll(context);
                }
                if !stopping && shared.stop.is_requested() {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                connection.as_mut().poll(context)
            })
            .await;
        }
    }

    /// Waits until every connection has ended.
    pub async fn drained(self) {
        self.drain.drained().await;
    }
}

/// hyper's settings, but for the time that a head may take.
fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Else a client that has said all it has to say loses the reply in flight.
    builder.half_close(true).max_buf_size(MAX_HEAD);
    builder
}

async fn answer<R: Runtime>(
    runtime: &R,
    config: Config,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if !request.body().is_end_stream()
        && let Err(refusal) = drop_body(request.body_mut()).await
    {
        return Ok(response(refusal));
    }
    let uri = request.uri();
    let reply = respond(runtime, config, request.method().as_str(), uri.path(), uri.query()).await;
    Ok(response(reply))
}

/// Reads the request's body to its end and drops it, so that whether the connection stays open does
/// not depend on how the body's bytes happened to arrive.
async fn drop_body(body: &mut Incoming) -> Result<(), Reply> {
    // Before the first poll, which would send 100 Continue and wait for what is not wanted.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Reply::body_too_long());
    }
    let mut read = 0;
    while let Some(frame) = future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Reply::bad_body())?;
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_BODY {
            return Err(Reply::body_too_long());
        }
    }
    Ok(())
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let process_time = reply.process_time();
    let body = match reply.body {
        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let content_type = match reply.content_type {
        TEXT => TEXT_PLAIN.clone(),
        JSON => APPLICATION_JSON.clone(),
        other => HeaderValue::from_static(other),
    };
    headers.insert(CONTENT_TYPE, content_type);
    if let Ok(seconds) = HeaderValue::from_bytes(process_time.as_bytes()) {
        headers.insert(X_PROCESS_TIME.clone(), seconds);
    }
    if reply.allow.is_some() || reply.close {
        add_rare(headers, reply.allow, reply.close);
    }
    response
}

/// Adds the headers of a refusal. Apart, so that the compiler has one place less to insert a header in.
#[cold]
fn add_rare(headers: &mut HeaderMap, allow: Option<&'static str>, close: bool) {
    if let Some(allow) = allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

#[cfg(test)]
mod tests;
