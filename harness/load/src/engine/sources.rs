//! Where connections come from: sockets, and enough client addresses that ephemeral ports do not run out.
//!
//! A closed connection keeps its client port for a minute (TIME_WAIT). A new connection per request uses
//! up the ports of one address in seconds; on loopback there are sixteen million addresses.

use super::job::Job;
use crate::protocol::Order;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Connections that a closed loop is reckoned to make in a second, where nothing bounds it.
const FASTEST: f64 = 30_000.0;
/// Ports of an address that are planned for: some are taken by others.
const USABLE: f64 = 0.8;
/// Seconds for which a closed connection keeps its port: what a load without an end is reckoned by.
const TIME_WAIT: f64 = 60.0;
/// The most client addresses, 127.0.0.1 and up.
const MAX_ADDRESSES: u32 = 250;

/// Makes the sockets of one worker.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    to: SockAddr,
    domain: Domain,
    nonblocking: bool,
    /// How many client addresses take turns; 0 leaves the address to the kernel.
    addresses: u32,
    next: u32,
}

impl Sources {
    /// For an order whose connections are kept, or each made for a request.
    ///
    /// # Errors
    /// There are not enough ports for what is asked, and what to do.
    pub(super) fn new(order: &Order, job: &Job, nonblocking: bool) -> Result<Sources, String> {
        let addresses =
            if job.connections.are_kept() { 0 } else { addresses(order.addr.ip(), job, ports())? };
        Ok(Sources {
            to: order.addr.into(),
            domain: Domain::for_address(order.addr),
            nonblocking,
            addresses,
            next: 0,
        })
    }

    /// The server's address.
    pub(super) fn to(&self) -> SockAddr {
        self.to.clone()
    }

    /// A socket that can be connected.
    pub(super) fn socket(&mut self) -> io::Result<Socket> {
        let kind = if self.nonblocking { Type::STREAM.nonblocking() } else { Type::STREAM };
        let socket = Socket::new(self.domain, kind, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if self.addresses > 0 {
            let host = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + self.next);
            self.next = (self.next + 1) % self.addresses;
            // The port is chosen when it connects, so that it need only be free towards this server.
            setsockopt(&socket, IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::from((host, 0)).into())?;
        }
        Ok(socket)
    }
}

/// How many client addresses a connection for each request needs, with `ports` ports on each.
fn addresses(server: IpAddr, job: &Job, ports: u32) -> Result<u32, String> {
    let seconds = if job.background { TIME_WAIT } else { job.end as f64 / 1e9 };
    let rate = job.arrivals.rate();
    let connections = job.requests().unwrap_or_else(|| rate.unwrap_or(FASTEST) * seconds);
    let needed = (connections / (f64::from(ports) * USABLE)).ceil().max(1.0);
    let many = matches!(server, IpAddr::V4(host) if host.is_loopback());
    match (many, rate) {
        (true, _) if needed <= f64::from(MAX_ADDRESSES) => Ok(needed as u32),
        // How fast it will be is not known: the kernel takes ports again after a second.
        (true, None) => Ok(MAX_ADDRESSES),
        (false, None) => Ok(0),
        (false, Some(_)) if needed <= 1.0 => Ok(0),
        (_, Some(rate)) => {
            let most = f64::from(ports) * USABLE * if many { f64::from(MAX_ADDRESSES) } else { 1.0 };
            Err(format!(
                "churn at {rate} per second for {seconds} s needs {connections:.0} client ports, and there are \
                 {most:.0}: lower --rate or --duration"
            ))
        }
    }
}

/// How many ephemeral ports an address has.
fn ports() -> u32 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u32>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) if last > first => last - first + 1,
        // Linux's own default.
        _ => 60_999 - 32_768 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{churn, order, timed};
    use super::*;
    use crate::protocol::Amount;
    use std::time::Duration;

    fn job(rate: Option<f64>, seconds: u64) -> Job {
        let load = timed(churn(rate), Duration::ZERO, Duration::from_secs(seconds));
        Job::new(&order(([127, 0, 0, 1], 1).into(), &load, 1000)).expect("valid")
    }

    #[test]
    fn addresses_are_as_many_as_the_connections_need() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(addresses(here, &job(Some(1000.0), 10), 20_000), Ok(1));
        assert_eq!(addresses(here, &job(Some(10_000.0), 10), 20_000), Ok(7));
        let refused = addresses(here, &job(Some(100_000.0), 3600), 20_000).expect_err("too many");
        assert!(refused.contains("lower --rate or --duration"), "{refused}");
        assert_eq!(addresses(here, &job(None, 10), 20_000), Ok(19));
        assert_eq!(addresses(here, &job(None, 3600), 20_000), Ok(MAX_ADDRESSES));
    }

    #[test]
    fn a_load_without_an_end_needs_the_ports_of_a_minute() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let load = crate::protocol::Load { amount: Amount::UntilStopped, ..churn(Some(1000.0)) };
        let job = Job::new(&order(([127, 0, 0, 1], 1).into(), &load, 1000)).expect("valid");
        assert_eq!(addresses(here, &job, 20_000), Ok(4));
    }

    #[test]
    fn another_host_is_reached_from_one_address() {
        let there = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(addresses(there, &job(None, 10), 20_000), Ok(0));
        assert_eq!(addresses(there, &job(Some(1000.0), 10), 20_000), Ok(0));
        assert!(addresses(there, &job(Some(2000.0), 10), 20_000).is_err());
    }
}
