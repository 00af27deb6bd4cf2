//! One replicate: a fresh server, a fresh client, one row.

use crate::agent::attest::{self, Seen};
use crate::agent::client::{ClientProcess, Event};
use crate::agent::placement::{Placed, Placing};
use crate::agent::server::{Server, StartOptions};
use crate::agent::window::{Used, Window};
use crate::experiment::cell::{Amount, Cell};
use crate::judge::ceiling::{self, Ceiling, Limits};
use crate::judge::facts::Facts;
use crate::record::row::{Row, SCHEMA_VERSION};
use crate::run::facts;
use crate::run::target::{Managed, Running, Subject, expected};
use contract::route::Route;
use load::protocol::{Driver, Load, Mark, Mutation, Order, Report, Task};
use std::time::{Duration, Instant};

/// What is the same for every replicate of a run.
#[derive(Debug)]
pub struct Setting {
    /// The run's directory name.
    pub run_id: String,
    /// What decides the order.
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

/// A row, where its requests went, and how bad what happened is.
#[derive(Debug)]
pub struct Outcome {
    /// The row.
    pub row: Row,
    /// What the client reported, with the histograms behind the row; `None` where it did not.
    pub report: Option<Report>,
    /// The URL that was measured, for the progress line.
    pub url: String,
    /// Whether a server or the environment failed, which is worse than failed requests.
    pub broken: bool,
    /// How long judging it took.
    pub judging: Duration,
}

/// Runs `cell` once. Whatever happens becomes part of the row.
///
/// `client_ceiling` is what the same client reaches against a server that does nothing, in requests per
/// second: the most it can do, without a schedule.
pub fn run(
    setting: &Setting,
    subject: &Subject,
    cell: &Cell,
    block: usize,
    order_index: usize,
    client_ceiling: Option<f64>,
) -> Outcome {
    let placed = match subject {
        Subject::Managed(_) => setting.placing.of_started(cell.work.strategy),
        Subject::Running(_) => setting.placing.of(cell.work.strategy),
    };
    let mut row = Row { block, order_index, ..new_row(setting, subject, cell, &placed) };
    row.client_ceiling_rps = client_ceiling;
    let url = format!("http://{}{}", subject.name(), cell.target);
    let mut replicate = Replicate { setting, cell, placed, row, problems: Vec::new(), measured: None, url };
    match subject {
        Subject::Managed(managed) => replicate.managed(managed),
        Subject::Running(running) => replicate.running(running),
    }
    replicate.finish()
}

/// What is known of a row before anything has been started.
fn new_row(setting: &Setting, subject: &Subject, cell: &Cell, placed: &Placed) -> Row {
    let work = &cell.work;
    let mut row = Row {
        schema_version: SCHEMA_VERSION,
        run_id: setting.run_id.clone(),
        attempt: 1,
        started_at: jiff::Timestamp::now().round(jiff::Unit::Millisecond).unwrap_or_default().to_string(),
        seed: setting.seed,
        server: subject.name().to_owned(),
        processes: cell.condition.processes,
        route: cell.target.clone(),
        interference: cell.condition.interference.as_ref().map(ToString::to_string).unwrap_or_default(),
        strategy: work.strategy.name().to_owned(),
        loop_kind: work.loop_name().to_owned(),
        requests: work.requests(),
        concurrency: work.in_flight(),
        connections: work.strategy.keeps_alive().then(|| work.in_flight()),
        keep_alive: work.strategy.keeps_alive(),
        offered_rps: work.rate,
        timeout_ms: u64::try_from(setting.timeout.as_millis()).unwrap_or(u64::MAX),
        placement: placed.name.to_owned(),
        ..Row::default()
    };
    if work.rate.is_some() {
        row.arrival = work.arrival.name().to_owned();
    }
    if let Amount::Time { warmup, duration } = work.amount {
        row.warmup_s = Some(warmup.as_secs_f64());
        row.duration_s = Some(duration.as_secs_f64());
    }
    row
}

/// A replicate under way.
struct Replicate<'a> {
    setting: &'a Setting,
    cell: &'a Cell,
    placed: Placed,
    row: Row,
    /// What went wrong with the server or the environment.
    problems: Vec<String>,
    measured: Option<Measured>,
    url: String,
}

/// What was seen of a load.
struct Measured {
    report: Report,
    used: Option<Used>,
}

impl Replicate<'_> {
    fn managed(&mut self, managed: &Managed) {
        if let Some(reason) = &managed.refused {
            self.problems.push(reason.clone());
            return;
        }
        let start = StartOptions { cpus: Some(self.placed.server.clone()), ..self.setting.start.clone() };
        let processes = self.cell.condition.processes;
        let mut server = match Server::start(&managed.def, managed.program.as_ref(), processes, &start) {
            Ok(server) => server,
            Err(problem) => {
                self.problems.push(problem);
                return;
            }
        };
        self.url = format!("http://{}{}", server.addr, self.cell.target);
        self.row.worker_threads = server.worker_threads();
        self.row.blocking_threads = server.blocking_threads();
        if let Some(ready) = server.ready() {
            self.row.runtime = ready.runtime.clone();
            self.row.runtime_version = ready.runtime_version.clone();
            self.row.flavor = ready.flavor.clone();
            self.row.http_stack = ready.http_stack.clone();
        }
        let order = Order {
            addr: server.addr,
            host: server.addr.to_string(),
            target: self.cell.target.clone(),
            expect: expected(&self.cell.target),
            timeout: self.setting.timeout,
            task: task(self.cell, self.setting, &self.placed),
        };
        self.measure(&order, Some(&mut server));
        self.problems.extend(attest::workers(self.row.worker_threads, self.row.threads_seen));
        // Requests that interfere are cut off in the middle: the server need not finish them.
        self.problems.extend(server.stop(self.cell.condition.interference.is_some()).err());
    }

    fn running(&mut self, running: &Running) {
        let order = Order {
            addr: running.addr,
            host: running.name.clone(),
            target: running.target.clone(),
            expect: running.expect.clone(),
            timeout: self.setting.timeout,
            task: task(self.cell, self.setting, &self.placed),
        };
        self.measure(&order, None);
    }

    /// Carries out the order while the cell's interference is held: it begins before the first request and
    /// ends after the last. Interference that broke off in the meantime is a problem.
    fn measure(&mut self, order: &Order, server: Option<&mut Server>) {
        let held = match self.hold(order) {
            Ok(held) => held,
            Err(problem) => {
                self.problems.push(format!("interference failed: {problem}"));
                return;
            }
        };
        let helpers = held.iter().map(ClientProcess::pid).collect();
        if let Err(problem) = self.observe(order, server, helpers) {
            self.problems.push(problem);
        }
        if let Some(mut client) = held {
            match client.end_holding() {
                Ok(Report { first_error: Some(error), .. }) | Err(error) => {
                    self.problems.push(format!("interference broke off: {error}"));
                }
                Ok(_) => {}
            }
        }
    }

    /// Starts the client that interferes, if there is one.
    fn hold(&self, order: &Order) -> Result<Option<ClientProcess>, String> {
        let Some(interference) = &self.cell.condition.interference else { return Ok(None) };
        let hold = Order {
            target: interference.target.clone(),
            expect: expected(&interference.target),
            task: Task::Hold { count: interference.count },
            ..order.clone()
        };
        let mut client = ClientProcess::start(&hold, &self.placed.client)?;
        client.wait_until_holding()?;
        Ok(Some(client))
    }

    /// Lets a client carry out the order, and reads the clocks at the beginning and the end of its
    /// measured time: a client of the load engine says when they are, any other measures all its time.
    fn observe(
        &mut self,
        order: &Order,
        mut server: Option<&mut Server>,
        helpers: Vec<i32>,
    ) -> Result<(), String> {
        let marks_itself = matches!(order.task, Task::Load(_));
        let mut client = ClientProcess::start(order, &self.placed.client)?;
        client.wait_until_ready()?;
        let pid = client.pid();
        let look_at_client = || attest::affinity("the client", &[pid], &self.placed.client);
        let mut client_seen = look_at_client();
        let mut server_seen = Seen::default();
        // The clocks are read at once; what takes longer is left until after them.
        let mut window = Window::new(
            server.as_deref().map(Server::processes).unwrap_or_default(),
            helpers,
            self.placed.of_both(),
        );
        if !marks_itself {
            window.count_from_here();
            window.mark(Mark::Begin);
        }
        client.go();
        let report = client.report(|event| {
            let mark = match event {
                Event::Mark(mark) => Some(mark),
                Event::Reported if !marks_itself => Some(Mark::End),
                Event::Reported => None,
                Event::Tick => {
                    window.look();
                    None
                }
            };
            if let Some(mark) = mark {
                window.mark(mark);
            }
            match mark {
                Some(Mark::Begin) => window.count_from_here(),
                // Once its threads have settled.
                Some(Mark::Half) => client_seen = look_at_client(),
                // After the clocks, and before the server's threads have gone with their connections.
                Some(Mark::End) => {
                    window.count_to_here();
                    if let Some(server) = server.as_deref() {
                        server_seen = attest::server(server, &self.placed.server);
                    }
                }
                None => {}
            }
            server.as_deref_mut().is_none_or(|server| server.died().is_none())
        })?;
        self.row.server_cpus = server_seen.cpus.to_string();
        self.row.client_cpus = client_seen.cpus.to_string();
        self.problems.extend(server_seen.problems);
        self.problems.extend(client_seen.problems);
        self.note_report(&report);
        let halves = report.engine.as_ref().map(|engine| engine.halves).unwrap_or_default();
        let used = match window.close(marks_itself.then_some(&halves)) {
            Ok(used) => {
                self.row.set_used(&used, &report, &self.placed);
                Some(used)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        };
        self.measured = Some(Measured { report, used });
        Ok(())
    }

    /// Takes the report over into the row. Failed requests are an error of the row's; that fates do not
    /// add up, or the client gave up, is a problem.
    fn note_report(&mut self, report: &Report) {
        self.problems.extend(self.row.set_report(report).err());
        let fates = report.fates;
        if fates.failed() > 0 {
            let first = report.first_error.as_deref().unwrap_or("no reason was given");
            self.row.add_error(&format!(
                "{} of {} requests failed: {first}",
                fates.failed(),
                fates.scheduled
            ));
        }
        if fates.sum() != fates.scheduled {
            self.problems.push(format!("{} requests have {} fates", fates.scheduled, fates.sum()));
        }
        self.problems.extend(report.gave_up.clone());
    }

    /// Judges what has become of it.
    fn finish(mut self) -> Outcome {
        let start = Instant::now();
        let ceilings = self.ceilings();
        if let Some(ceiling) = ceiling::lowest(&ceilings) {
            self.row.ceiling_rps = Some(ceiling.rps);
            self.row.ceiling_by = ceiling.by.to_owned();
        }
        let (report, halves_cpu, late_mark) = match self.measured {
            Some(Measured { report, used: Some(used) }) => (Some(report), used.halves_cpu, used.late),
            Some(Measured { report, used: None }) => (Some(report), None, None),
            None => (None, None, None),
        };
        let facts = facts::of(&self.row, report.as_ref(), halves_cpu, ceilings);
        // The row has taken the same histograms over before.
        let mut facts = facts.unwrap_or_else(|problem| {
            self.problems.push(problem);
            Facts::default()
        });
        facts.problem = self.problems.first().cloned();
        facts.late_mark = late_mark;
        self.row.set_judgement(&facts);
        for problem in &self.problems {
            self.row.add_error(problem);
        }
        let broken = !self.problems.is_empty();
        Outcome { row: self.row.formula_safe(), report, url: self.url, broken, judging: start.elapsed() }
    }

    fn ceilings(&self) -> Vec<Ceiling> {
        let route = |target: &str| Route::parse_target(target).ok();
        let interference = self.cell.condition.interference.as_ref();
        let blocking = interference.filter(|held| route(&held.target).is_some_and(Route::blocks));
        let limits = Limits {
            in_flight: self.cell.work.in_flight(),
            blocking_threads: self.row.blocking_threads,
            taken: blocking.map_or(0, |held| held.count),
            offered_rps: self.cell.work.rate,
        };
        ceiling::all(route(&self.cell.target), &limits)
    }
}

fn task(cell: &Cell, setting: &Setting, placed: &Placed) -> Task {
    let work = &cell.work;
    match work.amount {
        Amount::Requests(requests) => {
            Task::Measure { strategy: work.strategy, requests, in_flight: work.in_flight() }
        }
        Amount::Time { warmup, duration } => Task::Load(Load {
            strategy: work.strategy,
            connections: work.in_flight(),
            rate: work.rate,
            arrival: work.arrival,
            seed: setting.seed,
            warmup,
            duration,
            driver: setting.driver,
            cpus: placed.engine_cpus(),
            spin: placed.spin(),
            mutation: setting.mutation,
        }),
    }
}
