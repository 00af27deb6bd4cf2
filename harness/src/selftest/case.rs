//! A case, the trials that are made of it, and the loads that several of them share.

use super::bench::TestBench;
use super::figure::Figure;
use crate::experiment::file;
use crate::experiment::quantity::Quantity;
use crate::experiment::workload::{LoadSpec, PhaseSpec, Workload};
use anyhow::Result;
use load::Strategy;
use load::protocol::Driver;
use load::schedule::Arrival;
use std::time::Duration;

/// A row of the table of known answers, in the order in which they are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, strum::Display, strum::VariantArray)]
#[value(rename_all = "verbatim")]
#[expect(missing_docs, reason = "each is described where its trials are made, and in docs/methodology.md")]
pub enum Case {
    K1,
    K2,
    K3a,
    K3b,
    K3c,
    K4,
    K4b,
    K5,
    K6,
    K7,
    K9,
    K10,
    K12,
    K13,
    K11,
    K11b,
    K14,
}

/// What of all this is to be run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selected<'a> {
    pub(super) only: &'a [Case],
    pub(super) full: bool,
    pub(super) drivers: &'a [Driver],
}

pub(super) type Steps = Box<dyn Fn(&mut TestBench) -> Result<Vec<Figure>>>;

/// One set-up that is measured and judged.
pub(super) struct Trial {
    pub(super) case: Case,
    pub(super) setup: String,
    pub(super) strategy: Strategy,
    /// For a strategy of the load engine.
    pub(super) driver: Option<Driver>,
    /// Whether it is run again when the host was not quiet.
    pub(super) repeatable: bool,
    /// Why it cannot be run on this machine.
    pub(super) not_asked: Option<&'static str>,
    pub(super) steps: Steps,
}

/// With which of the load engine's drivers a trial is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    /// Each of them.
    Each,
    /// Each of them in a full test, and else one, in turn.
    OneInTurn,
    /// The first, in a full test too.
    First,
}

/// Collects trials.
pub(super) struct Trials<'a> {
    pub(super) selected: Selected<'a>,
    pub(super) turn: usize,
    pub(super) list: Vec<Trial>,
}

impl Trials<'_> {
    fn wants(&self, case: Case) -> bool {
        let only = self.selected.only;
        if only.is_empty() {
            // These alone take half an hour.
            self.selected.full || !matches!(case, Case::K11 | Case::K11b)
        } else {
            only.contains(&case)
        }
    }

    /// Adds a trial of an article's strategy.
    pub(super) fn add(
        &mut self,
        case: Case,
        setup: impl Into<String>,
        strategy: Strategy,
        steps: impl Fn(&mut TestBench, Driver) -> Result<Vec<Figure>> + 'static,
    ) {
        let steps = Box::new(move |bench: &mut TestBench| steps(bench, Driver::Auto));
        self.push(case, setup.into(), strategy, None, steps);
    }

    /// Adds a trial of the load engine's.
    pub(super) fn add_engine(
        &mut self,
        case: Case,
        setup: impl Into<String>,
        strategy: Strategy,
        with: With,
        steps: impl Fn(&mut TestBench, Driver) -> Result<Vec<Figure>> + Clone + 'static,
    ) {
        if !self.wants(case) {
            return;
        }
        let setup = setup.into();
        let all = self.selected.drivers;
        let drivers = match with {
            With::Each => all.to_vec(),
            With::First => all[..1].to_vec(),
            With::OneInTurn if self.selected.full => all.to_vec(),
            With::OneInTurn => {
                self.turn += 1;
                vec![all[self.turn % all.len()]]
            }
        };
        for driver in drivers {
            let steps = steps.clone();
            let steps = Box::new(move |bench: &mut TestBench| steps(bench, driver));
            self.push(case, setup.clone(), strategy, Some(driver), steps);
        }
    }

    fn push(&mut self, case: Case, setup: String, strategy: Strategy, driver: Option<Driver>, steps: Steps) {
        if self.wants(case) {
            self.list.push(Trial { case, setup, strategy, driver, repeatable: true, not_asked: None, steps });
        }
    }
}

/// A load for a time: `rate` is none on a closed loop.
pub(super) fn timed(
    strategy: Strategy,
    connections: usize,
    rate: Option<f64>,
    arrival: Arrival,
    warmup: Duration,
    duration: Duration,
) -> Workload {
    let load = LoadSpec { rate: rate.map(Quantity::from), arrival, ..load(strategy, Some(connections)) };
    let seconds = |time: Duration| Quantity::from(time.as_secs_f64());
    workload(load, file::timed(seconds(warmup), seconds(duration)))
}

/// The same in slices, of servers that take turns.
pub(super) fn in_turns(rounds: u32, work: Workload) -> Workload {
    Workload { rounds: Some(Quantity::from(f64::from(rounds))), ..work }
}

/// A load of constant gaps.
pub(super) fn steady(
    strategy: Strategy,
    connections: usize,
    rate: f64,
    warmup: Duration,
    duration: Duration,
) -> Workload {
    timed(strategy, connections, Some(rate), Arrival::Constant, warmup, duration)
}

/// A load of so many requests.
pub(super) fn counted(strategy: Strategy, requests: u64, concurrency: Option<usize>) -> Workload {
    let requests = Some(Quantity::from(requests as f64));
    workload(LoadSpec { requests, ..load(strategy, concurrency) }, Vec::new())
}

/// A load of the oracle, which answers any path; this one has no delay of its own.
fn load(strategy: Strategy, concurrency: Option<usize>) -> LoadSpec {
    LoadSpec {
        name: strategy.to_string(),
        strategy,
        route: "/plaintext".to_owned(),
        requests: None,
        concurrency: concurrency.map(|n| Quantity::from(n as f64)),
        rate: None,
        arrival: Arrival::default(),
        background: false,
    }
}

fn workload(load: LoadSpec, phases: Vec<PhaseSpec>) -> Workload {
    Workload {
        server: Default::default(),
        loads: vec![load],
        phases,
        rounds: None,
        levels: Default::default(),
    }
}

pub(super) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
