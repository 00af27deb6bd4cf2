//! What happens to one server once, at given levels: all that makes a cell but its server.
//!
//! This is the one place that says which rows are comparable: those with the same [`Workload::id`].

use super::quantity::{Known, Quantity};
use load::protocol::{Amount, Arrivals, Connections, Load, PhaseTime, Strategy};
use load::schedule::Arrival;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// More requests than that in a load are a slip of the finger.
pub const MAX_REQUESTS: u64 = 100_000_000;
/// More connections than that do not fit one client address.
pub const MAX_CONCURRENCY: usize = 28_000;
/// More server processes than that are a slip of the finger.
pub const MAX_PROCESSES: usize = 256;
/// More threads of one kind than that no server takes.
pub const MAX_THREADS: usize = 10_000;
/// A longer phase is a slip of the finger.
pub const MAX_DURATION: Duration = Duration::from_secs(3600);
/// The time in seconds before the measured time where nothing is said: at least a second
/// (docs/methodology.md).
pub const WARMUP_S: f64 = 1.0;
/// More rounds than that are a slip of the finger.
pub const MAX_ROUNDS: usize = 10_000;
/// A higher rate, in requests per second, is beyond any client thread.
pub const MAX_RATE: f64 = 10_000_000.0;

/// Connections of an open loop where nothing is said: a pool that does not run out at a few thousand
/// requests of 50 ms a second.
const POOL: f64 = 256.0;
/// Connections of a closed loop where nothing is said, as load generators have it.
const CLOSED: f64 = 64.0;

/// A scenario at given levels. Its server is not part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// How the server is started.
    pub server: ServerOptions,
    /// Groups of clients.
    pub loads: Vec<LoadSpec>,
    /// What the measured loads do one after the other; empty where they issue a number of requests.
    pub phases: Vec<PhaseSpec>,
    /// How often the phases are gone through, where the servers of a group take turns; otherwise once, one server
    /// after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<Quantity>,
    /// The level of each factor that the scenario uses.
    pub levels: BTreeMap<String, String>,
}

/// How a server is started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerOptions {
    /// Processes behind the port.
    #[serde(default = "one")]
    pub processes: Quantity,
    /// Threads that run tasks in each process; the server's own number where nothing is said.
    pub workers: Option<Quantity>,
    /// Threads that may block in each process; the server's own number where nothing is said.
    pub blocking_threads: Option<Quantity>,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions { processes: one(), workers: None, blocking_threads: None }
    }
}

fn one() -> Quantity {
    Quantity::from(1.0)
}

/// One group of clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadSpec {
    /// What it is called in the rows.
    pub name: String,
    /// How it issues requests.
    pub strategy: Strategy,
    /// A path with its query, or the name of a route that a manifest declares.
    pub route: String,
    /// How many requests; the article's strategies only.
    pub requests: Option<Quantity>,
    /// Requests under way at once, or connections in the pool.
    pub concurrency: Option<Quantity>,
    /// Requests per second of a schedule.
    pub rate: Option<Quantity>,
    /// How the schedule spaces them.
    pub arrival: Arrival,
    /// Whether it only keeps the server busy while the other loads are measured.
    pub background: bool,
}

/// A part of the time in which loads are issued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseSpec {
    /// What it is called in the rows; may be empty.
    pub name: String,
    /// Its length in seconds.
    pub duration_s: Quantity,
    /// What the rate of each load is multiplied by, in the order of the loads.
    pub scale: Vec<Quantity>,
    /// Whether it has rows; a warm-up has none.
    pub measured: bool,
    /// Whether nothing is asked in it, where servers take turns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
}

/// A workload whose numbers are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Processes behind the port.
    pub processes: usize,
    /// Threads that run tasks in each process, where given.
    pub workers: Option<usize>,
    /// Threads that may block in each process, where given.
    pub blocking_threads: Option<usize>,
}

/// One row of a replicate: a measured load in a measured phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The load, by its place among all loads.
    pub load: usize,
    /// The phase, by its place among the measured ones.
    pub phase: usize,
}

impl Workload {
    /// The rows that one replicate gives.
    pub fn parts(&self) -> Vec<Part> {
        let phases = self.phases.iter().filter(|phase| phase.measured).count().max(1);
        let measured = self.loads.iter().enumerate().filter(|(_, load)| !load.background);
        measured.flat_map(|(load, _)| (0..phases).map(move |phase| Part { load, phase })).collect()
    }

    /// The measured phase of a part, where there are phases.
    pub fn phase(&self, part: Part) -> Option<&PhaseSpec> {
        self.phases.iter().filter(|phase| phase.measured).nth(part.phase)
    }

    /// A short name for what a part of it measures: the same for the same numbers, whatever the names of
    /// its loads, phases and factors. Rows with the same one are compared, and no others. `placement` is part
    /// of it: server and client on shared CPUs and on CPUs of their own are never compared.
    pub fn id(&self, part: Part, placement: &str) -> String {
        let text = serde_json::to_string(&(self.canonical(), part.load, part.phase, placement));
        let hash = Sha256::digest(text.unwrap_or_default());
        // Begins with a letter, so that no spreadsheet takes it for a number.
        let digits: String = hash.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
        format!("w{digits}")
    }

    /// Whether both give the same rows, whatever their loads, phases and levels are called.
    pub fn is_same(&self, other: &Workload) -> bool {
        self.canonical() == other.canonical()
    }

    /// Itself without what is only a name, and with defaults written out.
    fn canonical(&self) -> Workload {
        let load = |load: &LoadSpec| LoadSpec {
            name: String::new(),
            concurrency: load.in_flight_quantity(),
            arrival: if load.rate.is_some() { load.arrival } else { Arrival::default() },
            ..load.clone()
        };
        let phase = |phase: &PhaseSpec| PhaseSpec { name: String::new(), ..phase.clone() };
        Workload {
            server: self.server.clone(),
            loads: self.loads.iter().map(load).collect(),
            phases: self.phases.iter().map(phase).collect(),
            rounds: self.rounds.clone(),
            levels: BTreeMap::new(),
        }
    }

    /// What a part of it measures, for a person: `/wait, async, 1000, 2 processes + fib/42@1`.
    pub fn label(&self, part: Part) -> String {
        let load = &self.loads[part.load];
        let mut words = vec![load.route.clone(), load.label()];
        words.extend(self.condition(part));
        words.extend(self.turns(part));
        words.extend(self.phase(part).map(|phase| phase.name.clone()).filter(|name| !name.is_empty()));
        words.join(", ")
    }

    /// How servers take turns, where they do: `20 slices of 50 ms`.
    fn turns(&self, part: Part) -> Option<String> {
        let length = self.phase(part)?.duration_s.constant()?;
        Some(format!("{} slices of {} ms", self.rounds.as_ref()?, length * 1000.0))
    }

    /// What else goes on, where that is more than one process alone: `2 processes + fib/42@1`.
    fn condition(&self, part: Part) -> Option<String> {
        let server = &self.server;
        let mut words = Vec::new();
        if server.processes != one() {
            words.push(format!("{} processes", server.processes));
        }
        words.extend(server.workers.iter().map(|n| format!("{n} workers")));
        words.extend(server.blocking_threads.iter().map(|n| format!("{n} blocking threads")));
        let others = self.beside(part);
        if !others.is_empty() {
            words.push(format!("+ {others}"));
        }
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The loads beside the part's own: `fib/42@1`.
    pub fn beside(&self, part: Part) -> String {
        let others = self.loads.iter().enumerate().filter(|(index, _)| *index != part.load);
        others.map(|(_, load)| load.beside()).collect::<Vec<_>>().join(" + ")
    }

    /// Whether one of its measured loads is the load engine's, whose client has CPUs of its own.
    pub fn is_engine(&self) -> bool {
        self.loads.iter().any(|load| !load.background && load.strategy.is_engine())
    }

    /// Whether any number depends on `name`.
    pub fn needs(&self, name: &str) -> bool {
        let server = [
            Some(&self.server.processes),
            self.server.workers.as_ref(),
            self.server.blocking_threads.as_ref(),
        ];
        let loads =
            self.loads.iter().flat_map(|l| [l.requests.as_ref(), l.concurrency.as_ref(), l.rate.as_ref()]);
        let phases = self.phases.iter().flat_map(|p| p.scale.iter().chain([&p.duration_s]).map(Some));
        let phases = phases.chain([self.rounds.as_ref()]);
        server.into_iter().chain(loads).chain(phases).flatten().any(|quantity| quantity.needs(name))
    }

    /// How the server is started.
    ///
    /// # Errors
    /// One line about the first number that is wrong.
    pub fn scenario(&self, known: &Known) -> Result<Scenario, String> {
        let count = |what: &str, quantity: &Quantity, most: usize| match quantity.count(known)? as usize {
            n if (1..=most).contains(&n) => Ok(n),
            n => Err(format!("{what} {n}: give a number from 1 to {most}")),
        };
        let threads = |what, quantity: &Option<Quantity>| {
            quantity.as_ref().map(|quantity| count(what, quantity, MAX_THREADS)).transpose()
        };
        Ok(Scenario {
            processes: count("processes", &self.server.processes, MAX_PROCESSES)?,
            workers: threads("workers", &self.server.workers)?,
            blocking_threads: threads("blocking_threads", &self.server.blocking_threads)?,
        })
    }

    /// What the clients of the load at `index` do; `None` for a load of no client at all.
    ///
    /// # Errors
    /// One line about the first number that is wrong.
    pub fn load(&self, index: usize, known: &Known) -> Result<Option<Load>, String> {
        let spec = &self.loads[index];
        let strategy = spec.strategy;
        spec.check()?;
        let field = if spec.concurrency.is_some() { "concurrency" } else { "requests" };
        let in_flight = match spec.in_flight_quantity() {
            Some(quantity) => {
                let count = quantity.count(known).map_err(|problem| format!("{field}: {problem}"))?;
                usize::try_from(count).unwrap_or(usize::MAX)
            }
            None => 1,
        };
        if in_flight == 0 {
            return match spec.background {
                true => Ok(None),
                false => Err("concurrency 0: give a number from 1".into()),
            };
        }
        let amount = match &spec.requests {
            _ if spec.background => Amount::UntilStopped,
            Some(requests) => {
                match requests.count(known).map_err(|problem| format!("requests: {problem}"))? {
                    n if (1..=MAX_REQUESTS).contains(&n) => Amount::Requests(n),
                    n => return Err(format!("requests {n}: give a number from 1 to {MAX_REQUESTS}")),
                }
            }
            None => Amount::Time(self.times(index, known)?),
        };
        if let (Amount::Requests(requests), Some(given)) = (&amount, &spec.concurrency)
            && in_flight as u64 > *requests
        {
            return Err(format!(
                "concurrency {given}: give a number from 1 to the number of requests, {requests}"
            ));
        }
        if in_flight > MAX_CONCURRENCY {
            return Err(format!(
                "{in_flight} requests at once are too many for one client: \
                 give a concurrency of at most {MAX_CONCURRENCY}"
            ));
        }
        let arrivals = match &spec.rate {
            None => Arrivals::Closed { in_flight },
            Some(rate) => match rate.value(known)? {
                rate if (0.001..=MAX_RATE).contains(&rate) => Arrivals::Open { rate, process: spec.arrival },
                rate => {
                    return Err(format!("rate {rate}: give requests per second, from 0.001 to {MAX_RATE}"));
                }
            },
        };
        let connections = match strategy.keeps_alive() {
            true => Connections::Kept(in_flight),
            false => Connections::OnePerRequest(in_flight),
        };
        Ok(Some(Load { client: strategy.client(), arrivals, connections, amount }))
    }

    fn times(&self, index: usize, known: &Known) -> Result<Vec<PhaseTime>, String> {
        let time = |phase: &PhaseSpec| {
            let seconds = phase.duration_s.value(known)?;
            let duration = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= MAX_DURATION);
            let scale = phase.scale.get(index).map_or(Ok(1.0), |scale| scale.value(known))?;
            match (duration, scale) {
                (None, _) => Err(format!("duration {seconds} s: give at most an hour")),
                (Some(duration), _) if phase.pause => Ok(PhaseTime { duration, scale: 0.0, measured: false }),
                (Some(time), _) if time.is_zero() && phase.measured => {
                    Err("duration 0: give more than nothing".into())
                }
                (_, scale) if !(0.001..=1000.0).contains(&scale) => {
                    Err(format!("scale {scale}: give a number from 0.001 to 1000"))
                }
                (Some(duration), scale) => Ok(PhaseTime { duration, scale, measured: phase.measured }),
            }
        };
        self.phases.iter().map(time).collect()
    }

    /// How often its phases are gone through; `None` where servers do not take turns.
    ///
    /// # Errors
    /// One line about a number that is wrong.
    pub fn rounds(&self, known: &Known) -> Result<Option<usize>, String> {
        let Some(rounds) = &self.rounds else { return Ok(None) };
        match usize::try_from(rounds.count(known)?) {
            Ok(n) if (1..=MAX_ROUNDS).contains(&n) => Ok(Some(n)),
            _ => Err(format!("rounds {rounds}: give a number from 1 to {MAX_ROUNDS}")),
        }
    }

    /// Makes it a workload of one server after the other, measured for as long in one piece, where it is one of
    /// a lead-in and a slice.
    pub fn take_no_turns(&mut self) {
        let rounds = self.rounds.take().and_then(|rounds| rounds.constant());
        let [lead_in, slice] = &mut self.phases[..] else { return };
        let (Some(rounds), Some(length)) = (rounds, slice.duration_s.constant()) else { return };
        lead_in.duration_s = Quantity::from(WARMUP_S);
        slice.duration_s = Quantity::from(rounds * length);
    }

    /// Refuses rounds of what cannot be done in slices.
    fn check_rounds(&self) -> Result<(), String> {
        if self.rounds(&Known::SAMPLE)?.is_none() {
            return match self.phases.iter().any(|phase| phase.pause) || self.needs("lead_in") {
                true => Err("a pause, and 'lead_in', are for servers that take turns: give rounds".into()),
                false => Ok(()),
            };
        }
        match &self.loads[..] {
            [load] if load.strategy.is_engine() && load.strategy.keeps_alive() => Ok(()),
            _ => Err("rounds are for one open-loop or closed-loop, and nothing in the background".into()),
        }
    }

    /// Refuses what no server could be measured with.
    ///
    /// # Errors
    /// One line about the first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        let measured: Vec<&LoadSpec> = self.loads.iter().filter(|load| !load.background).collect();
        let Some(first) = measured.first() else {
            return Err("no load is measured: one without 'background'".into());
        };
        if measured.iter().any(|load| load.strategy.is_engine() != first.strategy.is_engine()) {
            return Err("measured loads of one scenario end together: either all have a number of requests, or all a time".into());
        }
        if first.strategy.is_engine() != self.phases.iter().any(|phase| phase.measured) {
            return Err(match first.strategy.is_engine() {
                true => format!("{} runs for a time: give duration_s, or a measured phase", first.strategy),
                false => format!("{} runs for a number of requests, not for phases", first.strategy),
            });
        }
        let scaled = |index: usize| {
            self.phases.iter().any(|phase| phase.scale.get(index).is_some_and(|scale| *scale != one()))
        };
        for (index, load) in self.loads.iter().enumerate() {
            let place = |problem: String| format!("load '{}': {problem}", load.name);
            if scaled(index) && (load.rate.is_none() || load.background) {
                return Err(place(
                    "a phase scales the rate of a measured load, and this is none with a rate".into(),
                ));
            }
            self.load(index, &Known::SAMPLE).map_err(place)?;
        }
        self.check_rounds()?;
        self.scenario(&Known::SAMPLE).map(|_| ())
    }
}

impl LoadSpec {
    /// Requests under way at once, with the default written out; `None` for one after the other.
    pub(super) fn in_flight_quantity(&self) -> Option<Quantity> {
        match self.strategy {
            Strategy::Sequential => None,
            Strategy::ThreadPool | Strategy::Async => {
                self.concurrency.clone().or_else(|| self.requests.clone())
            }
            _ if self.rate.is_some() => Some(self.concurrency.clone().unwrap_or(Quantity::from(POOL))),
            _ => Some(self.concurrency.clone().unwrap_or(Quantity::from(CLOSED))),
        }
    }

    /// Refuses fields that do not fit the strategy.
    fn check(&self) -> Result<(), String> {
        let strategy = self.strategy;
        let takes_rate = matches!(strategy, Strategy::OpenLoop | Strategy::Churn);
        match (&self.requests, &self.rate) {
            (Some(_), _) if strategy.is_engine() => {
                Err(format!("{strategy} runs for a time, not for a number of requests"))
            }
            (None, _) if !strategy.is_engine() => Err(format!("{strategy} needs a number of requests")),
            (_, None) if strategy == Strategy::OpenLoop => Err("open-loop needs a rate".into()),
            (_, Some(_)) if !takes_rate => Err(format!("a rate has no effect on {strategy}")),
            _ if self.background && !strategy.is_engine() => Err(format!(
                "{strategy} ends by itself: a load in the background is an open-loop, closed-loop or churn"
            )),
            _ if strategy == Strategy::Sequential && self.concurrency.is_some() => {
                Err("a concurrency has no effect on sequential".into())
            }
            _ => Ok(()),
        }
    }

    /// What the client does: `async, 1000 by 100`, `open-loop, 500/s poisson, 256 connections`.
    pub fn label(&self) -> String {
        let mut words = vec![self.strategy.to_string()];
        let in_flight = self.in_flight_quantity();
        match (&self.requests, in_flight) {
            (Some(requests), Some(in_flight)) if in_flight != *requests => {
                words.push(format!("{requests} by {in_flight}"));
            }
            (Some(requests), _) => words.push(requests.to_string()),
            (None, in_flight) => {
                words.extend(self.rate.iter().map(|rate| format!("{rate}/s {}", self.arrival.name())));
                words.extend(in_flight.map(|n| format!("{n} connections")));
            }
        }
        words.join(", ")
    }

    /// How it is called beside another load: `fib/42@1`.
    fn beside(&self) -> String {
        let route = self.route.trim_start_matches('/');
        match (&self.rate, self.in_flight_quantity()) {
            (Some(rate), _) => format!("{route} {rate}/s"),
            (None, Some(in_flight)) => format!("{route}@{in_flight}"),
            (None, None) => route.to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
