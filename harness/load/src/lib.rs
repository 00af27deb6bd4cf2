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
pub mod merge;
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
    let answer = exchange::once(addr, timeout, &request, &mut Vec::new(), &gauge::Gauge::new(), || {});
    let answer = answer.map_err(|failure| failure.to_string())?;
    Ok((answer.status, answer.body))
}

/// How long an answer takes that takes the server no time: the median of so many requests on one connection, one after
/// the other, each from its first byte sent to the last one read. Before them goes one that finds the connection new.
///
/// # Errors
/// What went wrong, in words.
pub fn delay(
    addr: SocketAddr,
    host: &str,
    request: &Request,
    requests: usize,
    timeout: Duration,
) -> Result<Duration, String> {
    let request = exchange::request_bytes(host, request, true);
    let times = exchange::in_a_row(addr, timeout, &request, requests.max(1) + 1);
    let mut times = times.map_err(|failure| failure.to_string())?.split_off(1);
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn a_delay_is_the_median_of_the_answers() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let addr = listener.local_addr().expect("bound");
        // Two are slow: the first, which does not count, and another one, which is no median.
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            for pause in [300, 20, 300, 20] {
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).is_ok_and(|read| read > 0));
                std::thread::sleep(Duration::from_millis(pause));
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("sent");
            }
        });
        let delay = delay(addr, "x", &Request::get("/"), 3, Duration::from_secs(10)).expect("answered");
        server.join().expect("it ends");
        assert!((Duration::from_millis(20)..Duration::from_millis(250)).contains(&delay), "{delay:?}");
        assert!(super::delay(addr, "x", &Request::get("/"), 1, Duration::from_secs(1)).is_err());
    }
}
