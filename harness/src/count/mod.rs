//! Counting instead of timing: the instructions, allocations and system calls of a request, which no noise of the
//! machine moves.
//!
//! Each figure is a slope over two numbers of requests in one process: what is not a request's (connections, start-up)
//! is the same in both and cancels. Instructions are callgrind's; system calls are counted on a process of its own,
//! without valgrind. Servers have one worker.

pub mod callgrind;
pub mod instrument;
pub mod table;

use crate::agent::client::ClientHandle;
use crate::agent::handles::{Agent, ServerHandle};
use crate::agent::server::StartOptions;
use crate::experiment::quantity::Quantity;
use crate::experiment::workload::{LoadSpec, Part, ServerOptions, Workload};
use crate::host::cpus::Cpus;
use crate::host::usage;
use crate::record::column::round;
use crate::record::counts::{COUNTS_VERSION, CountRow, CrateRow, FunctionRow, LEFT_OUT};
use crate::run::target::{Managed, Target, answer_of};
use callgrind::Profile;
use contract::ready::ReadyLine;
use instrument::{SyscallCounter, counted, settle, valgrind};
use load::Strategy;
use load::protocol::{Amount, Arrivals, Client, Connections, Driver, Load, Order, Orders, Share};
use load::schedule::Arrival;
use stats::median;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a request may take, with valgrind in its way.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much slower a server computes under callgrind, and starts, at the most.
const SLOWER: u32 = 40;
/// How long the larger number of requests is to take.
const WINDOW: Duration = Duration::from_secs(1);
/// A cell of which a single repeat would take longer is left out.
const TOO_LONG: Duration = Duration::from_secs(5);
/// No more requests than that are needed, however cheap.
const MOST: u64 = 2000;
/// Values that are further apart are of two modes.
const MODES_APART: f64 = 0.02;

/// A cell: one server on one route over so many connections.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The agent of the host that it is counted on.
    pub agent: Agent,
    /// The server, built.
    pub managed: Managed,
    /// A path with its query, or the name of a route that a manifest declares.
    pub route: String,
    /// Connections with a request in flight each.
    pub connections: usize,
}

/// The instructions per request from which on a function has a row.
const FEW: f64 = 10.0;

/// What a cell's counting gave: its rows, and the profile of a request for whoever asks for functions.
#[derive(Debug, Clone)]
pub struct Counted {
    /// The row of `counts.csv`.
    pub row: CountRow,
    /// The rows of `counts_by_crate.csv`.
    pub crates: Vec<CrateRow>,
    /// The rows of `counts_by_function.csv`.
    pub functions: Vec<FunctionRow>,
    /// A request's profile, of the repeat whose instructions are the median.
    pub profile: Profile,
}

/// One repeat.
struct Repeat {
    profile: Profile,
    syscalls: f64,
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

impl Cell {
    /// What is counted. It is a closed loop without a time, whose cost per request is the same for any number of
    /// requests.
    fn workload(&self) -> Workload {
        let load = LoadSpec {
            name: Strategy::ClosedLoop.to_string(),
            strategy: Strategy::ClosedLoop,
            route: self.route.clone(),
            requests: None,
            concurrency: Some(Quantity::from(self.connections as f64)),
            rate: None,
            arrival: Arrival::default(),
            background: false,
        };
        let server = ServerOptions { workers: Some(Quantity::from(1.0)), ..ServerOptions::default() };
        Workload { server, loads: vec![load], phases: Vec::new(), rounds: None, levels: BTreeMap::new() }
    }

    /// The row, without its figures.
    fn row(&self) -> CountRow {
        let (workload, part) = (self.workload(), Part { load: 0, phase: 0 });
        let def = &self.managed.def;
        CountRow {
            schema_version: COUNTS_VERSION,
            server: def.name.clone(),
            role: def.role.name().to_owned(),
            // Where a timed row has its placement: the two are never compared.
            workload_id: workload.id(part, "counted"),
            workload: workload.label(part),
            route: self.route.clone(),
            connections: self.connections,
            ..CountRow::default()
        }
    }

    /// Counts it `repeats` times, each time with fresh processes. What goes wrong is in the row.
    pub fn count(&mut self, syscalls: Option<SyscallCounter>, repeats: usize) -> Counted {
        let mut row = CountRow { repeats, ..self.row() };
        row.syscalls_by = syscalls.map_or("", SyscallCounter::name).to_owned();
        match self.repeats(syscalls, repeats, &mut row) {
            Ok(mut all) => {
                all.sort_by(|a, b| a.profile.total().total_cmp(&b.profile.total()));
                summarise(row, all)
            }
            Err(error) => {
                row.error = error;
                Counted { row, crates: Vec::new(), functions: Vec::new(), profile: Profile::default() }
            }
        }
    }

    fn repeats(
        &mut self,
        counter: Option<SyscallCounter>,
        repeats: usize,
        row: &mut CountRow,
    ) -> Result<Vec<Repeat>, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no folder for callgrind: {error}"))?;
        let mut chosen = None;
        let mut all = Vec::new();
        for _ in 0..repeats {
            let server = self.start(Vec::new())?;
            if chosen.is_none() {
                row.note(server.started().ready.as_ref());
                self.managed.probed = server.probe_declared(TIMEOUT)?;
                chosen = Some(self.choose(&server)?);
            }
            let Some(Chosen { in_valgrind, natively: Requests { few, many } }) = chosen else { break };
            let mut syscalls = f64::NAN;
            if let Some(counter) = counter {
                // What happens only once is no part of either window.
                self.ask(server.addr(), few)?;
                let of = |n| {
                    let pids = server.pids()?;
                    settle(&pids);
                    counter.count(folder.path(), &pids, || self.ask(server.addr(), n))
                };
                let (fewer, more) = (of(few)?, of(many)?);
                syscalls = (more - fewer) / (many - few) as f64;
            }
            drop(server);

            let Requests { few, many } = in_valgrind;
            row.requests = many;
            let server = self.start(valgrind(folder.path()))?;
            let ask = |n| self.ask(server.addr(), n).map_err(|problem| under_valgrind(&problem));
            // A server whose system calls valgrind does not know never answers. That is known after one request on
            // each connection, and not after the timeouts of all.
            ask(self.connections as u64)?;
            let of = |n| {
                ask(n)?;
                let pids = server.pids()?;
                settle(&pids);
                counted(folder.path(), &pids)
            };
            of(few)?;
            let (fewer, more) = (of(few)?, of(many)?);
            all.push(Repeat { profile: fewer.slope(&more, (many - few) as f64), syscalls });
        }
        Ok(all)
    }

    fn start(&self, under: Vec<String>) -> Result<ServerHandle, String> {
        let mut def = self.managed.def.clone();
        if !under.is_empty() {
            def.start_limit *= SLOWER;
        }
        let options = StartOptions { workers: Some(1), under, ..StartOptions::default() };
        self.agent.start_server(&def, self.managed.program.as_deref(), 1, &options)
    }

    /// Chooses the numbers of requests by what they take without valgrind.
    fn choose(&self, server: &ServerHandle) -> Result<Chosen, String> {
        let connections = self.connections as u64;
        let mut n = 2 * connections;
        loop {
            let (cpu, start) = (usage::cpu_time(&server.pids()?), Instant::now());
            self.ask(server.addr(), n)?;
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

    /// Has a client make `n` requests, over connections of its own.
    fn ask(&self, addr: SocketAddr, n: u64) -> Result<(), String> {
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
                arrivals: Arrivals::Closed { in_flight: self.connections },
                connections: Connections::Kept(self.connections),
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
        match (part.fates.ok == n, part.connects == self.connections as u64) {
            (true, true) => Ok(()),
            (true, false) => Err(format!(
                "the server does not keep connections: {} for {n} requests over {}",
                part.connects, self.connections
            )),
            _ => Err(report
                .first_error
                .unwrap_or_else(|| format!("{} of {n} requests were answered", part.fates.ok))),
        }
    }
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

/// Makes the rows of repeats, which are in the order of their instructions.
fn summarise(mut row: CountRow, mut all: Vec<Repeat>) -> Counted {
    let sorted = |of: fn(&Repeat) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let instructions = sorted(|repeat| repeat.profile.total());
    let (allocations, syscalls) =
        (sorted(|repeat| repeat.profile.allocations), sorted(|repeat| repeat.syscalls));
    let of = |sorted: &[f64]| {
        [median(sorted), sorted.first().copied(), sorted.last().copied()].map(|v| v.map(|v| round(v, 3)))
    };
    [row.instructions_per_request, row.instructions_per_request_min, row.instructions_per_request_max] =
        of(&instructions);
    [row.allocations_per_request, row.allocations_per_request_min, row.allocations_per_request_max] =
        of(&allocations);
    [row.syscalls_per_request, row.syscalls_per_request_min, row.syscalls_per_request_max] = of(&syscalls);
    row.modes = modes(&instructions);
    // The one in the middle, so that its parts add up.
    let profile = match all.len() {
        0 => Profile::default(),
        n => all.swap_remove((n - 1) / 2).profile,
    };
    row.top_functions = profile.top();
    let total = profile.total();
    let crate_row = |(name, cost): (String, f64)| CrateRow {
        schema_version: COUNTS_VERSION,
        server: row.server.clone(),
        workload_id: row.workload_id.clone(),
        route: row.route.clone(),
        connections: row.connections,
        crate_name: name,
        instructions_per_request: round(cost, 3),
        share: round(cost / total, 4),
    };
    let crates =
        profile.by_crate().into_iter().filter(|(_, cost)| cost.abs() >= 0.5).map(crate_row).collect();
    let function_row = |(name, cost): (String, f64)| FunctionRow {
        schema_version: COUNTS_VERSION,
        server: row.server.clone(),
        workload_id: row.workload_id.clone(),
        route: row.route.clone(),
        connections: row.connections,
        function: name,
        instructions_per_request: round(cost, 1),
    };
    let functions = profile.by_function().into_iter().filter(|(_, cost)| cost.abs() >= FEW);
    let functions = functions.map(function_row).collect();
    Counted { row, crates, functions, profile }
}

/// Says in words where sorted values are, if there are several clusters of them: a gap of more than 2% parts two.
fn modes(sorted: &[f64]) -> String {
    let clusters: Vec<&[f64]> = sorted.chunk_by(|a, b| b - a <= MODES_APART * a.abs()).collect();
    let middle = |cluster: &&[f64]| median(cluster).unwrap_or_default();
    match clusters.as_slice() {
        [] | [_] => String::new(),
        [low, high] => format!("{:.0} or {:.0}", middle(low), middle(high)),
        [low, .., high] => format!("{:.0} to {:.0}", middle(low), middle(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_requests_are_made_as_there_is_time_for() {
        let of =
            |each, connections| (Requests::of(each, connections).few, Requests::of(each, connections).many);
        assert_eq!((of(1e-6, 1), of(0.01, 1), of(10.0, 1)), ((250, 2000), (12, 100), (2, 4)));
        assert_eq!((of(0.01, 64), of(1e-6, 1000)), ((128, 256), (2000, 4000)));
    }

    #[test]
    fn values_that_are_apart_are_modes() {
        assert_eq!(modes(&[1000.0, 1010.0, 1015.0]), "");
        assert_eq!(modes(&[1000.0, 1010.0, 1200.0]), "1005 or 1200");
        assert_eq!(modes(&[1000.0, 1200.0, 1400.0]), "1000 to 1400");
        assert_eq!(modes(&[]), "");
    }

    #[test]
    fn a_row_has_the_median_and_the_ends_and_its_crates_add_up() {
        let repeat = |cost: u32, syscalls: f64| {
            let mut profile = Profile::default();
            profile
                .add(&format!("ob=/srv/rt-x\nfl=???\nfn=f\n1 {cost}\nfl=a.rs\n2 50\n"))
                .expect("callgrind's");
            Repeat { profile, syscalls }
        };
        let all = vec![repeat(100, 2.0), repeat(101, 2.5), repeat(150, f64::NAN)];
        let counted = summarise(CountRow::default(), all);
        let row = &counted.row;
        assert_eq!(row.instructions_per_request, Some(151.0));
        assert_eq!(
            (row.instructions_per_request_min, row.instructions_per_request_max),
            (Some(150.0), Some(200.0))
        );
        assert_eq!((row.syscalls_per_request, row.modes.as_str()), (Some(2.25), "150 or 200"));
        let names: Vec<&str> = counted.crates.iter().map(|c| c.crate_name.as_str()).collect();
        let sum: f64 = counted.crates.iter().map(|c| c.instructions_per_request).sum();
        assert_eq!((names, sum), (vec!["rt-x", "ours"], 151.0));
        assert_eq!(row.top_functions, "f 100.0%");
    }
}
