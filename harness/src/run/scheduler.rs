//! What runs next: ceilings, then groups of comparable cells, block by block, and again what was disturbed.
//!
//! Everything follows from the plan, the seed and the rows so far, so that a run that was killed is
//! continued by replaying its rows.

use crate::experiment::cell::{self, Amount, Cell, Work};
use crate::judge::verdict::Verdict;
use crate::record::row::Row;
use load::Strategy;
use std::time::Duration;

/// How often a group is run again in one block at the most, so that a host that is never quiet does not
/// hold a run for ever.
const GROUP_REPEATS: usize = 2;
/// How often a ceiling is.
const CEILING_REPEATS: usize = 1;
/// A ceiling does not wait for anything: it settles, and shows itself, in less time than a server.
const CEILING_DURATION: Duration = Duration::from_secs(2);
const CEILING_WARMUP: Duration = Duration::from_millis(500);

/// All that a run covers.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What the ceiling's server does at the beginning of each block.
    pub ceilings: Vec<Cell>,
    /// Everything else.
    pub cells: Vec<Cell>,
    /// How often.
    pub blocks: usize,
    /// What decides the order.
    pub seed: u64,
}

/// One replicate to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The block, from 1.
    pub block: usize,
    /// Which attempt of its group, from 1.
    pub attempt: usize,
    /// Its place in the block, from 1.
    pub order_index: usize,
    /// What to run.
    pub cell: Cell,
    /// What the same client reached against the ceiling's server in this block.
    pub client_ceiling: Option<f64>,
}

/// Cells that are run, and run again, together.
#[derive(Debug)]
struct Batch {
    cells: Vec<Cell>,
    is_ceiling: bool,
    /// Repeats left in the whole run.
    left: usize,
}

/// Where a run is.
#[derive(Debug)]
pub struct Sequence {
    plan: Plan,
    batches: Vec<Batch>,
    block: usize,
    /// The batches of this block and the order of their cells.
    order: Vec<(usize, Vec<usize>)>,
    at: usize,
    cell: usize,
    attempt: usize,
    is_noisy: bool,
    rows_in_block: usize,
    /// What each ceiling reached in this block.
    reached: Vec<Option<f64>>,
    voided: usize,
}

impl Sequence {
    /// The beginning.
    pub fn new(plan: Plan) -> Sequence {
        let mut batches: Vec<Batch> = Vec::new();
        for cell in &plan.ceilings {
            let left = CEILING_REPEATS * plan.blocks;
            batches.push(Batch { cells: vec![cell.clone()], is_ceiling: true, left });
        }
        for cell in &plan.cells {
            let group = batches.iter_mut().filter(|batch| !batch.is_ceiling);
            match group.into_iter().find(|batch| batch.cells.iter().any(|other| other.is_comparable(cell))) {
                Some(batch) => batch.cells.push(cell.clone()),
                None => {
                    batches.push(Batch { cells: vec![cell.clone()], is_ceiling: false, left: plan.blocks })
                }
            }
        }
        let mut sequence = Sequence {
            plan,
            batches,
            block: 0,
            order: Vec::new(),
            at: 0,
            cell: 0,
            attempt: 1,
            is_noisy: false,
            rows_in_block: 0,
            reached: Vec::new(),
            voided: 0,
        };
        sequence.next_block();
        sequence
    }

    /// How many rows there are if nothing is disturbed.
    pub fn rows(&self) -> usize {
        (self.plan.ceilings.len() + self.plan.cells.len()) * self.plan.blocks
    }

    /// How many attempts of a group or a ceiling have been run again.
    pub fn voided(&self) -> usize {
        self.voided
    }

    /// What to run now; nothing at the end.
    pub fn step(&self) -> Option<Step> {
        let (batch, order) = self.order.get(self.at)?;
        let cell = self.batches[*batch].cells[*order.get(self.cell)?].clone();
        Some(Step {
            block: self.block,
            attempt: self.attempt,
            order_index: self.rows_in_block + 1,
            client_ceiling: self.ceiling_of(*batch, &cell.work),
            cell,
        })
    }

    /// Goes on after what came of [`Sequence::step`]. Says how many rows that adds to the run: none,
    /// unless a whole batch is run again.
    pub fn advance(&mut self, row: &Row) -> usize {
        let Some((batch, order)) = self.order.get(self.at) else { return 0 };
        let (batch, cells) = (*batch, order.len());
        self.rows_in_block += 1;
        self.cell += 1;
        self.is_noisy |= row.verdict == Verdict::NoisyHost.name();
        if self.batches[batch].is_ceiling {
            self.reached[batch] = row.throughput_rps.filter(|_| row.error.is_empty());
        }
        if self.cell < cells {
            return 0;
        }
        let noisy = std::mem::take(&mut self.is_noisy);
        self.cell = 0;
        let batch = &mut self.batches[batch];
        let repeats = if batch.is_ceiling { CEILING_REPEATS } else { GROUP_REPEATS };
        if noisy && self.attempt <= repeats && batch.left > 0 {
            batch.left -= 1;
            self.attempt += 1;
            self.voided += 1;
            return cells;
        }
        self.attempt = 1;
        self.at += 1;
        if self.at == self.order.len() {
            self.next_block();
        }
        0
    }

    fn next_block(&mut self) {
        (self.at, self.cell, self.rows_in_block) = (0, 0, 0);
        self.order.clear();
        self.block += 1;
        if self.block > self.plan.blocks {
            return;
        }
        let (ceilings, groups) = self.batches.split_at(self.plan.ceilings.len());
        let sizes: Vec<usize> = groups.iter().map(|group| group.cells.len()).collect();
        self.reached = vec![None; ceilings.len()];
        self.order = (0..ceilings.len()).map(|ceiling| (ceiling, vec![0])).collect();
        let shuffled = cell::order(&sizes, self.block, self.plan.seed);
        self.order.extend(shuffled.into_iter().map(|(group, cells)| (ceilings.len() + group, cells)));
    }

    /// What the same client reached with no server to wait for. A ceiling is not its own.
    fn ceiling_of(&self, batch: usize, work: &Work) -> Option<f64> {
        let wanted = unbounded(work);
        let ceiling = self.plan.ceilings.iter().position(|ceiling| does_the_same(&ceiling.work, &wanted))?;
        self.reached.get(ceiling).copied().flatten().filter(|_| ceiling != batch)
    }
}

/// What the ceiling's server has to do for these works: each without its rate, which is what the client
/// can reach, and each with a rate as it is, whose latency is the lowest there can be.
pub fn ceilings<'a>(works: impl IntoIterator<Item = &'a Work>) -> Vec<Work> {
    let mut ceilings: Vec<Work> = Vec::new();
    for work in works {
        let as_it_is = work.rate.map(|_| explicit(work.clone()));
        for ceiling in [Some(unbounded(work)), as_it_is].into_iter().flatten() {
            if !ceilings.iter().any(|known| does_the_same(known, &ceiling)) {
                ceilings.push(ceiling);
            }
        }
    }
    ceilings
}

/// A ceiling's work, not longer than a ceiling needs.
pub fn shortened(work: &Work) -> Work {
    let amount = match work.amount {
        Amount::Time { warmup, duration } => {
            Amount::Time { warmup: warmup.min(CEILING_WARMUP), duration: duration.min(CEILING_DURATION) }
        }
        amount => amount,
    };
    Work { amount, ..work.clone() }
}

/// Whether a client that does the one does the other, but for how long.
pub fn does_the_same(one: &Work, other: &Work) -> bool {
    let without_time = |work: &Work| {
        let work = explicit(work.clone());
        (work.strategy, work.requests(), work.concurrency, work.rate.map(f64::to_bits), work.arrival)
    };
    without_time(one) == without_time(other)
}

/// The work without its rate: a ceiling that is offered a rate answers just that. The same engine, with as
/// many connections, each sending its next request when it has an answer.
fn unbounded(work: &Work) -> Work {
    let strategy = match work.strategy {
        Strategy::OpenLoop => Strategy::ClosedLoop,
        other => other,
    };
    let work = explicit(work.clone());
    match work.rate {
        Some(_) => Work { strategy, rate: None, arrival: Default::default(), ..work },
        None => work,
    }
}

/// The work with the number of its connections, which would otherwise depend on whether it has a rate.
fn explicit(mut work: Work) -> Work {
    if work.strategy.is_engine() {
        work.concurrency = Some(work.in_flight());
    }
    work
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::cell::Condition;

    const SECOND: Amount = Amount::Time { warmup: Duration::from_secs(1), duration: Duration::from_secs(4) };

    fn cell(server: usize, target: &str, work: &Work) -> Cell {
        Cell { server, target: target.into(), work: work.clone(), condition: Condition::plain() }
    }

    fn open(rate: f64) -> Work {
        Work { rate: Some(rate), ..Work::of(Strategy::OpenLoop, SECOND) }
    }

    /// Two servers on three routes, and a ceiling.
    fn plan(blocks: usize) -> Plan {
        let work = Work::of(Strategy::Async, Amount::Requests(10));
        let cells = [0, 1].into_iter().flat_map(|server| ["/a", "/b", "/c"].map(|t| cell(server, t, &work)));
        Plan { ceilings: vec![cell(2, "/plaintext", &work)], cells: cells.collect(), blocks, seed: 3 }
    }

    /// Runs it to its end; `noisy` says which steps are disturbed.
    fn run(sequence: &mut Sequence, noisy: impl Fn(&Step) -> bool) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = sequence.step() {
            let verdict = if noisy(&step) { Verdict::NoisyHost } else { Verdict::Ok };
            let throughput_rps = Some((100 * step.block + step.order_index) as f64);
            sequence.advance(&Row { verdict: verdict.name().into(), throughput_rps, ..Row::default() });
            steps.push(step);
        }
        steps
    }

    #[test]
    fn a_block_is_its_ceilings_and_then_group_after_group() {
        let mut sequence = Sequence::new(plan(2));
        let steps = run(&mut sequence, |_| false);
        assert_eq!((steps.len(), sequence.rows(), sequence.voided()), (14, 14, 0));
        for (block, steps) in steps.chunks(7).enumerate() {
            assert_eq!((steps[0].cell.server, steps[0].client_ceiling), (2, None));
            for (index, step) in steps.iter().enumerate() {
                assert_eq!((step.block, step.order_index, step.attempt), (block + 1, index + 1, 1));
            }
            for group in steps[1..].chunks(2) {
                assert!(group[0].cell.is_comparable(&group[1].cell));
                assert_ne!(group[0].cell.server, group[1].cell.server);
                // The ceiling of this block, not of another.
                assert_eq!(group[0].client_ceiling, Some((100 * (block + 1) + 1) as f64));
            }
        }
    }

    #[test]
    fn a_disturbed_group_is_run_again_as_a_whole_and_a_bounded_number_of_times() {
        let mut sequence = Sequence::new(plan(4));
        let steps = run(&mut sequence, |step| step.cell.target == "/b" && step.cell.server == 1);
        let attempts = |block| {
            let of_b = steps.iter().filter(|step| step.block == block && step.cell.target == "/b");
            of_b.map(|step| step.attempt).collect::<Vec<_>>()
        };
        // Two in a block at the most, and as many as there are blocks in the run.
        assert_eq!(attempts(1), [1, 1, 2, 2, 3, 3]);
        assert_eq!(attempts(2), [1, 1, 2, 2, 3, 3]);
        assert_eq!(attempts(3), [1, 1]);
        assert_eq!((sequence.voided(), steps.len()), (4, 4 * 7 + 4 * 2));
        // Both servers of each attempt stand together, and places are not given twice.
        for block in 1..=4 {
            let places: Vec<usize> =
                steps.iter().filter(|step| step.block == block).map(|step| step.order_index).collect();
            assert_eq!(places, (1..=places.len()).collect::<Vec<_>>());
        }
        let second = steps.iter().position(|step| step.attempt == 2).expect("there is one");
        assert_eq!(steps[second].cell.target, steps[second - 1].cell.target);
    }

    #[test]
    fn a_clean_attempt_ends_the_repeating() {
        let steps = run(&mut Sequence::new(plan(1)), |step| step.cell.target == "/c" && step.attempt == 1);
        let of_c: Vec<usize> =
            steps.iter().filter(|step| step.cell.target == "/c").map(|step| step.attempt).collect();
        assert_eq!(of_c, [1, 1, 2, 2]);
    }

    #[test]
    fn a_disturbed_ceiling_is_run_again_once_and_the_last_counts() {
        let steps = run(&mut Sequence::new(plan(1)), |step| step.cell.server == 2);
        assert_eq!(steps[..2].iter().map(|step| step.attempt).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((steps[2].cell.server < 2, steps[2].client_ceiling), (true, Some(102.0)));
    }

    #[test]
    fn an_empty_plan_is_at_its_end() {
        assert_eq!(Sequence::new(Plan::default()).step(), None);
    }

    #[test]
    fn a_ceiling_that_failed_is_none() {
        let mut sequence = Sequence::new(plan(1));
        sequence.advance(&Row { throughput_rps: Some(9.0), error: "it died".into(), ..Row::default() });
        assert_eq!(sequence.step().expect("six more").client_ceiling, None);
    }

    #[test]
    fn the_ceiling_of_a_rate_is_what_the_same_engine_reaches_without() {
        let closed = Work { concurrency: Some(256), ..Work::of(Strategy::ClosedLoop, SECOND) };
        let works = ceilings(&[open(500.0), open(900.0), closed.clone()]);
        // Both rates have the same connections, and so the same ceiling; each has its own floor.
        assert_eq!(works.len(), 3);
        assert_eq!(works[0], closed);
        assert_eq!((works[1].rate, works[2].rate), (Some(500.0), Some(900.0)));
        let short = Amount::Time { warmup: CEILING_WARMUP, duration: CEILING_DURATION };
        assert_eq!(shortened(&works[0]).amount, short);

        let plan = Plan {
            ceilings: works.iter().map(|work| cell(1, "/plaintext", &shortened(work))).collect(),
            cells: vec![cell(0, "/a", &open(900.0)), cell(0, "/a", &closed)],
            blocks: 1,
            seed: 1,
        };
        let steps = run(&mut Sequence::new(plan), |_| false);
        let ceilings: Vec<Option<f64>> = steps.iter().map(|step| step.client_ceiling).collect();
        assert_eq!(ceilings, [None, Some(101.0), Some(101.0), Some(101.0), Some(101.0)]);
    }

    #[test]
    fn churn_at_a_rate_is_bounded_by_churn_without() {
        let churn = Work { rate: Some(50.0), ..Work::of(Strategy::Churn, SECOND) };
        let works = ceilings([&churn]);
        assert_eq!(
            works.iter().map(|work| (work.strategy, work.rate)).collect::<Vec<_>>(),
            [(Strategy::Churn, None), (Strategy::Churn, Some(50.0))]
        );
        assert_eq!(works[0].in_flight(), churn.in_flight());
    }
}
