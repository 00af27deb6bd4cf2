//! The client's side: issues requests as a strategy says, and gives every one of them a fate.
//!
//! Runs in the client process only, knows nothing of servers, and is told what to do by an
//! [`protocol::Order`].

pub mod client;
mod engine;
mod exchange;
mod gauge;
pub mod histogram;
mod hold;
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

use protocol::{Expect, ExpectBody, Order, Task};
use std::net::SocketAddr;
use std::time::Duration;

/// Asks once, on a connection of its own: status and body.
///
/// # Errors
/// What went wrong, in words.
pub fn probe(
    addr: SocketAddr,
    host: &str,
    target: &str,
    timeout: Duration,
) -> Result<(u16, Vec<u8>), String> {
    let order = Order {
        addr,
        host: host.to_owned(),
        target: target.to_owned(),
        expect: Expect { status: 200, body: ExpectBody::Any },
        timeout,
        task: Task::Hold { count: 1 },
    };
    let request = exchange::request_bytes(&order, false);
    let answer = exchange::once(&order, &request, &mut Vec::new(), &gauge::Gauge::new(), || {})
        .map_err(|failure| failure.to_string())?;
    Ok((answer.status, answer.body))
}
