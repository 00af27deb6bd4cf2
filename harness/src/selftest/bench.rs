//! The test bench: one replicate against a fresh oracle, by the very path a run takes.

use super::disturb::{self, Disturbance};
use super::noise::Noise;
use crate::agent::placement::{Asked, Placing};
use crate::agent::server::StartOptions;
use crate::count::Cells as CountedCells;
use crate::experiment::catalog::Catalog;
use crate::experiment::model::Compare;
use crate::experiment::plan::Cell;
use crate::experiment::quantity::Known;
use crate::experiment::server::{Origin, Role, ServerDef};
use crate::experiment::workload::Workload;
use crate::host::cpu_use::{self, HostTimes};
use crate::host::usage;
use crate::judge::facts::Facts;
use crate::judge::gate::Gate;
use crate::judge::gates::{generator_on_time, quiet_host};
use crate::judge::verdict::{Verdict, judge};
use crate::record::row::Row;
use crate::run::build;
use crate::run::facts;
use crate::run::hosts::Hosts;
use crate::run::replicate::{self, Outcome, Setting, Task, turns};
use crate::run::scheduler::Step;
use crate::run::target::{Managed, Target};
use anyhow::{Result, anyhow, bail};
use io_uring::IoUring;
use load::Strategy;
use load::histogram;
use load::protocol::{Driver, Latency, Mutation, PartReport};
use nix::unistd::getpid;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::{Duration, Instant};

/// How long a request may take where a case does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The drivers that `asked` stands for on this machine.
///
/// # Errors
/// io_uring is asked for, and the kernel does not allow it.
pub(super) fn drivers(asked: Driver) -> Result<Vec<Driver>> {
    let uring = IoUring::new(2);
    match (asked, uring) {
        (Driver::Epoll, _) => Ok(vec![Driver::Epoll]),
        (Driver::IoUring, Ok(_)) => Ok(vec![Driver::IoUring]),
        (Driver::IoUring, Err(error)) => bail!("io_uring: {error}"),
        (Driver::Auto, Ok(_)) => Ok(vec![Driver::IoUring, Driver::Epoll]),
        (Driver::Auto, Err(error)) => {
            eprintln!("note: without io_uring ({error}), which is left out");
            Ok(vec![Driver::Epoll])
        }
    }
}

/// A driver's name, as the client reports it.
pub(super) fn driver_name(driver: Driver) -> &'static str {
    match driver {
        Driver::Auto => "auto",
        Driver::IoUring => "io_uring",
        Driver::Epoll => "epoll",
    }
}

/// What one replicate is.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// The oracle's arguments.
    pub(super) oracle: String,
    /// What the client does.
    pub(super) work: Workload,
    /// How the load engine talks to the kernel.
    pub(super) driver: Driver,
    /// What decides a random schedule.
    pub(super) seed: u64,
    /// How long one request may take.
    pub(super) timeout: Duration,
    /// A fault of the client that belongs to the case.
    pub(super) mutation: Option<Mutation>,
    /// What the client is said to reach against constant bytes.
    pub(super) ceiling: Option<f64>,
    /// What happens to it meanwhile.
    pub(super) disturbance: Option<Disturbance>,
}

impl Probe {
    /// A replicate with nothing special about it.
    pub(super) fn new(oracle: impl Into<String>, work: Workload, driver: Driver) -> Probe {
        Probe {
            oracle: oracle.into(),
            work,
            driver,
            seed: 1,
            timeout: TIMEOUT,
            mutation: None,
            ceiling: None,
            disturbance: None,
        }
    }
}

/// An oracle that is built, and what has been seen of the host.
#[derive(Debug)]
pub(super) struct TestBench {
    hosts: Hosts,
    def: ServerDef,
    program: PathBuf,
    placing: Placing,
    mutation: Option<Mutation>,
    patience: f64,
    noise: Noise,
    /// The last row in a few words.
    last: String,
}

impl TestBench {
    /// Builds the oracle, and puts it on the hosts of a file, or on this machine. With `patience` a short timeout is so
    /// many times as long, on a machine that is expected to be busy.
    ///
    /// # Errors
    /// It does not build.
    pub(super) fn new(
        root: &Path,
        mutation: Option<Mutation>,
        patience: f64,
        hosts: Option<&Path>,
    ) -> Result<TestBench> {
        let catalog = Catalog::read(Some(root), &[])?;
        let oracle = catalog.servers.into_iter().find(|def| def.role == Role::Oracle);
        let def = oracle.ok_or_else(|| anyhow!("no runtime.toml has a server whose role is oracle"))?;
        let Origin::Package(package) = &def.origin else { bail!("{} is no package of ours", def.name) };
        eprintln!("building {}", package.name);
        let program = build::server(root, package)?.program;
        let hosts = match hosts {
            Some(file) => Hosts::of(file)?,
            None => Hosts::local().map_err(|problem| anyhow!(problem))?,
        };
        let placing = hosts.placing(Asked::default(), true).map_err(|problem| anyhow!(problem))?;
        let program = hosts.server().agent.program(&program).map_err(|problem| anyhow!(problem))?;
        Ok(TestBench {
            hosts,
            def,
            program,
            placing,
            mutation,
            patience,
            noise: Noise::default(),
            last: String::new(),
        })
    }

    /// Which CPUs the client of a strategy gets.
    pub(super) fn client_cpus(&self, strategy: Strategy) -> crate::host::cpus::Cpus {
        self.placing.of(strategy.is_engine()).client(0).clone()
    }

    /// A timeout that is short so that a case does not take long, on this machine.
    pub(super) fn timeout(&self, short: Duration) -> Duration {
        short.mul_f64(self.patience)
    }

    /// Whether every client has a deliberate fault.
    pub(super) fn has_mutation(&self) -> bool {
        self.mutation.is_some()
    }

    /// What the host did since [`TestBench::forget`].
    pub(super) fn noise(&self) -> &Noise {
        &self.noise
    }

    /// The last row in a few words, for whoever wonders about a figure.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    /// Begins a trial.
    pub(super) fn forget(&mut self) {
        self.noise = Noise::default();
    }

    /// Counts the instructions of a request to an oracle with these arguments.
    ///
    /// # Errors
    /// It does not start, or nothing was counted.
    pub(super) fn instructions(&self, oracle: &str) -> Result<f64> {
        let (managed, route) = (self.managed(oracle), contract::route::PROBE.example.to_owned());
        let agent = self.hosts.server().agent.clone();
        let mut cells = CountedCells { agent, managed, route, connections: vec![1] };
        let row = cells.count(None, 1).swap_remove(0).row;
        row.instructions_per_request.ok_or_else(|| anyhow!("{} {oracle}: {}", self.def.name, row.error))
    }

    fn managed(&self, oracle: &str) -> Managed {
        let mut def = self.def.clone();
        def.args.extend(oracle.split_whitespace().map(str::to_owned));
        Managed { def, program: Some(self.program.clone()), refused: None, probed: Default::default() }
    }

    /// Runs one replicate.
    ///
    /// # Errors
    /// There is nothing to judge: the server did not start, or the client died.
    pub(super) fn measure(&mut self, probe: &Probe) -> Result<Seen> {
        self.measure_all(slice::from_ref(probe))?
            .pop()
            .ok_or_else(|| anyhow!("{} gave no row", self.def.name))
    }

    /// Runs one replicate of each, side by side where they take turns. They differ in their oracle alone.
    ///
    /// # Errors
    /// There is nothing to judge: a server did not start, or the client died.
    pub(super) fn measure_all(&mut self, probes: &[Probe]) -> Result<Vec<Seen>> {
        let probe = probes.first().ok_or_else(|| anyhow!("nothing is to be measured"))?;
        let target = |probe: &Probe| Target::Managed(Box::new(self.managed(&probe.oracle)));
        let targets: Vec<Target> = probes.iter().map(target).collect();
        let setting = Setting {
            hosts: self.hosts.clone(),
            network_floor_us: None,
            run_id: "selftest".to_owned(),
            experiment: "selftest".to_owned(),
            seed: probe.seed,
            timeout: probe.timeout,
            start: StartOptions { ip: self.hosts.address(), ..StartOptions::default() },
            driver: probe.driver,
            placing: self.placing.clone(),
            mutation: self.mutation.or(probe.mutation),
        };
        let step = Step {
            block: 1,
            attempt: 1,
            order_index: 1,
            cell: Cell { server: 0, workload: 0 },
            known: Known::default(),
            client_ceilings: vec![probe.ceiling],
        };
        let (workload, base, compare) = (&probe.work, &probe.work, &Compare::Servers);
        let (arrivals, keep, step) = (Some(probe.seed), None, &step);
        let task = |target| {
            let name = Target::name(target);
            Task { target, name, workload, base, compare, keep, step, arrivals }
        };
        let tasks: Vec<Task<'_>> = targets.iter().map(task).collect();
        let placed = self.placing.of(probe.work.is_engine());
        let host = || (Instant::now(), HostTimes::read(&placed.of_both()), used_by_ours(), cpu_use::waited());
        let before = host();
        let (outcomes, load) = disturb::during(probe.disturbance.as_ref(), || {
            if workload.rounds.is_none() {
                return (tasks.into_iter().map(|task| replicate::run(&setting, task)).collect(), None);
            }
            let group = turns::run(&setting, tasks);
            (group.outcomes, Some(group.load))
        });
        let outcomes: Vec<Outcome> = outcomes;
        let after = host();
        let wall = after.0 - before.0;
        let used = after.1.zip(before.1).and_then(|(now, then)| now.since(&then, wall));
        let others = used.map(|used| used.other_share(after.2.saturating_sub(before.2)));
        let waited = after.3.zip(before.3).map(|(now, then)| now.saturating_sub(then));
        let waited = waited.map(|waited| waited.as_secs_f64() / wall.as_secs_f64());
        let seen = |(probe, outcome)| Ok(Seen { load, ..self.seen(probe, outcome, others, waited)? });
        probes.iter().zip(outcomes).map(seen).collect()
    }

    /// Takes over what was seen of a probe, beside which others used such a part of the CPUs' time and some task waited
    /// for such a part of the time.
    fn seen(
        &mut self,
        probe: &Probe,
        mut outcome: Outcome,
        others: Option<f64>,
        waited: Option<f64>,
    ) -> Result<Seen> {
        let Some((row, report)) = outcome.rows.pop() else { bail!("{} gave no row", self.def.name) };
        let Some(report) = report else {
            bail!("{} {}: {}", self.def.name, probe.oracle, row.error);
        };
        let wanted = if probe.work.is_engine() { driver_name(probe.driver) } else { "" };
        if row.client_driver != wanted {
            bail!("the client used the driver '{}' and was told to use '{wanted}'", row.client_driver);
        }
        let facts = facts::of(&row, Some(&report), None, Vec::new()).map_err(|problem| anyhow!(problem))?;
        // What is done on purpose is not the host's noise.
        if !matches!(probe.disturbance, Some(Disturbance::TakeCpus(_))) {
            let noise = self.noise_of(probe, &row, &facts, outcome.broken);
            // In the row, where the harness read its clocks in time; and else over the whole replicate.
            let others = row.host_other_share.or(others).unwrap_or(0.0);
            self.noise.add(Noise { others, waited, ..noise });
        }
        let share =
            |share: Option<f64>| share.map_or_else(|| "?".to_owned(), |s| format!("{:.0}%", s * 100.0));
        self.last = format!(
            "{} ({}); of their CPUs' time the server used {}, the client {}; others {}, steal {}",
            row.verdict,
            if row.verdict_reason.is_empty() { "no remark" } else { &row.verdict_reason },
            share(row.server_utilisation),
            share(row.client_utilisation),
            share(row.host_other_share),
            share(row.host_steal_share)
        );
        Ok(Seen { row, report, facts, load: None })
    }

    /// What the host did to a replicate: by the gates themselves, since another verdict may go before theirs.
    fn noise_of(&self, probe: &Probe, row: &Row, facts: &Facts, is_broken: bool) -> Noise {
        let is_stopped = matches!(probe.disturbance, Some(Disturbance::StopClient { .. }));
        // Then the server's clocks say nothing of the measured time.
        let is_marked_late =
            row.error.is_empty() && !row.client_driver.is_empty() && row.server_cpu_us_per_request.is_none();
        let disturbed = match (quiet_host(facts), generator_on_time(facts)) {
            (Gate::Trips(why), _) => Some(why),
            (_, Gate::Trips(why)) if !is_stopped => Some(why),
            _ => (is_broken || is_marked_late).then(|| row.verdict_reason.clone()),
        };
        Noise {
            disturbed,
            steal: row.host_steal_share.unwrap_or(0.0),
            others: 0.0,
            cpus: self.placing.of(probe.work.is_engine()).of_both().list().len() as f64,
            seconds: row.elapsed_s.unwrap_or(0.0),
            waited: None,
            late_ms: facts.tail.as_ref().filter(|_| !is_stopped).map(|tail| tail.lateness_us / 1e3),
            is_marked_late,
        }
    }
}

/// The CPU time of this process, of those below it, and of their children that have ended.
fn used_by_ours() -> Duration {
    let own = getpid().as_raw();
    let all: Vec<i32> = usage::descendants(own).into_iter().chain([own]).collect();
    let reaped: Duration = all.iter().filter_map(|pid| usage::reaped_cpu_time(*pid)).sum();
    usage::cpu_time(&all) + reaped
}

/// What became of a replicate.
#[derive(Debug)]
pub(super) struct Seen {
    /// As it would stand in `cells.csv`.
    pub(super) row: Row,
    /// With the histograms behind it.
    pub(super) report: PartReport,
    /// What the row was judged by.
    facts: Facts,
    /// How long there was load on all servers that took turns together.
    pub(super) load: Option<Duration>,
}

/// Which latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Service,
    Response,
    Lateness,
}

impl Seen {
    /// The verdict that the facts lead to, those about the host aside: how quiet it is now is not asked.
    pub(super) fn verdict(&self) -> &str {
        let aside = Facts { host_steal_share: None, host_other_share: None, ..self.facts.clone() };
        match self.row.verdict.as_str() {
            told if told == Verdict::Failed.name() => told,
            _ => judge(&aside).verdict.name(),
        }
    }

    /// A mean in milliseconds, from the row.
    pub(super) fn mean_ms(&self, kind: Kind) -> Option<f64> {
        let us = match kind {
            Kind::Service => self.row.service_mean_us,
            Kind::Response => self.row.response_mean_us,
            Kind::Lateness => None,
        };
        us.map(|us| us / 1e3)
    }

    /// A maximum in milliseconds, from the row.
    pub(super) fn max_ms(&self, kind: Kind) -> Option<f64> {
        let us = match kind {
            Kind::Service => self.row.service_max_us,
            Kind::Response => self.row.response_max_us,
            Kind::Lateness => self.row.lateness_max_us,
        };
        us.map(|us| us / 1e3)
    }

    /// A percentile in milliseconds: from the row, and where the row leaves it empty because too few
    /// samples lie above it, from the histogram that the row is made of. What the samples are is known
    /// here, so that chance has no part in it.
    pub(super) fn quantile_ms(&self, kind: Kind, p: f64) -> Option<f64> {
        let row = &self.row;
        let columns = match kind {
            Kind::Service => {
                [row.service_p50_us, row.service_p90_us, row.service_p99_us, row.service_p99_9_us]
            }
            Kind::Response => {
                [row.response_p50_us, row.response_p90_us, row.response_p99_us, row.response_p99_9_us]
            }
            Kind::Lateness => [row.lateness_p50_us, None, row.lateness_p99_us, None],
        };
        let known = [0.5, 0.9, 0.99, 0.999].into_iter().zip(columns);
        let in_row = known.filter(|(of, _)| (of - p).abs() < 1e-9).find_map(|(_, us)| us);
        in_row.map(|us| us / 1e3).or_else(|| {
            let histogram = histogram::decode(&self.latency(kind)?.histogram).ok()?;
            (!histogram.is_empty()).then(|| histogram.value_at_quantile(p) as f64 / 1e6)
        })
    }

    fn latency(&self, kind: Kind) -> Option<&Latency> {
        let engine = self.report.engine.as_ref();
        match kind {
            Kind::Service => Some(&self.report.service),
            Kind::Response => engine?.response.as_ref(),
            Kind::Lateness => engine?.lateness.as_ref(),
        }
    }
}
