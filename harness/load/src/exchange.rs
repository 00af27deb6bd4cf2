//! One blocking request and its answer.

use crate::fate::Fate;
use crate::gauge::Gauge;
use crate::protocol::Request;
use crate::response::{MAX_RESPONSE, Parser};
use crate::tally::Answer;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The bytes of a request to `host`. What frames the message is added where the request does not have it.
pub(super) fn request_bytes(host: &str, request: &Request, keep_alive: bool) -> Vec<u8> {
    let Request { method, target, headers, body } = request;
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    let mut add = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if !given("host") {
        add("host", host);
    }
    for (name, value) in headers {
        add(name, value);
    }
    if !keep_alive && !given("connection") {
        add("connection", "close");
    }
    if !body.is_empty() && !given("content-length") {
        add("content-length", &body.len().to_string());
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}

/// Opens a connection, before `deadline`.
fn connect(addr: SocketAddr, deadline: Instant) -> Result<TcpStream, Fate> {
    let stream = TcpStream::connect_timeout(&addr, left(deadline)?).map_err(|error| match error.kind() {
        ErrorKind::TimedOut => Fate::TimedOut,
        _ => Fate::ErrConnect(error.to_string()),
    })?;
    stream.set_nodelay(true).map_err(|error| Fate::ErrConnect(error.to_string()))?;
    Ok(stream)
}

/// A whole request on a connection of its own, under way on the gauge while its service lasts; `buffer` is
/// only there to be used again.
pub(super) fn once(
    addr: SocketAddr,
    timeout: Duration,
    request: &[u8],
    buffer: &mut Vec<u8>,
    gauge: &Gauge,
    connected: impl FnOnce(),
) -> Result<Answer, Fate> {
    let deadline = Instant::now() + timeout;
    let mut stream = connect(addr, deadline)?;
    connected();
    let _under_way = gauge.enter();
    let start = send(&mut stream, request, deadline)?;
    receive(&mut stream, buffer, start, deadline)
}

/// Sends a request again and again on one connection, each when the one before is answered, and says how long each took.
pub(super) fn in_a_row(
    addr: SocketAddr,
    timeout: Duration,
    request: &[u8],
    requests: usize,
) -> Result<Vec<Duration>, Fate> {
    let mut stream = connect(addr, Instant::now() + timeout)?;
    let mut buffer = Vec::new();
    let exchange = |_| -> Result<Duration, Fate> {
        let deadline = Instant::now() + timeout;
        let start = send(&mut stream, request, deadline)?;
        Ok(receive(&mut stream, &mut buffer, start, deadline)?.service)
    };
    (0..requests).map(exchange).collect()
}

/// Sends a request, and says when it began to.
fn send(stream: &mut TcpStream, request: &[u8], deadline: Instant) -> Result<Instant, Fate> {
    let start = Instant::now();
    stream
        .set_write_timeout(Some(left(deadline)?))
        .and_then(|()| stream.write_all(request))
        .map_err(|error| failure(&error, Fate::ErrWrite))?;
    Ok(start)
}

/// Reads the answer to a request that was sent at `start`.
fn receive(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    start: Instant,
    deadline: Instant,
) -> Result<Answer, Fate> {
    let mut parser = Parser::new();
    buffer.clear();
    loop {
        let n = read_some(stream, buffer, deadline)?;
        let parsed = parser.parse(buffer, n == 0).map_err(Fate::ErrRead)?;
        if let Some(response) = parsed {
            let service = start.elapsed();
            let body = response.body.bytes(buffer).to_vec();
            return Ok(Answer { service, status: response.status, body });
        }
        if buffer.len() > MAX_RESPONSE {
            return Err(Fate::ErrRead("the answer is too long".into()));
        }
    }
}

fn read_some(stream: &mut TcpStream, buffer: &mut Vec<u8>, deadline: Instant) -> Result<usize, Fate> {
    const CHUNK: usize = 16 * 1024;
    loop {
        stream.set_read_timeout(Some(left(deadline)?)).map_err(|error| Fate::ErrRead(error.to_string()))?;
        let filled = buffer.len();
        buffer.resize(filled + CHUNK, 0);
        let outcome = stream.read(&mut buffer[filled..]);
        buffer.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(n) => return Ok(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(&error, Fate::ErrRead)),
        }
    }
}

fn failure(error: &io::Error, otherwise: fn(String) -> Fate) -> Fate {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Fate::TimedOut,
        _ => otherwise(error.to_string()),
    }
}

fn left(deadline: Instant) -> Result<Duration, Fate> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(Fate::TimedOut),
        left => Ok(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: &Request, keep_alive: bool) -> String {
        String::from_utf8(request_bytes("h:1", request, keep_alive)).expect("text")
    }

    #[test]
    fn a_request_has_its_method_headers_and_body() {
        assert_eq!(text(&Request::get("/a?b"), true), "GET /a?b HTTP/1.1\r\nhost: h:1\r\n\r\n");
        assert_eq!(
            text(&Request::get("/"), false),
            "GET / HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\n\r\n"
        );
        let post = Request {
            method: "POST".into(),
            headers: vec![("Content-Type".into(), "text/plain".into())],
            body: "äb".into(),
            ..Request::get("/")
        };
        assert_eq!(
            text(&post, true),
            "POST / HTTP/1.1\r\nhost: h:1\r\nContent-Type: text/plain\r\ncontent-length: 3\r\n\r\näb"
        );
    }

    #[test]
    fn a_framing_header_that_is_given_is_not_added() {
        let headers = [("Host", "x"), ("Connection", "keep-alive"), ("Content-Length", "2")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let request = Request { headers, body: "ab".into(), ..Request::get("/") };
        assert_eq!(
            text(&request, false),
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab"
        );
    }
}
