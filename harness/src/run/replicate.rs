//! One replicate: a fresh server, fresh clients, and a row for each measured load in each measured phase.

mod of_turns;
mod rows;
pub mod turns;

use crate::agent::attest;
use crate::agent::client::{ClientHandle, Event};
use crate::agent::handles::{Agent, ServerHandle};
use crate::agent::messages::{Id, WatchSpec, Watched};
use crate::agent::placement::{Placed, Placing};
use crate::agent::server::StartOptions;
use crate::agent::window::Used;
use crate::experiment::model::Compare;
use crate::experiment::plan;
use crate::experiment::quantity::Known;
use crate::experiment::search::Keep;
use crate::experiment::workload::{Part, Scenario, Workload};
use crate::record::row::Row;
use crate::run::scheduler::Step;
use crate::run::target::{Managed, Running, Target, answer_of};
use load::protocol::{
    Amount, Driver, Half, Load, Mark, Moment, Mutation, Order, Orders, PartReport, Report,
    Share,
};
use of_turns::OfTurns;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a request of a load in the background may take: a fib/42 takes a server in Python minutes, and such
/// a load is not timed, only ended.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// What is the same for every replicate of a run.
#[derive(Debug)]
pub struct Setting {
    /// The agent of the host that everything runs on.
    pub agent: Agent,
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
    peak_memory: Option<u64>,
    first_error: Option<String>,
    gave_up: Option<String>,
    of_turns: Option<OfTurns>,
}

/// A client under way.
struct Issuing {
    load: usize,
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
        start.workers = workers.or(start.workers);
        start.blocking_threads = blocking_threads.or(start.blocking_threads);
        let agent = &self.setting.agent;
        self.common.server_host = agent.hello().machine.name().to_owned();
        let server = agent.start_server(&managed.def, managed.program.as_deref(), processes, &start)?;
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
            let order = self.order(addr, host, index, load)?;
            let mut client = self.client(order).map_err(failed)?;
            client.wait_until_ready().map_err(failed)?;
            client.go();
            client.wait_until_holding().map_err(failed)?;
            background.push(client);
        }
        let helpers = background.iter().map(ClientHandle::id).collect();
        let observed = self.observe(addr, host, server, helpers);
        for mut client in background {
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
        self.order(addr, host, 0, &load)
    }

    fn client(&self, order: Order) -> Result<ClientHandle, String> {
        ClientHandle::start(&self.setting.agent, Orders::Load(Box::new(order)), &self.placed.client)
    }

    fn order(&self, addr: SocketAddr, host: &str, index: usize, load: &Load) -> Result<Order, String> {
        let spec = &self.task.workload.loads[index];
        let (request, expect) = answer_of(self.task.target, &spec.route)?;
        let id = self.task.workload.id(Part { load: index, phase: 0 }, self.placed.name);
        let drawn = || plan::schedule_seed(self.setting.seed, self.task.step.block, &id);
        Ok(Order {
            addr,
            host: host.to_owned(),
            request,
            expect,
            timeout: if spec.background { BACKGROUND_TIMEOUT } else { self.setting.timeout },
            load: load.clone(),
            seed: self.task.arrivals.unwrap_or_else(drawn),
            share: Share::default(),
            driver: self.setting.driver,
            cpus: self.placed.engine_cpus(),
            spin: if spec.background { Duration::ZERO } else { self.placed.spin() },
            mutation: self.setting.mutation,
        })
    }

    /// Lets the measured clients carry out their loads, and reads the clocks at the beginning and the end of
    /// each measured phase: the first client says when they are if it is the load engine, and otherwise all
    /// its time is measured.
    fn observe(
        &mut self,
        addr: SocketAddr,
        host: &str,
        server: Option<&ServerHandle>,
        mut helpers: Vec<Id>,
    ) -> Result<(), String> {
        let mut clients = Vec::new();
        for (index, load) in self.loads.iter().enumerate() {
            let Some(load) = load.as_ref().filter(|_| !self.task.workload.loads[index].background) else {
                continue;
            };
            let order = self.order(addr, host, index, load)?;
            clients.push(Issuing { load: index, client: self.client(order)? });
        }
        for Issuing { client, .. } in &mut clients {
            client.wait_until_ready()?;
        }
        let Some((first, others)) = clients.split_first_mut() else { return Err("there is no load".into()) };
        helpers.extend(others.iter().map(|other| other.client.id()));
        let marks_itself = self.task.workload.is_engine();
        let spec = WatchSpec {
            servers: vec![server.map(ServerHandle::id)],
            helpers,
            cpus: self.placed.of_both(),
            phases: self.phase_times(),
            looks: true,
            meter: None,
        };
        let watch = self.setting.agent.watch(spec)?;
        if !marks_itself {
            watch.begin();
        }
        first.client.go();
        others.iter().for_each(|other| other.client.go());
        let report = first.client.report(|event| {
            match event {
                Event::Mark(mark) => watch.mark(mark),
                Event::Reported if !marks_itself => watch.mark(Mark { part: 0, moment: Moment::End }),
                Event::Reported | Event::Tick => {}
            }
            server.is_none_or(|server| server.died().is_none())
        })?;
        let client_seen = first.client.seen().clone();
        let mut reports = vec![(first.load, report)];
        for Issuing { load, client } in others {
            reports.push((*load, client.report(|_| true)?));
        }
        let halves = marks_itself.then(|| halves(&reports[0].1));
        let Some(Watched { used, seen, .. }) = watch.close(halves)?.pop() else {
            return Err("nothing was watched".into());
        };
        self.common.server_cpus = seen.cpus.words();
        self.common.client_cpus = client_seen.cpus.words();
        self.problems.extend(seen.problems.into_iter().chain(client_seen.problems));
        self.take(reports, used);
        Ok(())
    }

    /// The lengths of the measured phases, of which there is always one.
    fn phase_times(&self) -> Vec<Option<Duration>> {
        let times = self.loads.iter().flatten().find_map(|load| match &load.amount {
            Amount::Time(phases) => {
                Some(phases.iter().filter(|phase| phase.measured).map(|phase| phase.duration))
            }
            Amount::Requests(_) | Amount::UntilStopped => None,
        });
        let phases = self.parts.iter().map(|part| part.phase).max().unwrap_or(0) + 1;
        let mut times = times.into_iter().flatten();
        (0..phases).map(|_| times.next()).collect()
    }

    /// Sorts what the clients reported and what was read meanwhile into the parts.
    fn take(&mut self, reports: Vec<(usize, Report)>, used: Vec<Result<Used, String>>) {
        let used: Vec<Option<Used>> = used
            .into_iter()
            .map(|of_phase| of_phase.map_err(|problem| self.problems.push(problem)).ok())
            .collect();
        for (load, report) in reports {
            let Report { parts, peak_memory, first_error, gave_up, .. } = report;
            for (phase, report) in parts.into_iter().enumerate() {
                let Some(place) = self.parts.iter().position(|part| *part == Part { load, phase }) else {
                    continue;
                };
                let (first_error, gave_up) = (first_error.clone(), gave_up.clone());
                let used = used.get(phase).cloned().flatten();
                let of_turns = None;
                self.measured[place] =
                    Some(Measured { report, used, peak_memory, first_error, gave_up, of_turns });
            }
        }
    }
}

/// What a client says of the halves of its measured phases.
fn halves(report: &Report) -> Vec<[Half; 2]> {
    let of = |part: &PartReport| part.engine.as_ref().map(|engine| engine.halves).unwrap_or_default();
    report.parts.iter().map(of).collect()
}
