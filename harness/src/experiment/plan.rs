//! From an experiment and its servers to cells, groups, and the order they run in.

use super::blocks_of::BlocksOf;
use super::model::{Compare, Experiment, Planned};
use super::quantity::Quantity;
use super::server::{Processes, ServerDef};
use super::workload::{LoadSpec, PhaseSpec, ServerOptions, Workload};
use load::protocol::Strategy;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;

/// What the server of the client's ceilings is asked for.
pub const CEILING_ROUTE: &str = "/plaintext";
/// A ceiling waits for nothing: it settles, and shows itself, in less time than a server. In seconds.
const CEILING_DURATION_S: f64 = 0.5;
const CEILING_WARMUP_S: f64 = 0.25;

/// One combination that is measured: a server and a workload, by their places in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The server.
    pub server: usize,
    /// The workload.
    pub workload: usize,
}

/// All that a run covers.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What happens to servers. The experiment's, then the trials of its searches, then the ceilings'.
    pub workloads: Vec<Planned>,
    /// The first workload that is not the experiment's.
    pub searches_from: usize,
    /// What the ceiling's server does at the beginning of each block.
    pub ceilings: Vec<Cell>,
    /// The trials of a search, one cell for each server.
    pub searches: Vec<Cell>,
    /// Cells that are compared with each other.
    pub groups: Vec<Vec<Cell>>,
    /// The server that runs a second time, after its second self.
    pub control: Option<(usize, usize)>,
    /// How often every group is run.
    pub blocks: usize,
    /// Which of these blocks are run here.
    pub part: BlocksOf,
    /// What decides the order.
    pub seed: u64,
}

impl Plan {
    /// The server that `server` is a second one of, or itself.
    pub fn controlled(&self, server: usize) -> usize {
        self.control.filter(|(control, _)| *control == server).map_or(server, |(_, its)| its)
    }

    /// How many blocks are run here.
    pub fn blocks_here(&self) -> usize {
        self.part.count(self.blocks)
    }

    /// The ceiling that says what the client of `load` reaches with no server to wait for.
    pub fn ceiling_of(&self, load: &LoadSpec) -> Option<usize> {
        let wanted = unbounded(load)?;
        let is_it = |cell: &Cell| does_the_same(&self.workloads[cell.workload].workload.loads[0], &wanted);
        self.ceilings.iter().position(is_it)
    }
}

/// Why `server` cannot be measured with `workload`, if it cannot.
pub fn obstacle(server: &ServerDef, workload: &Workload) -> Option<String> {
    let zero = |load: &&LoadSpec| {
        load.background && load.concurrency.as_ref().and_then(Quantity::constant) == Some(0.0)
    };
    let lacks = workload.loads.iter().filter(|load| !zero(load)).find(|load| !server.has_target(&load.route));
    if let Some(load) = lacks {
        return Some(format!("it lacks {}", load.route));
    }
    let several = workload.server.processes.constant().is_none_or(|n| n > 1.0);
    if several && server.processes == Processes::One {
        return Some("it cannot run as several processes".into());
    }
    None
}

/// Every combination of servers and workloads that exists, and in one line for each server why others are
/// left out.
pub fn cells(servers: &[ServerDef], workloads: &[Planned]) -> (Vec<Cell>, Vec<String>) {
    let (mut cells, mut left_out) = (Vec::new(), Vec::new());
    for (server, def) in servers.iter().enumerate() {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for (workload, planned) in workloads.iter().enumerate() {
            match obstacle(def, &planned.workload) {
                Some(reason) => *reasons.entry(reason).or_default() += 1,
                None => cells.push(Cell { server, workload }),
            }
        }
        left_out.extend(reasons.into_iter().map(|(reason, times)| left_out_line(&def.name, times, &reason)));
    }
    (cells, left_out)
}

/// Says of how many workloads a server is left out, and why.
pub fn left_out_line(server: &str, workloads: usize, reason: &str) -> String {
    let plural = if workloads == 1 { "" } else { "s" };
    format!("{server} is left out of {workloads} workload{plural}: {reason}")
}

/// Cells that are compared with each other stand together, in the order in which they come.
pub fn groups(cells: &[Cell], experiment: &Experiment) -> Vec<Vec<Cell>> {
    let key = |cell: &Cell| match experiment.compare {
        Compare::Servers => (None, cell.workload),
        Compare::Factor { .. } | Compare::Phases { .. } => {
            (Some(cell.server), experiment.workloads[cell.workload].base)
        }
    };
    let mut groups: Vec<Vec<Cell>> = Vec::new();
    for cell in cells {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| key(first) == key(cell))) {
            Some(group) => group.push(*cell),
            None => groups.push(vec![*cell]),
        }
    }
    groups
}

/// What the ceiling's server has to do for these workloads: every measured load alone, without its rate,
/// which is what its client can reach, and with its rate, whose latency is the lowest there can be.
pub fn ceilings<'a>(workloads: impl IntoIterator<Item = &'a Workload>) -> Vec<Workload> {
    let mut ceilings: Vec<Workload> = Vec::new();
    for workload in workloads {
        // Nobody takes turns with it, and a slice would be too short.
        let mut whole = workload.clone();
        whole.take_no_turns();
        for load in workload.loads.iter().filter(|load| !load.background) {
            for load in [unbounded(load), floor(load)].into_iter().flatten() {
                if ceilings.iter().any(|known| does_the_same(&known.loads[0], &load)) {
                    continue;
                }
                let phases = shortened(&whole.phases);
                let (server, levels) = (ServerOptions::default(), BTreeMap::new());
                ceilings.push(Workload { server, loads: vec![load], phases, rounds: None, levels });
            }
        }
    }
    ceilings
}

/// Whether `workload` is what `ceiling` asks for, but for how long.
pub fn is_ceiling(workload: &Workload, ceiling: &Workload) -> bool {
    let [load] = &workload.loads[..] else { return false };
    let plain = workload.server == ceiling.server && load.route == ceiling.loads[0].route;
    plain && does_the_same(load, &ceiling.loads[0])
}

/// A warm-up and one measured phase, not longer than a ceiling needs.
fn shortened(phases: &[PhaseSpec]) -> Vec<PhaseSpec> {
    let seconds = |measured: bool| -> f64 {
        let of_kind = phases.iter().filter(|phase| phase.measured == measured && !phase.pause);
        of_kind.map(|phase| phase.duration_s.constant().unwrap_or(CEILING_DURATION_S)).sum()
    };
    if phases.is_empty() {
        return Vec::new();
    }
    let warmup = Quantity::from(seconds(false).min(CEILING_WARMUP_S));
    super::file::timed(warmup, Quantity::from(seconds(true).min(CEILING_DURATION_S)))
}

/// Whether a client that does the one does the other, but for how long and of whom.
fn does_the_same(one: &LoadSpec, other: &LoadSpec) -> bool {
    let work = |load: &LoadSpec| {
        let arrival = load.rate.as_ref().map(|_| load.arrival);
        (load.strategy, load.requests.clone(), load.in_flight_quantity(), load.rate.clone(), arrival)
    };
    work(one) == work(other)
}

/// The load without its rate, against constant bytes: a ceiling that is offered a rate answers just that.
/// `None` where its numbers depend on the server.
fn unbounded(load: &LoadSpec) -> Option<LoadSpec> {
    let strategy = match load.strategy {
        Strategy::OpenLoop => Strategy::ClosedLoop,
        other => other,
    };
    let in_flight = load.in_flight_quantity();
    if in_flight.as_ref().is_some_and(|n| n.constant().is_none()) {
        return None;
    }
    // With the number of its connections, which would otherwise depend on whether it has a rate.
    let concurrency = if strategy.is_engine() { in_flight } else { load.concurrency.clone() };
    let (name, route) = (strategy.to_string(), CEILING_ROUTE.to_owned());
    Some(LoadSpec { name, strategy, route, rate: None, concurrency, ..load.clone() })
}

/// The load with its rate, against constant bytes. `None` without a rate of its own.
fn floor(load: &LoadSpec) -> Option<LoadSpec> {
    load.rate.as_ref()?.constant()?;
    let concurrency = load.in_flight_quantity();
    Some(LoadSpec {
        name: load.strategy.to_string(),
        route: CEILING_ROUTE.to_owned(),
        concurrency,
        ..load.clone()
    })
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

/// What decides the arrivals of a workload in a block: the same for all servers of a group, another for
/// each block and workload, so that the chance of arrivals is part of every interval.
pub fn schedule_seed(seed: u64, block: usize, workload_id: &str) -> u64 {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(format!("{seed} {block} {workload_id}"));
    hash.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
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
#[path = "plan_tests.rs"]
mod tests;
