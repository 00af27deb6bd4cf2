//! Listening sockets, made alike for every server.

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener};

/// The length of the accept queue: above the thousand connections that a client opens at once. The
/// kernel cuts it to `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// Binds and listens; non-blocking, with a long accept queue.
///
/// # Errors
/// The address is taken or not this machine's.
pub fn listen(addr: SocketAddr, reuse_port: bool) -> Result<TcpListener> {
    let socket = bind(addr, reuse_port)?;
    socket.listen(BACKLOG).with_context(|| format!("cannot listen on {addr}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A port that is ours although somebody else's code will listen on it.
///
/// Some runtimes bind by themselves, always with `SO_REUSEPORT`, and never say which port they got. A
/// socket that is bound and does not listen holds a port for them and receives no connection.
#[derive(Debug)]
pub struct ReservedPort {
    addr: SocketAddr,
    _holder: Socket,
}

impl ReservedPort {
    /// Reserves `addr`, whose port may be 0.
    ///
    /// # Errors
    /// The address is taken. Without `reuse_port` that is also so when the other socket would share it.
    pub fn new(addr: SocketAddr, reuse_port: bool) -> Result<ReservedPort> {
        let addr = if reuse_port { addr } else { local_addr(&bind(addr, false)?)? };
        let holder = bind(addr, true)?;
        Ok(ReservedPort { addr: local_addr(&holder)?, _holder: holder })
    }

    /// The address that is held.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

fn bind(addr: SocketAddr, reuse_port: bool) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.bind(&addr.into()).with_context(|| format!("cannot bind {addr}"))?;
    Ok(socket)
}

fn local_addr(socket: &Socket) -> Result<SocketAddr> {
    socket.local_addr()?.as_socket().context("not an IP socket")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn a_port_is_shared_only_when_both_say_so() {
        let first = listen(any(), true).expect("a free port");
        let addr = first.local_addr().expect("bound");
        assert!(listen(addr, true).is_ok());
        assert!(listen(addr, false).is_err());
        assert!(ReservedPort::new(addr, false).is_err());
        assert_eq!(ReservedPort::new(addr, true).expect("shared").addr(), addr);
    }

    #[test]
    fn a_reserved_port_takes_no_connection() {
        let reserved = ReservedPort::new(any(), false).expect("a free port");
        assert!(std::net::TcpStream::connect(reserved.addr()).is_err());
        let listener = listen(reserved.addr(), true).expect("the reservation admits a listener");
        assert!(std::net::TcpStream::connect(listener.local_addr().expect("bound")).is_ok());
    }
}
