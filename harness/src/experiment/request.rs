//! What a person asks of a run, and the experiment narrowed and overridden by it.

use super::blocks_of::BlocksOf;
use super::file;
use super::model::{Compare, Experiment, MAX_BLOCKS, Placement, Planned};
use super::quantity::Quantity;
use super::suggest;
use super::url::askable;
use super::workload::{LoadSpec, MAX_DURATION, MAX_PROCESSES, MAX_THREADS, WARMUP_S, Workload};
use crate::exit::usage;
use crate::host::cpus::Cpus;
use anyhow::Result;
use jiff::fmt::friendly::SpanParser;
use load::protocol::{Driver, Strategy};
use load::schedule::Arrival;
use serde::{Deserialize, Serialize};
use stats::looks::LOOKS;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use strum::VariantArray as _;

/// How long one request may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The requests of a strategy that the experiment does not have, where none are given.
const DEFAULT_REQUESTS: f64 = 100.0;
/// The measured time of a strategy of the load engine that the experiment does not have, in seconds.
const DEFAULT_DURATION_S: f64 = 5.0;

/// What to measure, and how. What is not given is the experiment's, or the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct Request {
    /// What to measure, of `harness list` [default: quick]
    ///
    /// The name of an experiment, or the path of a file of your own. Where a strategy, a route or a load is given, the
    /// default is custom, of which these choose.
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Only these of `harness list` (comma-separated)
    ///
    /// [default: all contestants that are set up]
    #[arg(long, value_delimiter = ',')]
    pub server: Vec<String>,
    /// Only these client strategies (comma-separated)
    #[arg(long, value_delimiter = ',', value_parser = strategy)]
    pub strategy: Vec<Strategy>,
    /// These routes (comma-separated) for all that is measured: a name, or a path with its parameter, as in fib/30 or wait?ms=5
    #[arg(long, value_delimiter = ',')]
    pub route: Vec<String>,
    /// Keep requests in flight while each cell runs: ROUTE@COUNT, as in fib/42@1
    #[arg(long, value_name = "ROUTE@COUNT")]
    pub interfere: Option<Interference>,
    /// Server processes behind the port
    #[arg(long, value_name = "N")]
    pub processes: Option<usize>,
    /// Requests of each cell of sequential, thread-pool and async
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Measured time of each cell of open-loop, closed-loop and churn, as in 5s [default: the experiment's, or 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Time before it that is not counted [default: the experiment's, or 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration_or_none)]
    pub warmup: Option<Duration>,
    /// Requests under way at once, and connections in the pool [default: the experiment's; all requests for
    /// thread-pool and async, 256 with a rate, 64 without]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,
    /// Requests per second, on a schedule that nothing moves
    #[arg(long, value_name = "PER SECOND")]
    pub rate: Option<f64>,
    /// How the schedule spaces them [default: the experiment's, or constant]
    #[arg(long, value_enum)]
    pub arrival: Option<Arrival>,
    /// Which CPUs the server and the client get
    #[arg(long, value_enum, default_value_t)]
    pub placement: Placement,
    /// The server's CPUs, as in 0 or 0,2-3 [default: the first half with a split placement]
    #[arg(long, value_name = "CPUS")]
    pub server_cpus: Option<Cpus>,
    /// The client's CPUs [default: the other half]
    #[arg(long, value_name = "CPUS")]
    pub client_cpus: Option<Cpus>,
    /// How open-loop, closed-loop and churn talk to the kernel [default: auto]
    #[arg(long, value_enum)]
    pub driver: Option<Driver>,
    /// Measure over these machines: the server on one, clients on others; or slurm for those of the allocation
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
    /// How often every cell is run, group by group, in a new random order each time
    #[arg(long, value_name = "N", conflicts_with = "until")]
    pub blocks: Option<usize>,
    /// Run only a part of the blocks, as in 3/8 for the third of eight; harness merge joins the parts
    #[arg(long, value_name = "PART/OF", conflicts_with = "until")]
    pub blocks_of: Option<BlocksOf>,
    /// Go on until every pair of servers is told apart or shown to be alike; looks after 8, 12, 18 and 27 blocks
    #[arg(long, value_enum)]
    pub until: Option<Goal>,
    /// The longest time for that, as in 90s, 10m or 1h; the block under way is completed [default: 27 blocks]
    #[arg(long, value_name = "DURATION", value_parser = long_duration)]
    pub at_most: Option<Duration>,
    /// Decides the order of the cells in each block, the arrivals, and which server is the control [default: a fresh one]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Threads that run tasks in each server process [default: one a core]
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// The most threads that may block at a time in each server process [default: 512]
    #[arg(long, value_name = "N")]
    pub blocking_threads: Option<usize>,
    /// How long one request may take, as in 30s or 500ms [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Measure this URL of a server that is already running
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Send load to a URL of another machine, which is yours to load
    #[arg(long, requires = "url")]
    #[serde(default)]
    pub yes_it_is_mine: bool,
    /// Add the servers of this runtime.toml; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
}

/// What a run goes on for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Every pair of the experiment's figures is told apart, or shown to be within δ.
    Decided,
}

/// Finds a strategy by its name.
///
/// # Errors
/// One line with the nearest right names.
pub fn strategy(name: &str) -> Result<Strategy, String> {
    let found = suggest::find("strategy", name, Strategy::VARIANTS, |strategy| strategy.name());
    found.copied().map_err(|error| error.to_string())
}

/// A duration with its unit: `30s`, `500ms`, `1.5s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    match duration_or_none(text)? {
        Duration::ZERO => Err("give more than nothing and at most an hour".into()),
        some => Ok(some),
    }
}

/// The same, and `0s`.
fn duration_or_none(text: &str) -> Result<Duration, String> {
    let time = any_duration(text)?;
    (time <= MAX_DURATION).then_some(time).ok_or_else(|| "give at most an hour".into())
}

/// The time of a whole run.
fn long_duration(text: &str) -> Result<Duration, String> {
    let day = Duration::from_secs(24 * 3600);
    let time = any_duration(text)?;
    let is_some = !time.is_zero() && time <= day;
    is_some.then_some(time).ok_or_else(|| "give more than nothing and at most a day".into())
}

fn any_duration(text: &str) -> Result<Duration, String> {
    let parsed = SpanParser::new().parse_unsigned_duration(text);
    parsed.map_err(|_| "give a number and its unit, as in 500ms, 30s or 2m".to_owned())
}

/// Requests that are kept in flight while a load is measured: `fib/42@1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interference {
    /// The path they ask for.
    pub target: String,
    /// How many.
    pub count: usize,
}

impl FromStr for Interference {
    type Err = String;

    fn from_str(text: &str) -> Result<Interference, String> {
        let (route, count) = text
            .rsplit_once('@')
            .ok_or_else(|| format!("'{text}': give a route and how many, as in fib/42@1"))?;
        match count.parse() {
            Ok(count) if (1..=MAX_PROCESSES).contains(&count) => {
                // A path that is no route of ours may be one of a server that is measured by its URL.
                let target = match contract::route::target(route) {
                    Err(_) if route.starts_with('/') => route.to_owned(),
                    known => known?,
                };
                Ok(Interference { target, count })
            }
            _ => Err(format!("'{text}': how many must be a number from 1 to {MAX_PROCESSES}")),
        }
    }
}

impl fmt::Display for Interference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.target.trim_start_matches('/'), self.count)
    }
}

impl Interference {
    /// The load in the background that it stands for.
    pub fn load(&self) -> LoadSpec {
        LoadSpec {
            name: "background".to_owned(),
            strategy: Strategy::ClosedLoop,
            route: self.target.clone(),
            requests: None,
            concurrency: Some(Quantity::from(self.count as f64)),
            rate: None,
            arrival: Arrival::default(),
            background: true,
        }
    }
}

impl Request {
    /// The experiment that is narrowed: the one that is named; else the default, or where flags say what to measure
    /// the one that is made for that.
    pub fn experiment(&self) -> &str {
        let says_what = self.url.is_some()
            || !self.strategy.is_empty()
            || !self.route.is_empty()
            || self.interfere.is_some()
            || self.arrival.is_some()
            || [self.requests, self.processes.map(|n| n as u64), self.concurrency.map(|n| n as u64)]
                .iter()
                .any(Option::is_some)
            || [self.duration, self.warmup].iter().any(Option::is_some)
            || self.rate.is_some();
        let usual = if says_what { file::CUSTOM } else { file::DEFAULT };
        self.experiment.as_deref().unwrap_or(usual)
    }

    /// How long one request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(TIMEOUT)
    }

    /// Narrows and overrides `experiment` by the flags that were given.
    ///
    /// # Errors
    /// One line about the first flag that is wrong, or has no effect.
    pub fn apply(&self, mut experiment: Experiment) -> Result<Experiment> {
        self.check()?;
        experiment.blocks = match self.until {
            Some(Goal::Decided) => LOOKS[0],
            None => self.blocks.unwrap_or(experiment.blocks),
        };
        self.narrow(&mut experiment)?;
        self.no_effect(&experiment)?;
        let routes = match &self.url {
            Some(url) => vec![askable(url, self.yes_it_is_mine)?.2],
            None => self.route.iter().map(|given| self.target(given)).collect::<Result<Vec<_>>>()?,
        };
        let mut kept: Vec<Planned> = Vec::new();
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        for (index, planned) in experiment.workloads.iter().enumerate() {
            let routes = if routes.is_empty() { vec![None] } else { routes.iter().map(Some).collect() };
            for route in routes {
                let workload = self.overridden(&planned.workload, route);
                workload.check().map_err(|problem| usage!("{problem}"))?;
                let known = kept.iter().position(|known| known.workload.is_same(&workload));
                let place = known.unwrap_or(kept.len());
                if known.is_none() {
                    let search = planned.search.filter(|_| workload.needs("knee"));
                    let (base, figure) = (planned.base, planned.figure.clone());
                    kept.push(Planned { workload, base, search, figure });
                }
                places.entry(index).or_insert(place);
            }
        }
        for (place, planned) in kept.iter_mut().enumerate() {
            planned.base = match experiment.compare {
                Compare::Servers | Compare::Phases { .. } => place,
                Compare::Factor { .. } => places.get(&planned.base).copied().unwrap_or(place),
            };
        }
        if kept.iter().all(|planned| planned.search.is_none()) {
            experiment.searches.clear();
        }
        experiment.workloads = kept;
        Ok(experiment)
    }

    /// Refuses numbers out of their range, and a limit of nothing.
    fn check(&self) -> Result<()> {
        if self.at_most.is_some() && self.until.is_none() {
            return Err(usage!("--at-most has no effect without --until decided"));
        }
        if let (Some(part), None) = (self.blocks_of, self.seed) {
            return Err(usage!("--blocks-of {part}: give --seed too, the same for all parts"));
        }
        for (flag, value, most) in [
            ("--blocks", self.blocks, MAX_BLOCKS),
            ("--processes", self.processes, MAX_PROCESSES),
            ("--workers", self.workers, MAX_THREADS),
            ("--blocking-threads", self.blocking_threads, MAX_THREADS),
        ] {
            if let Some(value) = value
                && !(1..=most).contains(&value)
            {
                return Err(usage!("{flag} {value}: give a number from 1 to {most}"));
            }
        }
        Ok(())
    }

    fn target(&self, given: &str) -> Result<String> {
        // A name that the contract does not know may be one that a manifest declares.
        match contract::route::target(given) {
            Err(_) if !self.manifest.is_empty() => Ok(given.to_owned()),
            known => known.map_err(|problem| usage!("{problem}")),
        }
    }

    /// Keeps the workloads of the asked strategies, and adds one for a strategy that the experiment lacks.
    fn narrow(&self, experiment: &mut Experiment) -> Result<()> {
        if self.strategy.is_empty() {
            return Ok(());
        }
        if let Compare::Factor { name, .. } = &experiment.compare {
            return Err(usage!(
                "--strategy: {} compares the levels of {name}, and its loads belong together",
                experiment.name
            ));
        }
        let routes = routes(experiment);
        let is_of = |planned: &Planned, strategy: Strategy| {
            measured(&planned.workload).any(|load| load.strategy == strategy)
        };
        let all = std::mem::take(&mut experiment.workloads);
        let asked = |planned: &&Planned| self.strategy.iter().any(|strategy| is_of(planned, *strategy));
        experiment.workloads = all.iter().filter(asked).cloned().collect();
        for strategy in &self.strategy {
            if all.iter().any(|planned| is_of(planned, *strategy)) {
                continue;
            }
            for route in &routes {
                let base = experiment.workloads.len();
                let workload = self.new_workload(*strategy, route);
                experiment.workloads.push(Planned { workload, base, search: None, figure: None });
            }
        }
        Ok(())
    }

    fn new_workload(&self, strategy: Strategy, route: &str) -> Workload {
        let requests = (!strategy.is_engine()).then_some(Quantity::from(DEFAULT_REQUESTS));
        let phases = match strategy.is_engine() {
            true => file::timed(Quantity::from(WARMUP_S), Quantity::from(DEFAULT_DURATION_S)),
            false => Vec::new(),
        };
        let load = LoadSpec {
            name: strategy.to_string(),
            strategy,
            route: route.to_owned(),
            requests,
            concurrency: None,
            rate: None,
            arrival: Arrival::default(),
            background: false,
        };
        Workload {
            server: Default::default(),
            loads: vec![load],
            phases,
            rounds: None,
            levels: BTreeMap::new(),
        }
    }

    /// Refuses a flag that none of the loads looks at.
    fn no_effect(&self, experiment: &Experiment) -> Result<()> {
        type Affected = fn(&LoadSpec) -> bool;
        let engine: Affected = |load| load.strategy.is_engine();
        let scheduled: Affected = |load| load.strategy.takes_rate();
        let flags: [(&str, bool, Affected); 7] = [
            ("--concurrency", self.concurrency.is_some(), |load| load.strategy != Strategy::Sequential),
            ("--requests", self.requests.is_some(), |load| !load.strategy.is_engine()),
            ("--duration", self.duration.is_some(), engine),
            ("--warmup", self.warmup.is_some(), engine),
            ("--driver", self.driver.is_some(), engine),
            ("--rate", self.rate.is_some(), scheduled),
            ("--arrival", self.arrival.is_some(), scheduled),
        ];
        let loads: Vec<&LoadSpec> = experiment.workloads.iter().flat_map(|p| measured(&p.workload)).collect();
        for (flag, given, affected) in flags {
            if given && !loads.iter().any(|load| affected(load)) {
                let mut names: Vec<&str> = loads.iter().map(|load| load.strategy.name()).collect();
                names.sort_unstable();
                names.dedup();
                return Err(usage!("{flag} has no effect on {}", names.join(", ")));
            }
        }
        let phased = experiment.workloads.iter().any(|planned| planned.workload.phases.len() > 2);
        if phased && (self.duration.is_some() || self.warmup.is_some()) {
            return Err(usage!(
                "--duration and --warmup have no effect on {}, which has phases",
                experiment.name
            ));
        }
        Ok(())
    }

    fn overridden(&self, workload: &Workload, route: Option<&String>) -> Workload {
        let mut workload = workload.clone();
        if self.interfere.is_some() || self.url.is_some() {
            workload.take_no_turns();
        }
        if self.interfere.is_some() || self.processes.is_some() || self.url.is_some() {
            workload.loads.retain(|load| !load.background);
            workload.server.processes = Quantity::from(self.processes.unwrap_or(1) as f64);
            workload.loads.extend(self.interfere.as_ref().map(Interference::load));
        }
        for load in workload.loads.iter_mut().filter(|load| !load.background) {
            if let Some(route) = route {
                load.route.clone_from(route);
            }
            if !load.strategy.is_engine() {
                load.requests = self.requests.map(|n| Quantity::from(n as f64)).or(load.requests.take());
            }
            if load.strategy != Strategy::Sequential {
                load.concurrency =
                    self.concurrency.map(|n| Quantity::from(n as f64)).or(load.concurrency.take());
            }
            if load.strategy.takes_rate() {
                load.rate = self.rate.map(Quantity::from).or(load.rate.take());
                load.arrival = self.arrival.unwrap_or(load.arrival);
            }
        }
        for phase in &mut workload.phases {
            let given = if phase.measured { self.duration } else { self.warmup };
            match (given.map(|time| time.as_secs_f64()), phase.duration_s.constant()) {
                // The slices stay as long as they are, and there are more or fewer of them.
                (Some(time), Some(slice)) if phase.measured && workload.rounds.is_some() => {
                    workload.rounds = Some(Quantity::from((time / slice).round().max(1.0)));
                }
                (Some(time), _) => phase.duration_s = Quantity::from(time),
                (None, _) => {}
            }
        }
        workload
    }
}

fn measured(workload: &Workload) -> impl Iterator<Item = &LoadSpec> {
    workload.loads.iter().filter(|load| !load.background)
}

/// The routes of an experiment for a strategy that it lacks: the levels of its factor `route`, or all that
/// its measured loads ask for.
fn routes(experiment: &Experiment) -> Vec<String> {
    let mut routes: Vec<String> = Vec::new();
    let by_factor = experiment.workloads.iter().any(|planned| planned.workload.levels.contains_key("route"));
    for planned in &experiment.workloads {
        if by_factor && !planned.workload.levels.contains_key("route") {
            continue;
        }
        for load in measured(&planned.workload) {
            if !routes.contains(&load.route) {
                routes.push(load.route.clone());
            }
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "0s", "-1s", "2h", "1e9s", "NaNs"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        let minutes = |text| long_duration(text).map(|time| time.as_secs_f64() / 60.0);
        assert_eq!([minutes("90s"), minutes("10m"), minutes("2h")], [Ok(1.5), Ok(10.0), Ok(120.0)]);
        assert!(long_duration("0s").is_err() && long_duration("25h").is_err());
        assert_eq!(duration_or_none("0s"), Ok(Duration::ZERO));
        assert!(duration_or_none("-1s").is_err());
    }

    #[test]
    fn interference_is_a_route_and_a_count() {
        let one: Interference = "fib/42@1".parse().expect("valid");
        assert_eq!(one, Interference { target: "/fib/42".into(), count: 1 });
        assert_eq!(one.to_string(), "fib/42@1");
        for wrong in ["fib/42", "fib/42@0", "fib/42@x", "fib/99@1", "nosuch@1", "@1", "/fib@x"] {
            assert!(wrong.parse::<Interference>().is_err(), "{wrong}");
        }
        assert!("/nosuch@1".parse::<Interference>().is_ok(), "some server's");
    }
}
