//! What a server is asked before it is measured: the contract, and the answers that nobody has written down.

use super::messages::Probed;
use crate::experiment::server::ServerDef;
use crate::verify::{self, Answer, DeclaredRoute, Level, Replayed};
use load::probe;
use load::protocol::{Expect, ExpectBody, Request};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The request for a route that a manifest declares.
pub fn request_of(route: &DeclaredRoute) -> Request {
    Request {
        method: route.method.clone(),
        target: route.path.clone(),
        headers: route.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        body: route.body.clone(),
    }
}

/// Checks a server against the contract.
///
/// # Errors
/// In words: it cannot be reached.
pub(super) fn check(def: &ServerDef, addr: SocketAddr, level: Level) -> Result<Replayed, String> {
    verify::verify(addr, &def.verify_options(level)).map_err(|error| format!("{error:#}"))
}

/// Holds on to a server that was started without the transcripts' arguments.
///
/// # Errors
/// In words: it cannot be reached.
pub(super) fn hold(def: &ServerDef, addr: SocketAddr, connections: usize) -> Result<Replayed, String> {
    let options = def.verify_options(Level::Full);
    verify::hold(addr, &options, connections).map_err(|error| format!("{error:#}"))
}

/// Opens connections on which nothing is said.
///
/// # Errors
/// In words: one is refused.
pub(super) fn idle(addr: SocketAddr, connections: usize) -> Result<Vec<TcpStream>, String> {
    let open = (0..connections).map(|_| TcpStream::connect(addr)).collect::<Result<_, _>>();
    open.map_err(|error| format!("{connections} idle connections: {error}"))
}

/// Asks the routes that a manifest declares without a right answer.
///
/// # Errors
/// In words: a route does not answer, or with an error.
pub(super) fn declared(def: &ServerDef, addr: SocketAddr, timeout: Duration) -> Result<Probed, String> {
    let routes = def.routes.iter().filter(|route| matches!(route.answer, Answer::Probe));
    let ask = |route: &DeclaredRoute| {
        let expect = twice(addr, &addr.to_string(), &request_of(route), timeout);
        let expect = expect.map_err(|problem| format!("{}: {problem}", route.name))?;
        Ok((route.name.clone(), expect))
    };
    routes.map(ask).collect()
}

/// Asks twice, and takes what stays the same for what is right.
///
/// # Errors
/// In words: it does not answer, or with an error.
pub(super) fn twice(
    addr: SocketAddr,
    host: &str,
    request: &Request,
    timeout: Duration,
) -> Result<Expect, String> {
    let ((status, first), (_, second)) =
        (probe(addr, host, request, timeout)?, probe(addr, host, request, timeout)?);
    if !(200..300).contains(&status) {
        return Err(format!("it answers with status {status}"));
    }
    let body = match String::from_utf8(first.clone()) {
        Ok(text) if first == second => ExpectBody::Exact(text),
        _ if first.len() == second.len() => ExpectBody::Length(first.len()),
        _ => ExpectBody::Any,
    };
    Ok(Expect { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::net::TcpListener;

    #[test]
    fn idle_connections_say_nothing_and_are_open_until_they_are_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address");
        let accepting = std::thread::spawn(move || {
            (0..9).map(|_| listener.accept().expect("a connection").0).collect::<Vec<_>>()
        });
        let idle = idle(addr, 9).expect("all are taken");
        let mut accepted = accepting.join().expect("all have come");
        let read = |connection: &mut TcpStream| connection.read(&mut [0; 1]);
        accepted.iter().for_each(|connection| connection.set_nonblocking(true).expect("a socket"));
        assert!(
            accepted.iter_mut().all(|c| read(c).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock))
        );
        drop(idle);
        accepted.iter().for_each(|connection| connection.set_nonblocking(false).expect("a socket"));
        assert!(accepted.iter_mut().all(|c| read(c).is_ok_and(|n| n == 0)));
    }

    #[test]
    fn nobody_there_is_said() {
        let addr =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        assert!(idle(addr, 9).expect_err("it was closed").starts_with("9 idle connections: "));
    }
}
