//! One replicate: a fresh server, fresh clients, and a row for each measured load in each measured phase.

mod observe;
mod of_turns;
mod rows;
pub mod turns;

use crate::agent::attest;
use crate::agent::client::ClientHandle;
use crate::agent::handles::ServerHandle;
use crate::agent::placement::{Placed, Placing};
use crate::agent::server::StartOptions;
use crate::agent::window::Used;
use crate::experiment::model::Compare;
use crate::experiment::plan;
use crate::experiment::quantity::Known;
use crate::experiment::search::Keep;
use crate::experiment::workload::{Part, Scenario, Workload};
use crate::record::row::Row;
use crate::run::accounts::HostShares;
use crate::run::hosts::Hosts;
use crate::run::scheduler::Step;
use crate::run::target::{Managed, Running, Target, answer_of};
use load::protocol::{Driver, Load, Mutation, Order, Orders, PartReport, Report};
use of_turns::OfTurns;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a request of a load in the background may take: a fib/42 takes a server in Python minutes, and such
/// a load is not timed, only ended.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// What is the same for every replicate of a run.
#[derive(Debug)]
pub struct Setting {
    /// The hosts, each with its agent.
    pub hosts: Hosts,
    /// How long the network between the server's host and the clients' takes, in µs; `None` where there is none.
    pub network_floor_us: Option<f64>,
    /// The run's directory name.
    pub run_id: String,
    /// The experiment's name.
    pub experiment: String,
    /// What decides the order and the arrivals.
    pub seed: u64,
    /// How long one request may take.
    pub timeout: Duration,
    /// What servers are started with.
    pub start: StartOptions,
    /// How the load engine talks to the kernel.
    pub driver: Driver,
    /// Which CPUs everybody gets.
    pub placing: Placing,
    /// A deliberate fault of the load engine's, for the selftest.
    pub mutation: Option<Mutation>,
}

/// What one replicate is about.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The server.
    pub target: &'a Target,
    /// Its name in the rows.
    pub name: &'a str,
    /// What happens to it.
    pub workload: &'a Workload,
    /// The same at the baseline of the compared factor.
    pub base: &'a Workload,
    /// What is compared within its group.
    pub compare: &'a Compare,
    /// The bound of a search that it is a trial of.
    pub keep: Option<Keep>,
    /// The step of the run that it is.
    pub step: &'a Step,
    /// What decides the arrivals of a known answer; otherwise the run, the block and the workload do.
    pub arrivals: Option<u64>,
}

/// The rows of a replicate, where their requests went, and how bad what happened is.
#[derive(Debug)]
pub struct Outcome {
    /// One for each measured load and phase, in the order of [`Workload::parts`]. Each with what its client
    /// reported, with the histograms behind the row; `None` where it did not.
    pub rows: Vec<(Row, Option<PartReport>)>,
    /// The URL that was measured, for the progress line.
    pub url: String,
    /// Whether a server or the environment failed, which is worse than failed requests.
    pub broken: bool,
    /// How long judging it took.
    pub judging: Duration,
}

/// Runs a task once. Whatever happens becomes part of the rows.
pub fn run(setting: &Setting, task: Task<'_>) -> Outcome {
    let mut replicate = Replicate::new(setting, task);
    let done = match task.target {
        Target::Managed(managed) => replicate.managed(managed),
        Target::Running(running) => replicate.running(running),
    };
    replicate.note(done.err());
    replicate.finish()
}

/// A replicate under way.
struct Replicate<'a> {
    setting: &'a Setting,
    task: Task<'a>,
    placed: Placed,
    known: Known,
    parts: Vec<Part>,
    /// What went wrong with the server or the environment.
    problems: Vec<String>,
    /// What the clients do, by the loads' places; `None` for a load of nobody.
    loads: Vec<Option<Load>>,
    /// What all its rows have in common.
    common: Row,
    /// What was seen of each part.
    measured: Vec<Option<Measured>>,
    url: String,
}

/// What was seen of a measured load in a measured phase.
struct Measured {
    report: PartReport,
    used: Option<Used>,
    /// What others did on the hosts of the clients, where these are not the server's.
    elsewhere: Vec<HostShares>,
    peak_memory: Option<u64>,
    first_error: Option<String>,
    gave_up: Option<String>,
    of_turns: Option<OfTurns>,
}

/// A load in the background under way.
struct Held {
    /// The place of its host among those of clients.
    place: usize,
    client: ClientHandle,
}

impl<'a> Replicate<'a> {
    fn new(setting: &'a Setting, task: Task<'a>) -> Replicate<'a> {
        let engine = task.workload.is_engine();
        let placed = match task.target {
            Target::Managed(_) => setting.placing.of_started(engine),
            Target::Running(_) => setting.placing.of(engine),
        };
        let known = Known { cpus: Some(placed.server.list().len()).filter(|n| *n > 0), ..task.step.known };
        let url = format!("http://{}{}", task.target.name(), task.workload.loads[0].route);
        let parts = task.workload.parts();
        let measured = parts.iter().map(|_| None).collect();
        let (problems, loads, common) = (Vec::new(), Vec::new(), Row::default());
        let mut replicate =
            Replicate { setting, task, placed, known, parts, problems, loads, common, measured, url };
        replicate.common = replicate.new_row();
        replicate
    }
}

impl Replicate<'_> {
    /// Takes note of what went wrong, once: of an agent that is gone everybody says the same.
    fn note(&mut self, problem: Option<String>) {
        self.problems.extend(problem.filter(|problem| !self.problems.contains(problem)));
    }

    fn managed(&mut self, managed: &Managed) -> Result<(), String> {
        let server = self.start(managed)?;
        let (addr, host) = (server.addr(), server.addr().to_string());
        let done = self.measure(addr, &host, Some(&server));
        let threads = self.measured.iter().flatten().filter_map(|m| m.used.as_ref()?.threads).max();
        self.problems.extend(done.err());
        self.problems.extend(attest::workers(self.common.worker_threads, threads));
        // Requests in the background are cut off in the middle: the server need not finish them.
        let cut_off = self.task.workload.loads.iter().any(|load| load.background);
        server.stop(cut_off)
    }

    /// Starts the server, and takes over what it says of itself.
    fn start(&mut self, managed: &Managed) -> Result<ServerHandle, String> {
        if let Some(reason) = &managed.refused {
            return Err(reason.clone());
        }
        let Scenario { processes, workers, blocking_threads } = self.task.workload.scenario(&self.known)?;
        self.common.processes = processes;
        let mut start = self.setting.start.clone();
        start.cpus = Some(self.placed.server.clone());
        start.ip = self.setting.hosts.address();
        start.workers = workers.or(start.workers);
        start.blocking_threads = blocking_threads.or(start.blocking_threads);
        let host = self.setting.hosts.server();
        self.common.server_host.clone_from(&host.name);
        let server = host.agent.start_server(&managed.def, managed.program.as_deref(), processes, &start)?;
        let started = server.started();
        self.common.worker_threads = started.worker_threads;
        self.common.blocking_threads = started.blocking_threads;
        if let Some(ready) = &started.ready {
            self.common.runtime = ready.runtime.clone();
            self.common.runtime_version = ready.runtime_version.clone();
            self.common.flavor = ready.flavor.clone();
            self.common.http_stack = ready.http_stack.clone();
        }
        // A server without threads for tasks has a thread for each connection: its CPUs count.
        self.known.workers = started.worker_threads.or(self.known.cpus);
        self.url = format!("http://{}{}", server.addr(), self.task.workload.loads[0].route);
        Ok(server)
    }

    fn running(&mut self, running: &Running) -> Result<(), String> {
        self.common.processes = self.task.workload.scenario(&self.known)?.processes;
        self.measure(running.addr, &running.name, None)
    }

    /// Lets the clients carry out their loads: those in the background begin before the first measured request
    /// and end after the last. One that broke off in the meantime is a problem.
    fn measure(&mut self, addr: SocketAddr, host: &str, server: Option<&ServerHandle>) -> Result<(), String> {
        let specs = &self.task.workload.loads;
        self.know_loads()?;
        let mut background = Vec::new();
        for (index, load) in self.loads.iter().enumerate().filter(|(index, _)| specs[*index].background) {
            let Some(load) = load else { continue };
            let failed = |problem| format!("interference failed: {problem}");
            for (place, order) in self.orders(addr, host, index, load)?.into_iter().enumerate() {
                let mut client = self.client(place, order).map_err(failed)?;
                client.wait_until_ready().map_err(failed)?;
                client.go();
                client.wait_until_holding().map_err(failed)?;
                background.push(Held { place, client });
            }
        }
        let observed = self.observe(addr, host, server, &background);
        for Held { mut client, .. } in background {
            match client.end_holding() {
                Ok(Report { first_error: Some(error), .. }) | Err(error) => {
                    self.problems.push(format!("interference broke off: {error}"));
                }
                Ok(_) => {}
            }
        }
        observed
    }

    /// Works out what the clients do, now that the server is known.
    fn know_loads(&mut self) -> Result<(), String> {
        let load = |load| self.task.workload.load(load, &self.known);
        self.loads = (0..self.task.workload.loads.len()).map(load).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The order of a workload that has one load.
    fn only_order(&mut self, addr: SocketAddr, host: &str) -> Result<Order, String> {
        self.know_loads()?;
        let load = self.loads.first().cloned().flatten().ok_or("there is no load")?;
        self.orders_for(1, addr, host, 0, &load)?.pop().ok_or_else(|| "there is no load".to_owned())
    }

    /// Starts a client on the host of this place.
    fn client(&self, place: usize, order: Order) -> Result<ClientHandle, String> {
        let agent = &self.setting.hosts.clients()[place].agent;
        ClientHandle::start(agent, Orders::Load(Box::new(order)), self.placed.client(place))
    }

    /// The orders of a load: one for each client's host that has a share of it, in their order.
    fn orders(&self, addr: SocketAddr, host: &str, index: usize, load: &Load) -> Result<Vec<Order>, String> {
        self.orders_for(self.setting.hosts.clients().len(), addr, host, index, load)
    }

    fn orders_for(
        &self,
        clients: usize,
        addr: SocketAddr,
        host: &str,
        index: usize,
        load: &Load,
    ) -> Result<Vec<Order>, String> {
        let spec = &self.task.workload.loads[index];
        let (request, expect) = answer_of(self.task.target, &spec.route)?;
        let id = self.task.workload.id(Part { load: index, phase: 0 }, self.placed.name);
        let drawn = || plan::schedule_seed(self.setting.seed, self.task.step.block, &id);
        let seed = self.task.arrivals.unwrap_or_else(drawn);
        let order = |(place, (share, load))| Order {
            addr,
            host: host.to_owned(),
            request: request.clone(),
            expect: expect.clone(),
            timeout: if spec.background { BACKGROUND_TIMEOUT } else { self.setting.timeout },
            load,
            seed,
            share,
            driver: self.setting.driver,
            cpus: self.placed.engine_cpus(place),
            spin: if spec.background { Duration::ZERO } else { self.placed.spin() },
            mutation: self.setting.mutation,
        };
        Ok(load.split(clients).into_iter().enumerate().map(order).collect())
    }
}
