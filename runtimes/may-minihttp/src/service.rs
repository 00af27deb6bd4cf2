//! The contract's handler as a service of may_minihttp.

use crate::process_time;
use crate::socket::Socket;
use contract::MAX_BODY;
use contract::codec::poll_once;
use contract::connections::{Connections, Tracked};
use contract::handler::{Config, respond};
use contract::reply::{JSON, Reply};
use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};
use rt_may::May;
use socket2::SockRef;
use std::borrow::Cow;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

/// Makes a service for each connection.
pub(crate) struct Factory {
    config: Config,
    /// `None` once the server is stopping.
    connections: Arc<Mutex<Option<Connections>>>,
}

/// What serves one connection. may_minihttp drops it when the connection ends.
pub(crate) struct Service {
    config: Config,
    place: Option<Tracked<Socket>>,
}

impl Factory {
    pub(crate) fn new(config: Config, connections: Arc<Mutex<Option<Connections>>>) -> Factory {
        Factory { config, connections }
    }
}

impl HttpServiceFactory for Factory {
    type Service = Service;

    fn new_service(&self, id: usize) -> Service {
        let place = Socket::of_service(id).and_then(|socket| {
            SockRef::from(&socket).set_tcp_nodelay(true).ok();
            let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            if connections.is_none() {
                SockRef::from(&socket.as_fd()).shutdown(Shutdown::Both).ok();
            }
            connections.as_ref().map(|connections| connections.enter(socket))
        });
        Service { config: self.config, place }
    }
}

impl HttpService for Service {
    fn call(&mut self, request: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        let head_only = request.method() == "HEAD";
        let reply = match body_length(&request) {
            Some(0) => self.answer(request.method(), request.path()),
            Some(length) => {
                let (method, target) = (request.method().to_owned(), request.path().to_owned());
                // Reads the body to its end: else it would be taken for the next request.
                drop(request.body());
                // A body too long cannot close the connection here: the crate has no way to.
                if length > MAX_BODY { Reply::body_too_long() } else { self.answer(&method, &target) }
            }
            // To read this body would be a panic inside may_minihttp.
            None => Reply::bad_body(),
        };
        self.write(reply, response);
        if head_only {
            // The length that the crate writes is the body's that it sends, so this one is a lie.
            response.body("");
        }
        Ok(())
    }
}

impl Service {
    fn answer(&self, method: &str, target: &str) -> Reply {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        poll_once(respond(&May, self.config, method, path, query))
            .unwrap_or_else(|| Reply::error(500, "the handler did not block"))
    }

    fn write(&self, reply: Reply, response: &mut Response<'_>) {
        response.status_code(reply.status.into(), reply.reason());
        response.header(match reply.content_type {
            JSON => "content-type: application/json",
            _ => "content-type: text/plain",
        });
        response.header(process_time::header(reply.elapsed));
        if reply.allow.is_some() {
            response.header("allow: GET, HEAD");
        }
        if self.place.as_ref().is_none_or(Tracked::is_stopping) {
            response.header("connection: close");
        }
        match reply.body {
            Cow::Borrowed(body) => response.body(body),
            Cow::Owned(body) => response.body_vec(body.into_bytes()),
        }
    }
}

/// The body's length as may_minihttp will find it: of the first Content-Length, and 0 without one.
fn body_length(request: &Request<'_, '_, '_>) -> Option<usize> {
    let length = request.headers().iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    match length {
        Some(header) => str::from_utf8(header.value).ok()?.parse().ok(),
        None => Some(0),
    }
}
