//! How long a run goes on: its planned looks, the time that it may take, and what it says of both beforehand.

use super::measure::Run;
use super::scheduler::Step;
use crate::analysis::Analysis;
use crate::analysis::until::Question;
use crate::exit::{Exit, usage};
use crate::experiment::model::Compare;
use crate::experiment::selection::Selection;
use crate::experiment::server::Role;
use crate::record::directory::read_cells;
use crate::record::row::Row;
use crate::report::outlook::{self, Planned};
use anyhow::Result;
use stats::looks::LOOKS;
use std::time::Duration;

/// The blocks that a run says beforehand from what it will be able to tell.
const OUTLOOK_BLOCKS: usize = 2;

/// Refuses to go on until something is decided where there is nothing to decide.
pub(super) fn check(selection: &Selection) -> Result<()> {
    let experiment = &selection.experiment;
    if selection.request.until.is_none() {
        return Ok(());
    }
    if Question::of(experiment).is_empty() {
        return Err(usage!(
            "--until has nothing to decide: pairs.csv compares none of the figures of {}",
            experiment.name
        ));
    }
    let contestants = selection.servers.iter().filter(|server| server.role == Role::Contestant).count();
    if contestants < 2 && experiment.compare == Compare::Servers {
        return Err(usage!("--until has nothing to decide: give two servers or more to compare"));
    }
    Ok(())
}

impl Run {
    /// What runs next. At a planned look, more blocks if the question is not decided; after the time is over,
    /// nothing but what is left of the block.
    pub(super) fn next_step(&mut self) -> Result<Option<Step>> {
        if self.is_time_over() {
            self.scheduler.end_with_block();
        } else if self.scheduler.step().is_none() {
            self.look()?;
        }
        let step = self.scheduler.step();
        if let Some(step) = step.as_ref().filter(|step| step.block > 0 && step.order_index == 1) {
            self.begin_block(step.block)?;
        }
        Ok(step)
    }

    /// Begins to look anew, since what comes next follows from the rows.
    pub(super) fn forget_looks(&mut self) {
        if let Some(until) = &mut self.file.until {
            until.looks.clear();
        }
    }

    fn spent(&self) -> f64 {
        self.file.until.as_ref().map_or(0.0, |until| until.spent_s) + self.clock.elapsed().as_secs_f64()
    }

    fn is_time_over(&self) -> bool {
        let most = self.file.until.as_ref().and_then(|until| until.at_most_s);
        self.clock.is_running() && most.is_some_and(|most| self.spent() >= most)
    }

    fn look(&mut self) -> Result<()> {
        let Some(until) = &mut self.file.until else { return Ok(()) };
        let blocks = self.scheduler.plan().blocks;
        let rows = read_cells(self.directory.path())?;
        if let Some(more) = until.look(&rows, blocks, &Question::of(&self.file.measured)) {
            let steps = self.scheduler.extend(more);
            self.progress.more(steps);
        }
        Ok(())
    }

    fn begin_block(&mut self, block: usize) -> Result<()> {
        if !self.clock.is_running() {
            return Ok(());
        }
        let is_whole = self.scheduler.plan().part.is_whole();
        if self.clock.begin_block(block) == 1 && block == OUTLOOK_BLOCKS + 1 && is_whole {
            self.say_outlook()?;
        }
        if self.file.until.is_some() {
            self.progress.toward(&format!("to the look after {} blocks", self.scheduler.plan().blocks));
        }
        self.keep_time()
    }

    /// Writes down how much time has been spent, for a run that is killed and continued.
    pub(super) fn keep_time(&mut self) -> Result<()> {
        let spent = self.spent();
        if let Some(until) = &mut self.file.until {
            until.spent_s = spent;
            self.clock.start();
            self.write_run_file()?;
        }
        Ok(())
    }

    fn say_outlook(&self) -> Result<()> {
        let Some(of_a_block) = self.clock.of_a_block(OUTLOOK_BLOCKS) else { return Ok(()) };
        let rows = read_cells(self.directory.path())?;
        let analysis = Analysis::of(&rows);
        let pairs = Question::of(&self.file.measured).pairs(&analysis);
        let planned = Planned {
            blocks: self.planned_blocks(of_a_block),
            alpha: self.file.alpha(),
            of_a_block: Some(of_a_block),
        };
        outlook::beforehand(&pairs, planned).iter().for_each(|line| self.progress.line(line));
        Ok(())
    }

    /// The blocks that the run will have at the most.
    fn planned_blocks(&self, of_a_block: Duration) -> usize {
        let Some(until) = &self.file.until else { return self.scheduler.plan().blocks };
        let last = LOOKS[LOOKS.len() - 1];
        let in_time = until.at_most_s.map(|most| {
            let left = (most - self.spent()).max(0.0) / of_a_block.as_secs_f64();
            // The block under way is completed.
            OUTLOOK_BLOCKS + left.ceil() as usize
        });
        in_time.map_or(last, |blocks| blocks.min(last))
    }

    /// The last look of a run that has ended, and what is said of it. `None` for a run whose number of blocks was
    /// fixed.
    pub(super) fn last_look(&mut self, rows: &[Row], analysis: &Analysis) -> Option<(Exit, Vec<String>)> {
        let (spent, is_time_over) = (self.spent(), self.is_time_over());
        let blocks = self.scheduler.plan().blocks;
        let question = Question::of(&self.file.measured);
        let until = self.file.until.as_mut()?;
        until.look(rows, blocks, &question);
        until.spent_s = spent;
        let look = *until.looks.last()?;
        let planned = Planned { blocks, alpha: until.alpha, of_a_block: self.clock.of_a_block(blocks) };
        let lines = outlook::afterwards(&question.pairs(analysis), planned, is_time_over);
        Some((if look.is_decisive() { Exit::Done } else { Exit::Invalid }, lines))
    }
}
