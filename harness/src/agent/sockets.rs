//! Who listens on a port, read from /proc: a port that someone else serves is never measured.

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// Who listens on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Nobody.
    Nobody,
    /// Only the processes that were asked about.
    Ours,
    /// Some other process, alone or together with them.
    Others,
}

/// Who listens on `port`: `pids`, or somebody else?
///
/// `pids` is asked after the sockets are listed, so that a process that has just been started and has
/// just begun to listen is among them.
pub fn listening(port: u16, pids: impl FnOnce() -> Vec<i32>) -> Listening {
    let inodes: Vec<u64> = procfs::net::tcp()
        .into_iter()
        .chain(procfs::net::tcp6())
        .flatten()
        .filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port)
        .map(|entry| entry.inode)
        .collect();
    if inodes.is_empty() {
        return Listening::Nobody;
    }
    let ours: HashSet<u64> = pids()
        .into_iter()
        .filter_map(|pid| Process::new(pid).ok()?.fd().ok())
        .flatten()
        .filter_map(|fd| match fd.ok()?.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    if inodes.iter().all(|inode| ours.contains(inode)) { Listening::Ours } else { Listening::Others }
}

/// A port of an address that was free a moment ago, for servers that cannot be told to take a free one.
/// Whoever uses it has to check with [`listening`] that the server really got it.
///
/// # Errors
/// No port is free.
pub fn free_port(ip: IpAddr) -> std::io::Result<SocketAddr> {
    TcpListener::bind((ip, 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn ports_are_told_apart_by_who_listens() {
        let own = nix::unistd::getpid().as_raw();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(listening(port, || vec![own]), Listening::Ours);
        assert_eq!(listening(port, Vec::new), Listening::Others);
        drop(listener);
        assert_eq!(listening(port, || vec![own]), Listening::Nobody);
    }
}
