//! Asks a server for its declared routes and compares what it answers.

use super::check::{Difference, show};
use super::client::{Connection, Next};
use super::declared::{Answer, DeclaredRoute};
use super::findings::{Aspect, Mismatch, Mode};
use super::wire::Reply;
use anyhow::Result;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How often a route is asked for whose answer is what stays the same.
const PROBES: usize = 2;

/// Asks for one route, with a connection for each request: the first mismatch, if there is one.
///
/// # Errors
/// The server cannot be reached.
pub(super) fn route(addr: SocketAddr, route: &DeclaredRoute, patience: Duration) -> Result<Option<Mismatch>> {
    let times = if route.answer == Answer::Probe { PROBES } else { 1 };
    for _ in 0..times {
        let mut connection = Connection::open(addr, patience)?;
        connection.send(&request(addr, route));
        let difference = match connection.next(false, Instant::now() + patience) {
            Next::Reply(reply) => compare(route, &reply),
            Next::Garbage(bytes) => Some(Difference::new(Aspect::Form, "an HTTP reply", show(&bytes))),
            Next::End(rest) => Some(missing("the connection closed", &rest)),
            Next::Nothing(rest) => Some(missing("silence", &rest)),
        };
        if let Some(Difference { aspect, expected, got }) = difference {
            return Ok(Some(Mismatch { case: route.name.clone(), mode: Mode::Whole, aspect, expected, got }));
        }
    }
    Ok(None)
}

fn request(addr: SocketAddr, route: &DeclaredRoute) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {addr}\r\n", route.method, route.path);
    for (name, value) in &route.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !route.body.is_empty() || matches!(route.method.as_str(), "POST" | "PUT" | "PATCH") {
        head += &format!("content-length: {}\r\n", route.body.len());
    }
    format!("{head}\r\n{}", route.body).into_bytes()
}

fn compare(route: &DeclaredRoute, reply: &Reply) -> Option<Difference> {
    if reply.status != route.status {
        return Some(Difference::new(Aspect::Status, route.status.to_string(), &reply.status_line));
    }
    let expected = match &route.answer {
        _ if route.may_be(&reply.body) => return None,
        Answer::Exact(text) => show(text.as_bytes()),
        Answer::Length(bytes) => format!("{bytes} bytes"),
        Answer::Probe => return None,
    };
    let got = match route.answer {
        Answer::Length(_) => format!("{} bytes", reply.body.len()),
        _ => show(&reply.body),
    };
    Some(Difference::new(Aspect::Body, expected, got))
}

fn missing(what: &str, rest: &[u8]) -> Difference {
    let part = if rest.is_empty() { String::new() } else { format!("{}, then ", show(rest)) };
    Difference::new(Aspect::Responses, "a reply", format!("{part}{what}"))
}
