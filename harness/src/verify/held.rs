//! Clients that only hold on: some that ask and never read, and thousands that say nothing.
//!
//! What is expected is no reply of a transcript. Everybody else is answered meanwhile, and those clients too, once they
//! read or ask. Each check is a case of its own, so that a manifest can declare a deviation from it.

use super::check::Difference;
use super::client::{Connection, Next};
use super::findings::{Aspect, Mismatch, Mode};
use super::options::Replay;
use anyhow::Result;
use std::thread;
use std::time::{Duration, Instant};

/// The case of clients that ask and never read.
const NEVER_READS: &str = "never-reads";
/// The case of connections on which nothing is said.
const IDLE: &str = "idle-connections";

/// The names of the cases.
pub(super) const CASES: [&str; 2] = [NEVER_READS, IDLE];

/// How many connections are idle where the limit of open files allows it.
pub const IDLE_CONNECTIONS: usize = 10_000;

/// How many clients never read.
const GREEDY: usize = 2;
/// What a client that never reads keeps in the kernel on its side, in bytes, before the kernel doubles it.
const OWN_BUFFER: usize = 64 << 10;
/// More bytes of requests from a client that reads nothing are in the server's own memory: the kernel's buffers of
/// a connection are a few MiB.
const MOST_TAKEN: usize = 32 << 20;
/// A server that takes nothing for this long has stopped.
const STALLED: Duration = Duration::from_millis(500);
/// Between two looks whether a server takes more.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

impl Replay<'_> {
    /// Does all of the checks: one mismatch for each aspect of each case that differs.
    pub(super) fn hold(&self, connections: usize) -> Vec<Mismatch> {
        let checks = [(NEVER_READS, self.never_reads()), (IDLE, self.idle(connections))];
        let mut found = Vec::new();
        for (case, outcome) in checks {
            let differences = outcome.unwrap_or_else(|error| {
                vec![Difference::new(Aspect::Connection, "one that can be used", format!("{error:#}"))]
            });
            found.extend(differences.into_iter().map(|Difference { aspect, expected, got }| Mismatch {
                case: case.to_owned(),
                mode: Mode::Whole,
                aspect,
                expected,
                got,
            }));
        }
        found
    }

    /// Asks without end and reads nothing: the server has to stop reading, to answer others meanwhile, and to answer
    /// everything once it is read.
    fn never_reads(&self) -> Result<Vec<Difference>> {
        let mut others = vec![Connection::open(self.addr, self.patience)?];
        let mut greedy = Vec::with_capacity(GREEDY);
        for _ in 0..GREEDY {
            greedy.push((Connection::open(self.addr, self.patience)?, 0));
        }
        let mut differences = self.stuff(&mut greedy)?;
        others.push(Connection::open(self.addr, self.patience)?);
        differences.extend(self.ask(&mut others));
        if differences.is_empty() {
            for (connection, taken) in greedy {
                differences.extend(self.reads_at_last(connection, taken / self.probe.send.len()));
                if !differences.is_empty() {
                    break;
                }
            }
        }
        Ok(differences)
    }

    /// Sends requests on each connection, noting the bytes, until the server takes no more of any.
    fn stuff(&self, greedy: &mut [(Connection, usize)]) -> Result<Vec<Difference>> {
        let requests = self.probe.send.repeat(1000);
        for (connection, _) in greedy.iter_mut() {
            connection.limit_buffers(OWN_BUFFER)?;
        }
        let mut moved = Instant::now();
        while moved.elapsed() < STALLED {
            for (connection, taken) in greedy.iter_mut() {
                // Goes on where the last request broke off.
                let rest = &requests.as_bytes()[*taken % self.probe.send.len()..];
                match connection.send_what_fits(rest)? {
                    0 => {}
                    more => {
                        *taken += more;
                        moved = Instant::now();
                    }
                }
                if *taken > MOST_TAKEN {
                    let got = format!("one that has taken {} MiB and goes on", *taken >> 20);
                    let expected = "a server that stops reading where its replies are not read";
                    return Ok(vec![Difference::new(Aspect::Backlog, expected, got)]);
                }
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        Ok(Vec::new())
    }

    /// Reads the replies to the `asked` requests that were sent as a whole.
    fn reads_at_last(&self, mut connection: Connection, asked: usize) -> Option<Difference> {
        let deadline = Instant::now() + 3 * self.patience;
        for read in 0..asked {
            let got = match connection.next(false, deadline) {
                Next::Reply(reply) if self.is_probes(&reply) => continue,
                Next::Reply(reply) => format!("{read}, then {}", reply.status_line),
                Next::End(_) => format!("{read}, and the end"),
                Next::Garbage(_) => format!("{read}, then bytes that are none"),
                Next::Nothing(_) => format!("{read}, then silence"),
            };
            return Some(Difference::new(Aspect::Responses, format!("{asked} replies"), got));
        }
        connection.has_more().then(|| {
            Difference::new(Aspect::Responses, format!("{asked} replies"), format!("{asked}, and more"))
        })
    }

    /// Opens so many connections and says nothing: others are answered meanwhile, and each of them is once it asks.
    fn idle(&self, connections: usize) -> Result<Vec<Difference>> {
        let mut idle = Vec::with_capacity(connections);
        for open in 0..connections {
            match Connection::open(self.addr, self.patience) {
                Ok(connection) => idle.push(connection),
                Err(error) => {
                    let expected = format!("{connections} open connections");
                    let got = format!("{open}, then: {error:#}");
                    return Ok(vec![Difference::new(Aspect::Connection, expected, got)]);
                }
            }
        }
        let other = || -> Result<Option<Difference>> {
            Ok(self.ask(&mut [Connection::open(self.addr, self.patience)?]))
        };
        let mut differences = Vec::from_iter(other()?);
        differences.extend(self.ask(&mut idle).map(|Difference { got, .. }| {
            let expected = format!("{connections} connections that are answered");
            Difference::new(Aspect::Responses, expected, got)
        }));
        // All of them leave at once.
        drop(idle);
        if differences.is_empty() {
            differences.extend(other()?);
        }
        Ok(differences)
    }
}
