//! The meter of a host: tells whoever asks over a socket how much CPU time its servers have used. The client asks
//! at the edges of its slices, on this host or on another one.
//!
//! A question is a line, with a server's place for its clock and empty for those of all; the answer is a JSON list of
//! nanoseconds.

use super::messages::MeterSpec;
use super::process_tree::ProcessTree;
use crate::host::usage;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// A meter over the servers that take turns. It serves one client, until that closes its connection.
#[derive(Debug)]
pub(super) struct Meter {
    addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
    servers: Vec<(ProcessTree, Vec<i32>)>,
}

impl Meter {
    /// Begins to listen. A client on this host has its CPUs, so that no other CPU has to be woken for an answer. The
    /// processes that the servers have now are read: looking for others at each question would take longer than a slice
    /// may be delayed.
    ///
    /// # Errors
    /// In words, for the rows.
    pub(super) fn start(servers: Vec<ProcessTree>, spec: MeterSpec) -> Result<Meter, String> {
        let MeterSpec { ip, cpus } = spec;
        let failed = |error: io::Error| format!("the meter does not start: {error}");
        let listener = TcpListener::bind((ip, 0)).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let servers: Vec<(ProcessTree, Vec<i32>)> =
            servers.into_iter().map(|tree| (tree.clone(), sorted(tree.pids()))).collect();
        let pids: Vec<Vec<i32>> = servers.iter().map(|(_, pids)| pids.clone()).collect();
        let serve = move || {
            // Elsewhere it is slower, and answers all the same.
            if !cpus.list().is_empty() {
                _ = cpus.pin_this_thread();
            }
            if let Ok((stream, _)) = listener.accept() {
                // A client that is gone asks no more.
                _ = answer(&stream, &pids);
            }
        };
        let thread = thread::Builder::new().name("meter".into()).spawn(serve).map_err(failed)?;
        Ok(Meter { addr, thread: Some(thread), servers })
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether a server has other processes now than when the meter began: then its CPU time is not known. To be
    /// asked before they are told to end.
    pub(super) fn has_missed_any(&self, server: usize) -> bool {
        let (tree, pids) = &self.servers[server];
        sorted(tree.pids()) != *pids || pids.iter().any(|pid| usage::cpu_clock(*pid).is_none())
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Wakes it if nobody ever came.
        drop(TcpStream::connect(self.addr));
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn sorted(mut pids: Vec<i32>) -> Vec<i32> {
    pids.sort_unstable();
    pids
}

fn answer(stream: &TcpStream, pids: &[Vec<i32>]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut questions = BufReader::new(stream);
    let mut question = String::new();
    while questions.read_line(&mut question)? > 0 {
        let asked = match question.trim() {
            "" => pids,
            place => place.parse().ok().and_then(|at: usize| pids.get(at..=at)).unwrap_or_default(),
        };
        question.clear();
        let cpu = asked.iter().map(|pids| usage::cpu_time(pids).as_nanos() as u64);
        let mut line = serde_json::to_vec(&cpu.collect::<Vec<_>>())?;
        line.push(b'\n');
        (&mut &*stream).write_all(&line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cpus::Cpus;
    use std::net::Ipv4Addr;
    use std::process::Command;
    use std::time::Duration;

    fn spec(cpus: Cpus) -> MeterSpec {
        MeterSpec { ip: Ipv4Addr::LOCALHOST.into(), cpus }
    }

    fn ask(stream: &TcpStream, question: &str) -> Vec<u64> {
        (&mut &*stream).write_all(format!("{question}\n").as_bytes()).expect("it listens");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("a list")
    }

    #[test]
    fn a_meter_tells_the_cpu_time_of_each_server_at_each_question() {
        let own = nix::unistd::getpid().as_raw();
        let mut idle = Command::new("sleep").arg("60").spawn().expect("sleep");
        let trees = vec![ProcessTree::of(own), ProcessTree::of(idle.id().cast_signed())];
        let meter = Meter::start(trees, spec(Cpus::allowed().expect("affinity"))).expect("a port");
        let stream = TcpStream::connect(meter.addr()).expect("it listens");
        let before = ask(&stream, "");
        let start = usage::cpu_time(&[own]);
        while usage::cpu_time(&[own]) < start + Duration::from_millis(20) {}
        let (after, one, none) = (ask(&stream, ""), ask(&stream, "0"), ask(&stream, "2"));
        assert_eq!((before.len(), after.len(), one.len(), none.len()), (2, 2, 1, 0));
        assert!(one[0] >= after[0], "the first one's");
        assert!(after[0] - before[0] >= 20_000_000, "{before:?} {after:?}");
        assert!(after[1] - before[1] < after[0] - before[0], "each its own: {before:?} {after:?}");
        assert!(!meter.has_missed_any(1));
        idle.kill().expect("ours");
        idle.wait().expect("ours");
        assert!(meter.has_missed_any(1), "it has ended");
        drop(stream);
    }

    #[test]
    fn a_meter_that_nobody_asked_ends() {
        drop(Meter::start(Vec::new(), spec(Cpus::default())).expect("a port"));
    }
}
