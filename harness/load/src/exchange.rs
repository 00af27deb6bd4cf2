//! One blocking request and its answer: what `sequential`, `thread-pool` and interference are made of.

use crate::gauge::Gauge;
use crate::protocol::Order;
use crate::response::{MAX_RESPONSE, Parser};
use crate::tally::{Answer, Failure};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The bytes of the order's request.
pub(super) fn request_bytes(order: &Order, keep_alive: bool) -> Vec<u8> {
    let connection = if keep_alive { "" } else { "connection: close\r\n" };
    format!("GET {} HTTP/1.1\r\nhost: {}\r\n{connection}\r\n", order.target, order.host).into_bytes()
}

/// Opens a connection, before `deadline`.
pub(super) fn connect(order: &Order, deadline: Instant) -> Result<TcpStream, Failure> {
    let stream =
        TcpStream::connect_timeout(&order.addr, left(deadline)?).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => Failure::TimedOut,
            _ => Failure::Connect(error.to_string()),
        })?;
    stream.set_nodelay(true).map_err(|error| Failure::Connect(error.to_string()))?;
    Ok(stream)
}

/// A whole request on a connection of its own, under way on the gauge while its service lasts; `buffer` is
/// only there to be used again.
pub(super) fn once(
    order: &Order,
    request: &[u8],
    buffer: &mut Vec<u8>,
    gauge: &Gauge,
    connected: impl FnOnce(),
) -> Result<Answer, Failure> {
    let deadline = Instant::now() + order.timeout;
    let mut stream = connect(order, deadline)?;
    connected();
    let _under_way = gauge.enter();
    let start = send(&mut stream, request, deadline)?;
    receive(&mut stream, buffer, start, deadline)
}

/// Sends a request, and says when it began to.
pub(super) fn send(stream: &mut TcpStream, request: &[u8], deadline: Instant) -> Result<Instant, Failure> {
    let start = Instant::now();
    stream
        .set_write_timeout(Some(left(deadline)?))
        .and_then(|()| stream.write_all(request))
        .map_err(|error| failure(&error, Failure::Write))?;
    Ok(start)
}

/// Reads the answer to a request that was sent at `start`.
pub(super) fn receive(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    start: Instant,
    deadline: Instant,
) -> Result<Answer, Failure> {
    let mut parser = Parser::new();
    buffer.clear();
    loop {
        let n = read_some(stream, buffer, deadline)?;
        let parsed = parser.parse(buffer, n == 0).map_err(Failure::Read)?;
        if let Some(response) = parsed {
            let service = start.elapsed();
            let body = response.body.bytes(buffer).to_vec();
            return Ok(Answer { service, status: response.status, body, keep_alive: response.keep_alive });
        }
        if buffer.len() > MAX_RESPONSE {
            return Err(Failure::Read("the answer is too long".into()));
        }
    }
}

fn read_some(stream: &mut TcpStream, buffer: &mut Vec<u8>, deadline: Instant) -> Result<usize, Failure> {
    const CHUNK: usize = 16 * 1024;
    loop {
        stream.set_read_timeout(Some(left(deadline)?)).map_err(|error| Failure::Read(error.to_string()))?;
        let filled = buffer.len();
        buffer.resize(filled + CHUNK, 0);
        let outcome = stream.read(&mut buffer[filled..]);
        buffer.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(n) => return Ok(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(&error, Failure::Read)),
        }
    }
}

fn failure(error: &io::Error, otherwise: fn(String) -> Failure) -> Failure {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::TimedOut,
        _ => otherwise(error.to_string()),
    }
}

fn left(deadline: Instant) -> Result<Duration, Failure> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(Failure::TimedOut),
        left => Ok(left),
    }
}
