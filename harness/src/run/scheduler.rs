//! What runs next: the trials of searches, then block by block the ceilings and the groups, and again what was
//! disturbed. Knows groups, blocks and turns, and nothing of servers.
//!
//! Everything follows from the plan, the seed and the rows so far, so that a run that was killed is continued
//! by replaying its rows.

use crate::experiment::plan::{self, Cell, Plan};
use crate::experiment::quantity::Known;
use crate::experiment::search::{Search, SearchSpec};
use crate::judge::verdict::Verdict;
use crate::record::row::Row;
use std::collections::VecDeque;

/// How often a group is run again in one block at the most, so that a host that is never quiet does not
/// hold a run for ever.
const GROUP_REPEATS: usize = 2;
/// How often a ceiling is.
const CEILING_REPEATS: usize = 1;
/// What ran for longer, in seconds, is not run again: what disturbs a host now and then disturbs that every time.
const LONGEST_REPEATED_S: f64 = 60.0;
/// How many disturbed trials of one search are run again.
const TRIAL_REPEATS: usize = 6;

/// One replicate to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The block, from 1; 0 for the trials of a search.
    pub block: usize,
    /// Which attempt of its group, from 1.
    pub attempt: usize,
    /// Its place in the block, from 1.
    pub order_index: usize,
    /// What to run.
    pub cell: Cell,
    /// The knee of its server, or the rate on trial, in requests per second.
    pub known: Known,
    /// What the client of each of its loads reached against constant bytes in this block, in requests per
    /// second.
    pub client_ceilings: Vec<Option<f64>>,
}

/// A ceiling or a group in this block.
#[derive(Debug, Clone)]
struct Turn {
    /// The ceilings, then the groups.
    batch: usize,
    cells: Vec<Cell>,
    at: usize,
    attempt: usize,
    is_noisy: bool,
}

/// A search for one server.
#[derive(Debug)]
struct Searching {
    cell: Cell,
    search: Search,
    trials: usize,
    repeats: usize,
}

/// Where a run is.
#[derive(Debug)]
pub struct Scheduler {
    plan: Plan,
    searches: Vec<Searching>,
    block: usize,
    turns: VecDeque<Turn>,
    steps_in_block: usize,
    /// What each ceiling reached in this block.
    reached: Vec<Option<f64>>,
    /// The repeats that each ceiling and each group has left in all blocks that are run here.
    left: Vec<usize>,
    voided: usize,
    left_out: Vec<Cell>,
}

impl Scheduler {
    /// The beginning. `specs` are the searches of the plan's trials, by their places.
    pub fn new(plan: Plan, specs: &[SearchSpec]) -> Scheduler {
        let searching = |cell: &Cell| {
            let spec = &specs[cell.workload - plan.searches_from];
            Searching { cell: *cell, search: Search::new(spec), trials: 0, repeats: 0 }
        };
        let searches = plan.searches.iter().map(searching).collect();
        let blocks = plan.blocks_here();
        let ceilings = std::iter::repeat_n(CEILING_REPEATS * blocks, plan.ceilings.len());
        let left = ceilings.chain(std::iter::repeat_n(blocks, plan.groups.len())).collect();
        let reached = vec![None; plan.ceilings.len()];
        let turns = VecDeque::new();
        let (voided, left_out) = (0, Vec::new());
        let mut scheduler =
            Scheduler { plan, searches, block: 0, turns, steps_in_block: 0, reached, left, voided, left_out };
        if scheduler.trial().is_none() {
            scheduler.next_block();
        }
        scheduler
    }

    /// How many steps there are if nothing is disturbed, without the trials of searches.
    pub fn steps(&self) -> usize {
        let cells: usize = self.plan.groups.iter().map(Vec::len).sum();
        (self.plan.ceilings.len() + cells) * self.plan.blocks_here()
    }

    /// The plan it carries out.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many attempts of a group or a ceiling have been run again.
    pub fn voided(&self) -> usize {
        self.voided
    }

    /// The cells of the plan that are not run, since the search found no knee for their server. Known once it
    /// has ended.
    pub fn left_out(&self) -> &[Cell] {
        &self.left_out
    }

    /// What to run now; nothing at the end.
    pub fn step(&self) -> Option<Step> {
        let order_index = self.steps_in_block + 1;
        if let Some(index) = self.trial() {
            let Searching { cell, search, .. } = &self.searches[index];
            let known = Known { trial: search.next(), ..Known::default() };
            let client_ceilings = vec![None; self.plan.workloads[cell.workload].workload.loads.len()];
            return Some(Step { block: 0, attempt: 1, order_index, cell: *cell, known, client_ceilings });
        }
        let turn = self.turns.front()?;
        let cell = *turn.cells.get(turn.at)?;
        let planned = &self.plan.workloads[cell.workload];
        // A ceiling is not its own.
        let reached = |ceiling: usize| self.reached[ceiling].filter(|_| ceiling != turn.batch);
        let ceilings = planned.workload.loads.iter().map(|load| self.plan.ceiling_of(load).and_then(reached));
        Some(Step {
            block: self.block,
            attempt: turn.attempt,
            order_index,
            cell,
            known: Known { knee: self.knee(cell), ..Known::default() },
            client_ceilings: ceilings.collect(),
        })
    }

    /// Whether what runs now is the first of a ceiling or a group.
    pub fn begins_group(&self) -> bool {
        self.turns.front().is_some_and(|turn| turn.at == 0)
    }

    /// What to run side by side now: all cells of a group whose servers take turns, one after the other in its
    /// rows; otherwise one step.
    pub fn together(&self) -> Vec<Step> {
        let Some(step) = self.step() else { return Vec::new() };
        let Some(turn) = self.turns.front() else { return vec![step] };
        let takes_turns = |cell: &Cell| self.plan.workloads[cell.workload].workload.rounds.is_some();
        if step.block == 0 || turn.at > 0 || !turn.cells.iter().all(takes_turns) {
            return vec![step];
        }
        let others = turn.cells.iter().enumerate().map(|(place, cell)| Step {
            order_index: step.order_index + place,
            cell: *cell,
            known: Known { knee: self.knee(*cell), ..Known::default() },
            ..step.clone()
        });
        others.collect()
    }

    /// The search whose result a cell uses: that of its server, or of the server it is the control of.
    fn search_of(&self, cell: Cell) -> Option<&Search> {
        let workload = self.plan.searches_from + self.plan.workloads[cell.workload].search?;
        let wanted = Cell { server: self.plan.controlled(cell.server), workload };
        Some(&self.searches.iter().find(|searching| searching.cell == wanted)?.search)
    }

    fn knee(&self, cell: Cell) -> Option<f64> {
        self.search_of(cell)?.found()
    }

    /// Takes the cells out of the plan whose search found nothing, and the ceilings where no cell is left.
    fn leave_out(&mut self) {
        let found_nothing =
            |cell: &&Cell| self.search_of(**cell).is_some_and(|search| search.found().is_none());
        self.left_out = self.plan.groups.iter().flatten().filter(found_nothing).copied().collect();
        for group in &mut self.plan.groups {
            group.retain(|cell| !self.left_out.contains(cell));
        }
        if self.plan.groups.iter().all(Vec::is_empty) {
            self.plan.ceilings.clear();
        }
    }

    /// The search that has its turn: of those that go on the one with the fewest trials.
    fn trial(&self) -> Option<usize> {
        let going_on = self.searches.iter().enumerate().filter(|(_, s)| s.search.next().is_some());
        going_on.min_by_key(|(_, searching)| searching.trials).map(|(index, _)| index)
    }

    /// Goes on after the rows that came of [`Scheduler::step`]. Says how many steps that adds to the run.
    pub fn advance(&mut self, rows: &[Row]) -> usize {
        self.steps_in_block += 1;
        // What disturbs servers that take turns disturbs all of them alike.
        let is_short = |row: &Row| row.elapsed_s.is_none_or(|elapsed| elapsed <= LONGEST_REPEATED_S);
        let is_disturbed =
            |row: &Row| row.verdict == Verdict::NoisyHost.name() && row.rounds.is_none() && is_short(row);
        let is_noisy = rows.iter().any(is_disturbed);
        if let Some(index) = self.trial() {
            let searching = &mut self.searches[index];
            searching.trials += 1;
            if is_noisy && searching.repeats < TRIAL_REPEATS {
                searching.repeats += 1;
            } else {
                searching.search.take(rows.iter().all(|row| row.search_passed == Some(true)));
            }
            if self.trial().is_none() {
                self.leave_out();
                self.next_block();
            }
            return 1;
        }
        let Some(turn) = self.turns.front_mut() else { return 0 };
        turn.at += 1;
        turn.is_noisy |= is_noisy;
        let is_ceiling = turn.batch < self.plan.ceilings.len();
        if is_ceiling {
            let reached = rows.first().filter(|row| row.error.is_empty()).and_then(|row| row.throughput_rps);
            self.reached[turn.batch] = reached;
        }
        if turn.at < turn.cells.len() {
            return 0;
        }
        let repeats = if is_ceiling { CEILING_REPEATS } else { GROUP_REPEATS };
        if turn.is_noisy && turn.attempt <= repeats && self.left[turn.batch] > 0 {
            self.left[turn.batch] -= 1;
            self.voided += 1;
            (turn.at, turn.is_noisy) = (0, false);
            turn.attempt += 1;
            return turn.cells.len();
        }
        self.turns.pop_front();
        if self.turns.is_empty() {
            self.next_block();
        }
        0
    }

    /// Adds blocks to a run that is at its end. Says how many steps that adds.
    pub fn extend(&mut self, blocks: usize) -> usize {
        let steps = self.steps();
        self.block = self.plan.blocks;
        self.plan.blocks += blocks;
        for (batch, left) in self.left.iter_mut().enumerate() {
            *left += if batch < self.plan.ceilings.len() { CEILING_REPEATS * blocks } else { blocks };
        }
        self.next_block();
        self.steps() - steps
    }

    /// Makes the block that has begun the last one, or the one before it if none of its steps has been run.
    pub fn end_with_block(&mut self) {
        if self.block == 0 {
            self.searches.clear();
        }
        let begun = self.block.saturating_sub(usize::from(self.steps_in_block == 0));
        self.plan.blocks = self.plan.blocks.min(begun);
        if self.block > self.plan.blocks {
            self.turns.clear();
        }
    }

    fn next_block(&mut self) {
        self.block = self.plan.part.next(self.block);
        self.steps_in_block = 0;
        if self.block > self.plan.blocks {
            return;
        }
        let ceilings = self.plan.ceilings.len();
        self.reached = vec![None; ceilings];
        let turn = |batch, cells| Turn { batch, cells, at: 0, attempt: 1, is_noisy: false };
        self.turns = (0..ceilings).map(|ceiling| turn(ceiling, vec![self.plan.ceilings[ceiling]])).collect();
        let sizes: Vec<usize> = self.plan.groups.iter().map(Vec::len).collect();
        for (group, order) in plan::order(&sizes, self.block, self.plan.seed) {
            let cells: Vec<Cell> = order.into_iter().map(|cell| self.plan.groups[group][cell]).collect();
            if !cells.is_empty() {
                self.turns.push_back(turn(ceilings + group, cells));
            }
        }
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
