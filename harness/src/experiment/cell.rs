//! From a selection to cells, blocks and the order they run in.

use crate::experiment::catalog::{Processes, ServerDef};
use contract::route::Route;
use load::Strategy;
use load::schedule::Arrival;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// More requests than that in a cell are a slip of the finger.
pub const MAX_REQUESTS: u64 = 100_000_000;
/// More connections than that do not fit one client address.
pub const MAX_CONCURRENCY: usize = 28_000;
/// More processes or interfering requests than that are a slip of the finger.
pub const MAX_PROCESSES: usize = 256;

/// More time than that in a cell is a slip of the finger.
pub const MAX_DURATION: Duration = Duration::from_secs(3600);
/// A higher rate than that is beyond any client thread.
pub const MAX_RATE: f64 = 10_000_000.0;

/// What a client does in a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// How it issues requests.
    pub strategy: Strategy,
    /// How many, or for how long.
    pub amount: Amount,
    /// How many may be under way at once; all of them, or the strategy's own number, where nothing is given.
    pub concurrency: Option<usize>,
    /// Requests per second, for a strategy with a schedule.
    pub rate: Option<f64>,
    /// How the schedule spaces them.
    pub arrival: Arrival,
}

/// How much a client does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// So many requests: the article's strategies.
    Requests(u64),
    /// So long, after a warm-up that is not counted: the load engine's.
    Time {
        /// The time before.
        warmup: Duration,
        /// The measured time.
        duration: Duration,
    },
}

/// Connections of the load engine where nothing is said: with a schedule a pool that does not run out at
/// a few thousand requests of 50 ms a second, and otherwise what load generators use.
const POOL: usize = 256;
const CLOSED: usize = 64;

impl Work {
    /// `amount` of `strategy`, with nothing else said.
    pub fn of(strategy: Strategy, amount: Amount) -> Work {
        Work { strategy, amount, concurrency: None, rate: None, arrival: Arrival::default() }
    }

    /// How many requests can be under way at once.
    pub fn in_flight(&self) -> usize {
        match (self.strategy, self.amount) {
            (Strategy::Sequential, _) => 1,
            (_, Amount::Requests(requests)) => {
                let all = usize::try_from(requests).unwrap_or(usize::MAX);
                self.concurrency.unwrap_or(all).min(all)
            }
            (_, Amount::Time { .. }) => {
                self.concurrency.unwrap_or(if self.rate.is_some() { POOL } else { CLOSED })
            }
        }
    }

    /// How many requests, where that is what is given.
    pub fn requests(&self) -> Option<u64> {
        match self.amount {
            Amount::Requests(requests) => Some(requests),
            Amount::Time { .. } => None,
        }
    }

    /// Whether intended starts are fixed before: `open`, or `closed`.
    pub fn loop_name(&self) -> &'static str {
        if self.rate.is_some() { "open" } else { "closed" }
    }

    /// Refuses absurd numbers.
    ///
    /// # Errors
    /// One line that says which number, and its range.
    pub fn check(&self) -> Result<(), String> {
        match self.amount {
            Amount::Requests(_) if self.strategy.is_engine() => {
                return Err(format!("{} runs for a duration, not for a number of requests", self.strategy));
            }
            Amount::Time { .. } if !self.strategy.is_engine() => {
                return Err(format!("{} runs for a number of requests, not for a duration", self.strategy));
            }
            Amount::Requests(requests) if !(1..=MAX_REQUESTS).contains(&requests) => {
                return Err(format!("--requests {requests}: give a number from 1 to {MAX_REQUESTS}"));
            }
            Amount::Time { warmup, duration }
                if warmup.max(duration) > MAX_DURATION || duration.is_zero() =>
            {
                return Err("--duration and --warmup: give at most an hour".into());
            }
            _ => {}
        }
        match (self.strategy, self.rate) {
            (Strategy::OpenLoop, None) => return Err("open-loop needs a --rate".into()),
            (Strategy::OpenLoop | Strategy::Churn, Some(rate)) if !(0.001..=MAX_RATE).contains(&rate) => {
                return Err(format!("--rate {rate}: give requests per second, from 0.001 to {MAX_RATE}"));
            }
            (Strategy::OpenLoop | Strategy::Churn, _) | (_, None) => {}
            (strategy, Some(_)) => return Err(format!("a rate has no effect on the {strategy} strategy")),
        }
        if let Some(limit) = self.concurrency {
            if self.strategy == Strategy::Sequential {
                return Err("a concurrency has no effect on the sequential strategy".into());
            }
            match self.amount {
                Amount::Requests(requests) if limit == 0 || limit as u64 > requests => {
                    return Err(format!(
                        "--concurrency {limit}: give a number from 1 to the number of requests, {requests}"
                    ));
                }
                _ if limit == 0 => return Err("--concurrency 0: give a number from 1".into()),
                _ => {}
            }
        }
        if self.in_flight() > MAX_CONCURRENCY {
            return Err(format!(
                "{} requests at once are too many for one client: give --concurrency, at most {MAX_CONCURRENCY}",
                self.in_flight()
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.strategy)?;
        if let Some(requests) = self.requests() {
            return match self.concurrency {
                Some(limit) => write!(f, " {requests} by {limit}"),
                None => write!(f, " {requests}"),
            };
        }
        match self.rate {
            Some(rate) => write!(f, " {rate}/s {}", self.arrival.name()),
            None => write!(f, " {}", self.in_flight()),
        }
    }
}

/// Which CPUs the server and the client get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// Split for the load engine's strategies where there are two CPUs or more, shared otherwise.
    #[default]
    Auto,
    /// The server and the client on CPUs of their own.
    Split,
    /// Both on all CPUs.
    Shared,
}

/// Requests that are kept in flight while a cell runs: `fib/42@1`.
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

impl Interference {
    /// Refuses a path that no server of the catalogue has.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        Route::parse_target(&self.target).map(|_| ()).map_err(|e| format!("--interfere {self}: {e}"))
    }
}

impl fmt::Display for Interference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.target.trim_start_matches('/'), self.count)
    }
}

/// What else goes on while a cell runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Server processes behind the port.
    pub processes: usize,
    /// Requests kept in flight from before the cell's first until after its last.
    pub interference: Option<Interference>,
}

impl Condition {
    /// One process, and nothing that interferes.
    pub fn plain() -> Condition {
        Condition { processes: 1, interference: None }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.processes {
            1 => write!(f, "1 process")?,
            n => write!(f, "{n} processes")?,
        }
        match &self.interference {
            Some(interference) => write!(f, " + {interference}"),
            None => Ok(()),
        }
    }
}

/// What a client does, and on which routes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedWork {
    /// What it does.
    pub work: Work,
    /// Paths with their queries.
    pub targets: Vec<String>,
    /// Whether only with one process and without interference.
    pub alone: bool,
}

/// One combination that is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Which server, as an index into the run's servers.
    pub server: usize,
    /// The path, with its query.
    pub target: String,
    /// What the client does.
    pub work: Work,
    /// What else goes on.
    pub condition: Condition,
}

impl Cell {
    /// Whether both differ in their servers at the most, so that their figures are compared.
    pub fn is_comparable(&self, other: &Cell) -> bool {
        (&self.target, &self.work, &self.condition) == (&other.target, &other.work, &other.condition)
    }
}

/// Every combination that exists: a route a server lacks, or processes it cannot have, are absent.
pub fn cells(servers: &[ServerDef], work: &[PlannedWork], conditions: &[Condition]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (index, server) in servers.iter().enumerate() {
        let has =
            |target: &str| Route::parse_target(target).is_ok_and(|route| server.has_route(route.name()));
        for condition in conditions {
            let possible = condition.processes == 1 || server.processes != Processes::One;
            let disturbed = condition.interference.as_ref().is_none_or(|i| has(&i.target));
            if !possible || !disturbed {
                continue;
            }
            for planned in work.iter().filter(|planned| !planned.alone || *condition == Condition::plain()) {
                for target in planned.targets.iter().filter(|target| has(target)) {
                    let cell = Cell {
                        server: index,
                        target: target.clone(),
                        work: planned.work.clone(),
                        condition: condition.clone(),
                    };
                    // Two works of a profile can become the same by a flag.
                    if !cells.contains(&cell) {
                        cells.push(cell);
                    }
                }
            }
        }
    }
    cells
}

/// The order in which block `block` runs its groups, and each group its cells, of which there are `groups`:
/// the same for the same seed, another for each block.
pub fn order(groups: &[usize], block: usize, seed: u64) -> Vec<(usize, Vec<usize>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(block as u64);
    let mut order: Vec<(usize, Vec<usize>)> =
        groups.iter().map(|cells| (0..*cells).collect()).enumerate().collect();
    order.shuffle(&mut rng);
    for (_, cells) in &mut order {
        cells.shuffle(&mut rng);
    }
    order
}

/// Which of `contestants` servers runs a second time as the control: the seed decides. None of one, since
/// there is nothing to compare then.
pub fn control(contestants: usize, seed: u64) -> Option<usize> {
    // Blocks count from 1: their orders are other streams.
    (contestants > 1).then(|| ChaCha8Rng::seed_from_u64(seed).random_range(0..contestants))
}

/// A seed for a run that was given none: small enough to type.
pub fn fresh_seed() -> u64 {
    rand::rng().random_range(1..1_000_000)
}

#[cfg(test)]
mod tests;
