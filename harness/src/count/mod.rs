//! Counting instead of timing: the instructions, allocations and system calls of a request, which no noise of the
//! machine moves.
//!
//! Each figure is a slope over two numbers of requests in one process: what is not a request's (connections, start-up)
//! is the same in both and cancels. Instructions are callgrind's; system calls are counted on a process of its own,
//! without valgrind. Servers have one worker.

pub mod callgrind;
pub mod instrument;
pub mod rows;
pub mod table;

use crate::agent::client::ClientHandle;
use crate::agent::handles::{Agent, ServerHandle};
use crate::agent::server::StartOptions;
use crate::experiment::quantity::Quantity;
use crate::experiment::server::ServerDef;
use crate::experiment::workload::{LoadSpec, Part, ServerOptions, Workload};
use crate::host::cpus::Cpus;
use crate::host::usage;
use crate::record::counts::{COUNTS_VERSION, CountRow, LEFT_OUT};
use crate::run::target::{Managed, Target, answer_of};
use callgrind::Profile;
use contract::ready::ReadyLine;
use instrument::{SyscallCounter, counted, settle, valgrind};
use load::Strategy;
use load::protocol::{Amount, Arrivals, Client, Connections, Driver, Load, Order, Orders, Share};
use load::schedule::Arrival;
use rows::{Counted, Repeat, summarise};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a request may take, with valgrind in its way.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much slower a server computes under callgrind, and starts, at the most.
const SLOWER: u32 = 40;
/// How long any server may take to start in valgrind.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long the larger number of requests is to take.
const WINDOW: Duration = Duration::from_millis(500);
/// A cell of which a single repeat would take longer is left out.
const TOO_LONG: Duration = Duration::from_secs(5);
/// How often a window is tried that has to use every connection.
const ATTEMPTS: usize = 10;
/// No more requests than that are needed, however cheap.
const MOST: u64 = 2000;

/// The cells of one server on one route, one for each number of connections. They share the processes of a repeat.
#[derive(Debug, Clone)]
pub struct Cells {
    /// The agent of the host that they are counted on.
    pub agent: Agent,
    /// The server, built.
    pub managed: Managed,
    /// A path with its query, or the name of a route that a manifest declares.
    pub route: String,
    /// Connections with a request in flight each, a cell for each number.
    pub connections: Vec<usize>,
}

/// A cell while it is counted.
struct Counting {
    /// Without its figures. What went wrong is in it, and ends the cell.
    row: CountRow,
    chosen: Option<Chosen>,
    /// Of the repeat under way.
    syscalls: f64,
    repeats: Vec<Repeat>,
}

/// The two numbers of requests of a slope.
#[derive(Debug, Clone, Copy)]
struct Requests {
    few: u64,
    many: u64,
}

/// What each instrument has time for.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    in_valgrind: Requests,
    natively: Requests,
}

impl Requests {
    /// As many as fit into the window if one takes `each` seconds, and enough for every connection.
    fn of(each: f64, connections: u64) -> Requests {
        let least = 4 * connections;
        let many = ((WINDOW.as_secs_f64() / each) as u64).clamp(least, MOST.max(least));
        Requests { few: (many / 8).max(2 * connections), many }
    }
}

impl Counting {
    /// Does a step of a cell that nothing went wrong with so far. Returns true if it failed.
    fn step(&mut self, step: impl FnOnce(&mut Counting) -> Result<(), String>) -> bool {
        if self.row.error.is_empty()
            && let Err(problem) = step(self)
        {
            self.row.error = problem;
            return self.row.has_failed();
        }
        false
    }

    fn end(mut self) -> Counted {
        if self.row.error.is_empty() {
            self.repeats.sort_by(|a, b| a.profile.total().total_cmp(&b.profile.total()));
            return summarise(self.row, self.repeats);
        }
        Counted { row: self.row, crates: Vec::new(), functions: Vec::new(), profile: Profile::default() }
    }
}

impl Cells {
    /// What is counted. It is a closed loop without a time, whose cost per request is the same for any number of
    /// requests.
    fn workload(&self, connections: usize) -> Workload {
        let load = LoadSpec {
            name: Strategy::ClosedLoop.to_string(),
            strategy: Strategy::ClosedLoop,
            route: self.route.clone(),
            requests: None,
            concurrency: Some(Quantity::from(connections as f64)),
            rate: None,
            arrival: Arrival::default(),
            background: false,
        };
        let server = ServerOptions { workers: Some(Quantity::from(1.0)), ..ServerOptions::default() };
        Workload { server, loads: vec![load], phases: Vec::new(), rounds: None, levels: BTreeMap::new() }
    }

    /// The row of a cell, without its figures.
    fn row(&self, connections: usize) -> CountRow {
        let (workload, part) = (self.workload(connections), Part { load: 0, phase: 0 });
        let def = &self.managed.def;
        CountRow {
            schema_version: COUNTS_VERSION,
            server: def.name.clone(),
            role: def.role.name().to_owned(),
            // Where a timed row has its placement: the two are never compared.
            workload_id: workload.id(part, "counted"),
            workload: workload.label(part),
            route: self.route.clone(),
            connections,
            ..CountRow::default()
        }
    }

    /// Counts them `repeats` times, each time with fresh processes. What goes wrong is in the rows.
    pub fn count(&mut self, syscalls: Option<SyscallCounter>, repeats: usize) -> Vec<Counted> {
        let begin = |connections: &usize| {
            let syscalls_by = syscalls.map_or("", SyscallCounter::name).to_owned();
            let row = CountRow { repeats, syscalls_by, ..self.row(*connections) };
            Counting { row, chosen: None, syscalls: f64::NAN, repeats: Vec::new() }
        };
        let mut cells: Vec<Counting> = self.connections.iter().map(begin).collect();
        if let Err(problem) = self.repeats(syscalls, repeats, &mut cells) {
            cells.iter_mut().for_each(|cell| _ = cell.step(|_| Err(problem.clone())));
        }
        cells.into_iter().map(Counting::end).collect()
    }

    fn repeats(
        &mut self,
        counter: Option<SyscallCounter>,
        repeats: usize,
        cells: &mut [Counting],
    ) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no folder for callgrind: {error}"))?;
        for repeat in 0..repeats {
            let begun = Instant::now();
            let mut server = self.start()?;
            let limit = (SLOWER * begun.elapsed()).max(START_LIMIT);
            if repeat == 0 {
                cells.iter_mut().for_each(|cell| cell.row.note(server.started().ready.as_ref()));
                self.managed.probed = server.probe_declared(TIMEOUT)?;
            }
            for cell in &mut *cells {
                if cell.step(|cell| self.natively(&server, counter, folder.path(), cell)) {
                    // What it left behind is no other cell's.
                    server = self.start()?;
                }
            }
            drop(server);
            if cells.iter().all(|cell| !cell.row.error.is_empty()) {
                break;
            }
            let mut server = self.start_in_valgrind(folder.path(), limit)?;
            for cell in &mut *cells {
                if cell.step(|cell| self.in_valgrind(&server, folder.path(), cell)) {
                    server = self.start_in_valgrind(folder.path(), limit)?;
                }
            }
        }
        Ok(())
    }

    /// Chooses how many requests are made, the first time, and counts system calls.
    fn natively(
        &self,
        server: &ServerHandle,
        counter: Option<SyscallCounter>,
        folder: &Path,
        cell: &mut Counting,
    ) -> Result<(), String> {
        let connections = cell.row.connections;
        let chosen = match cell.chosen {
            Some(chosen) => chosen,
            None => *cell.chosen.insert(self.choose(server, connections)?),
        };
        let Requests { few, many } = chosen.natively;
        if let Some(counter) = counter {
            // What happens only once is no part of either window.
            self.ask(server.addr(), connections, few)?;
            let of = |n| {
                with_every_connection(|| {
                    let pids = server.pids()?;
                    settle(&pids);
                    let mut every = false;
                    let ask = || self.ask(server.addr(), connections, n).map(|used| every = used);
                    let calls = counter.count(folder, &pids, ask)?;
                    Ok((calls, every))
                })
            };
            let (fewer, more) = (of(few)?, of(many)?);
            cell.syscalls = (more - fewer) / (many - few) as f64;
        }
        Ok(())
    }

    /// Counts instructions.
    fn in_valgrind(&self, server: &ServerHandle, folder: &Path, cell: &mut Counting) -> Result<(), String> {
        let connections = cell.row.connections;
        let Some(Chosen { in_valgrind: Requests { few, many }, .. }) = cell.chosen else { return Ok(()) };
        cell.row.requests = many;
        let ask = |n| self.ask(server.addr(), connections, n).map_err(|problem| under_valgrind(&problem));
        // A server whose system calls valgrind does not know never answers. That is known after one request on
        // each connection, and not after the timeouts of all.
        ask(connections as u64)?;
        let of = |n| {
            with_every_connection(|| {
                let every = ask(n)?;
                let pids = server.pids()?;
                settle(&pids);
                Ok((counted(folder, &pids)?, every))
            })
        };
        of(few)?;
        let (fewer, more) = (of(few)?, of(many)?);
        let profile = fewer.slope(&more, (many - few) as f64);
        cell.repeats.push(Repeat { profile, syscalls: cell.syscalls });
        Ok(())
    }

    fn start(&self) -> Result<ServerHandle, String> {
        self.start_as(&self.managed.def, Vec::new())
    }

    /// Starts it in valgrind, within `limit`: one whose system calls valgrind does not know may wait for ever.
    fn start_in_valgrind(&self, folder: &Path, limit: Duration) -> Result<ServerHandle, String> {
        let mut def = self.managed.def.clone();
        def.start_limit = limit;
        self.start_as(&def, valgrind(folder)).map_err(|problem| under_valgrind(&problem))
    }

    fn start_as(&self, def: &ServerDef, under: Vec<String>) -> Result<ServerHandle, String> {
        let options = StartOptions { workers: Some(1), under, ..StartOptions::default() };
        self.agent.start_server(def, self.managed.program.as_deref(), 1, &options)
    }

    /// Chooses the numbers of requests by what they take without valgrind.
    fn choose(&self, server: &ServerHandle, in_flight: usize) -> Result<Chosen, String> {
        let connections = in_flight as u64;
        let mut n = 2 * connections;
        loop {
            let (cpu, start) = (usage::cpu_time(&server.pids()?), Instant::now());
            self.ask(server.addr(), in_flight, n)?;
            let wall = start.elapsed();
            let cpu = usage::cpu_time(&server.pids()?).saturating_sub(cpu);
            if wall < WINDOW / 10 && n < MOST {
                n *= 4;
                continue;
            }
            let each = (wall.saturating_sub(cpu) + cpu * SLOWER).as_secs_f64() / n as f64;
            let in_valgrind = Requests::of(each, connections);
            let many = in_valgrind.many;
            if each * many as f64 > TOO_LONG.as_secs_f64() {
                return Err(format!(
                    "{LEFT_OUT}{many} requests would take {:.0} s under valgrind; ask for less work or fewer \
                     connections",
                    each * many as f64
                ));
            }
            return Ok(Chosen {
                in_valgrind,
                natively: Requests::of(wall.as_secs_f64() / n as f64, connections),
            });
        }
    }

    /// Has a client make `n` requests, over so many connections of its own at the most. Returns true if it opened
    /// them all: where others were quick, the last one may find nothing left to ask.
    fn ask(&self, addr: SocketAddr, connections: usize, n: u64) -> Result<bool, String> {
        let target = Target::Managed(Box::new(self.managed.clone()));
        let (request, expect) = answer_of(&target, &self.route)?;
        let order = Order {
            addr,
            host: addr.to_string(),
            request,
            expect,
            timeout: TIMEOUT,
            load: Load {
                client: Client::Hyper,
                arrivals: Arrivals::Closed { in_flight: connections },
                connections: Connections::Kept(connections),
                amount: Amount::Requests(n),
            },
            seed: 1,
            share: Share::default(),
            driver: Driver::default(),
            cpus: Vec::new(),
            spin: Duration::ZERO,
            mutation: None,
        };
        let orders = Orders::Load(Box::new(order));
        let mut client = ClientHandle::start(&self.agent, orders, &Cpus::allowed()?)?;
        client.wait_until_ready()?;
        client.go();
        let report = client.report(|_| true)?;
        let part = report.parts.first().ok_or("the client reported nothing")?;
        let (opened, all) = (part.connects, connections as u64);
        match (part.fates.ok == n, opened <= all) {
            (true, true) => Ok(opened == all),
            (true, false) => {
                Err(format!("the server does not keep connections: {opened} for {n} requests over {all}"))
            }
            _ => Err(report
                .first_error
                .unwrap_or_else(|| format!("{} of {n} requests were answered", part.fates.ok))),
        }
    }
}

/// Counts in a window in which every connection was used, as `window` says beside its count. A slope would take the
/// opening of one that only the larger window used for the work of requests.
fn with_every_connection<T>(mut window: impl FnMut() -> Result<(T, bool), String>) -> Result<T, String> {
    for _ in 0..ATTEMPTS {
        if let (counted, true) = window()? {
            return Ok(counted);
        }
    }
    Err("not every connection was used: count on a machine with less to do".into())
}

/// A server that works, but not in valgrind, is most likely one whose system calls valgrind does not know.
fn under_valgrind(problem: &str) -> String {
    format!("under valgrind: {problem}")
}

impl CountRow {
    fn note(&mut self, ready: Option<&ReadyLine>) {
        if let Some(ready) = ready {
            self.runtime.clone_from(&ready.runtime);
            self.runtime_version.clone_from(&ready.runtime_version);
            self.http_stack.clone_from(&ready.http_stack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_ends_a_cell_and_is_a_failure_unless_it_is_left_out() {
        let begin =
            || Counting { row: CountRow::default(), chosen: None, syscalls: f64::NAN, repeats: Vec::new() };
        let (mut cell, mut other) = (begin(), begin());
        assert!(!cell.step(|_| Ok(())) && cell.step(|_| Err("it died".into())));
        assert!(!cell.step(|_| unreachable!("it has ended")));
        assert_eq!(cell.end().row.error, "it died");
        assert!(!other.step(|_| Err(format!("{LEFT_OUT}too much"))));
        assert!(!other.row.error.is_empty());
    }

    #[test]
    fn a_window_that_left_a_connection_out_is_counted_again() {
        let mut used = [false, true].into_iter();
        let counted = with_every_connection(|| Ok((used.len(), used.next().expect("two windows"))));
        assert_eq!((counted, used.len()), (Ok(1), 0));
        let problem = with_every_connection(|| Ok(((), false))).expect_err("never all of them");
        assert!(problem.starts_with("not every connection was used"), "{problem}");
        assert_eq!(with_every_connection::<()>(|| Err("it died".into())), Err("it died".into()));
    }

    #[test]
    fn as_many_requests_are_made_as_there_is_time_for() {
        let of =
            |each, connections| (Requests::of(each, connections).few, Requests::of(each, connections).many);
        assert_eq!((of(1e-6, 1), of(0.01, 1), of(10.0, 1)), ((250, 2000), (6, 50), (2, 4)));
        assert_eq!((of(0.01, 64), of(1e-6, 1000)), ((128, 256), (2000, 4000)));
    }
}
