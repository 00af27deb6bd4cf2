//! The client's side: issues requests as a strategy says, and gives every one of them a fate.
//!
//! Runs in the client process only, knows nothing of servers, and is told what to do by an
//! [`protocol::Order`].

pub mod client;
mod engine;
mod exchange;
mod fate;
mod gauge;
pub mod histogram;
mod hyper_client;
mod pin;
pub mod protocol;
pub mod response;
pub mod schedule;
mod sequential;
mod tally;
mod thread_pool;

pub use pin::pin_this_thread;
pub use protocol::Strategy;

use protocol::Request;
use std::net::SocketAddr;
use std::time::Duration;

/// Asks once, on a connection of its own: status and body.
///
/// # Errors
/// What went wrong, in words.
pub fn probe(
    addr: SocketAddr,
    host: &str,
    request: &Request,
    timeout: Duration,
) -> Result<(u16, Vec<u8>), String> {
    let request = exchange::request_bytes(host, request, false);
    let answer = exchange::once(addr, timeout, &request, &mut Vec::new(), &gauge::Gauge::new(), || {})
        .map_err(|failure| failure.to_string())?;
    Ok((answer.status, answer.body))
}
