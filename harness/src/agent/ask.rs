//! What a server is asked before it is measured: the contract, and the answers that nobody has written down.

use super::messages::Probed;
use crate::experiment::server::ServerDef;
use crate::verify::{self, Answer, DeclaredRoute, Level, Replayed};
use load::probe;
use load::protocol::{Expect, ExpectBody, Request};
use std::net::SocketAddr;
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
