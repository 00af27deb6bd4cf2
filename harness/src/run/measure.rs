//! From the first row to the last, and to the tables.

use super::floor;
use super::prepare::Prepared;
use super::run_file::RunFile;
use super::target::{RunServer, Target};
use crate::analysis::{Analysis, PAIRS};
use crate::exit::{Exit, usage};
use crate::experiment::model::Planned;
use crate::experiment::plan::left_out_line;
use crate::experiment::search::SearchSpec;
use crate::experiment::server::Role;
use crate::experiment::workload::Part;
use crate::judge::lead_in::WINDOWS;
use crate::record::directory::{CELLS, Directory, HISTOGRAMS, RUN, SUMMARY, read_cells};
use crate::record::package::PACKAGE;
use crate::record::row::Row;
use crate::record::slices::{self, SLICES};
use crate::report::about::About;
use crate::report::answer;
use crate::report::drawing::Format;
use crate::report::progress::{Progress, Shown, article_line};
use crate::report::{cells::By, tables};
use crate::report::{html, page};
use crate::run::clock::Clock;
use crate::run::interrupt::Interrupt;
use crate::run::replicate::{self, Outcome, Setting, Task, turns};
use crate::run::scheduler::{Scheduler, Step};
use anyhow::Result;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// A run that has been prepared.
pub(super) struct Run {
    servers: Vec<RunServer>,
    pub(super) scheduler: Scheduler,
    searches: Vec<SearchSpec>,
    setting: Setting,
    pub(super) directory: Directory,
    pub(super) file: RunFile,
    pub(super) progress: Progress,
    pub(super) clock: Clock,
    worst: Exit,
    /// Whether the run ends early because nothing can be started any more.
    has_lost_host: bool,
}

impl Run {
    pub(super) fn new(prepared: Prepared, directory: Directory, shown: Shown) -> Run {
        let Prepared { servers, plan, searches, setting, file } = prepared;
        let scheduler = Scheduler::new(plan, &searches);
        let progress = Progress::new(scheduler.steps(), shown);
        let (clock, worst, has_lost_host) = (Clock::default(), Exit::Done, false);
        Run { servers, scheduler, searches, setting, directory, file, progress, clock, worst, has_lost_host }
    }

    /// Takes the rows of a run that ended early for its own. What comes next follows from them. The rows of a
    /// replicate that was not written whole are cut off.
    pub(super) fn replay(&mut self, rows: Vec<Row>) -> Result<()> {
        let mut rest = &rows[..];
        self.forget_looks();
        while let Some(row) = rest.first() {
            self.next_step()?;
            let steps = self.scheduler.together();
            let parts = |step: &Step| self.planned(step).workload.parts();
            let expected: Vec<(&Step, Part)> =
                steps.iter().flat_map(|step| parts(step).into_iter().map(move |part| (step, part))).collect();
            if steps.is_empty()
                || !rest.iter().zip(&expected).all(|(row, (step, part))| self.is_of(row, *part, step))
            {
                return Err(not_this_run(row));
            }
            if rest.len() < expected.len() {
                break;
            }
            for parts in steps.iter().map(|step| parts(step).len()).collect::<Vec<_>>() {
                // That a server failed is not in the row, but then it has no requests.
                self.count(&rest[..parts], false);
                rest = &rest[parts..];
            }
        }
        slices::keep(self.directory.path(), &rows[..rows.len() - rest.len()])?;
        match rest.is_empty() {
            true => Ok(()),
            false => self.directory.keep(rows.len() - rest.len()),
        }
    }

    fn planned(&self, step: &Step) -> &Planned {
        &self.scheduler.plan().workloads[step.cell.workload]
    }

    fn is_of(&self, row: &Row, part: Part, step: &Step) -> bool {
        let place = (row.block, row.attempt, row.order_index);
        place == (step.block, step.attempt, step.order_index)
            && row.server == self.servers[step.cell.server].name
            && row.workload_id == self.planned(step).workload.id(part, &row.placement)
            && step.known.trial.is_none_or(|rate| row.offered_rps.is_none_or(|offered| offered == rate))
    }

    /// Measures what is left, and shows what came of it.
    pub(super) fn complete(mut self, interrupt: &Interrupt) -> Result<Exit> {
        self.clock.start();
        let mut has_asked = false;
        while self.next_step()?.is_some() {
            if interrupt.is_requested() {
                break;
            }
            if let Err(problem) = self.setting.hosts.renew() {
                self.progress.finish();
                self.progress.warn(&format!("error: {problem}"));
                self.has_lost_host = true;
                break;
            }
            // A run that goes on may do so within a group.
            if !self.setting.hosts.is_one() && (!has_asked || self.scheduler.begins_group()) {
                self.ask_network();
                has_asked = true;
            }
            if let Err(error) = self.next() {
                self.progress.finish();
                return Err(error);
            }
        }
        self.progress.finish();
        // Interrupted after the last row is complete all the same.
        let interrupted = self.scheduler.step().is_some();
        self.finish(interrupted)
    }

    fn task<'a>(&'a self, step: &'a Step) -> Task<'a> {
        let plan = self.scheduler.plan();
        let planned = &plan.workloads[step.cell.workload];
        let server = &self.servers[step.cell.server];
        let trial = step.known.trial.and(step.cell.workload.checked_sub(plan.searches_from));
        Task {
            target: &server.target,
            name: &server.name,
            workload: &planned.workload,
            base: &plan.workloads[planned.base].workload,
            compare: &self.file.measured.compare,
            keep: trial.map(|search| self.searches[search].keep),
            step,
            arrivals: None,
        }
    }

    /// Asks how long the network takes by itself.
    fn ask_network(&mut self) {
        let is_it = |server: &&RunServer| self.file.ceiling.as_ref() == Some(&server.name);
        let floor = match self.servers.iter().find(is_it).map(|server| &server.target) {
            Some(Target::Managed(managed)) => {
                let Setting { hosts, start, timeout, .. } = &self.setting;
                floor::measure(hosts, managed, start, *timeout)
            }
            _ => Err("there is no server of constant bytes".to_owned()),
        };
        self.setting.network_floor_us = floor.as_ref().ok().copied();
        if let Err(problem) = floor {
            self.progress.warn(&format!("note: the network's own delay is not known: {problem}"));
        }
    }

    /// Runs what comes next: a replicate, or those of a group whose servers take turns.
    fn next(&mut self) -> Result<()> {
        let mut steps = self.scheduler.together();
        let first = self.planned(&steps[0]);
        let (load, takes_turns) = (&first.workload.loads[0], first.workload.rounds.is_some());
        let who = match &steps[..] {
            [only] => self.servers[only.cell.server].name.clone(),
            several => format!("{} servers in turn,", several.len()),
        };
        let plan = self.scheduler.plan();
        let block = match steps[0].block {
            0 => "before the first block".to_owned(),
            block => format!("block {block}/{}", plan.blocks),
        };
        let (doing, group) = (
            format!("{block}, {who} {} {}", load.route, load.strategy),
            format!("{block}: {}", first.workload.label(Part { load: 0, phase: 0 })),
        );
        if takes_turns {
            self.know_lead_in(&mut steps)?;
        }
        self.progress.doing(&doing);
        self.progress.group(&group);
        let (mut outcomes, mut slices) = (Vec::new(), Vec::new());
        if takes_turns {
            let tasks = steps.iter().map(|step| self.task(step)).collect();
            let group = turns::run(&self.setting, tasks);
            (outcomes, slices) = (group.outcomes, group.slices);
        } else {
            outcomes.extend(steps.iter().map(|step| replicate::run(&self.setting, self.task(step))));
        }
        let start = Instant::now();
        let (mut all, mut of_steps) = (Vec::new(), Vec::new());
        for (step, Outcome { rows, url, broken, judging }) in steps.iter().zip(outcomes) {
            let (workload_no, role) =
                (step.cell.workload + 1, self.servers[step.cell.server].role.name().to_owned());
            let first = all.len();
            for (row, report) in rows {
                let row = Row { workload_no, role: role.clone(), ..row };
                // First the histograms: a row that is there has them.
                if let Some(report) = &report {
                    self.directory.write_histograms(&row, report)?;
                }
                all.push(row);
            }
            self.file.bookkeeping_s += judging.as_secs_f64();
            of_steps.push((first..all.len(), url, broken));
        }
        // As with the histograms.
        slices::append(self.directory.path(), &slices)?;
        self.directory.append(&all)?;
        self.file.bookkeeping_s += start.elapsed().as_secs_f64();
        for (rows, url, broken) in of_steps {
            for row in &all[rows.clone()] {
                self.progress.detail(&article_line(row, &url));
            }
            self.count(&all[rows], broken);
        }
        Ok(())
    }

    /// How long the servers of a group are loaded before each slice: measured once, before their first turn.
    fn know_lead_in(&mut self, steps: &mut [Step]) -> Result<()> {
        let planned = self.planned(&steps[0]);
        if !planned.workload.needs("lead_in") {
            return Ok(());
        }
        let names: Vec<&str> =
            steps.iter().map(|step| self.servers[step.cell.server].name.as_str()).collect();
        let mut key: Vec<String> = steps
            .iter()
            .zip(names)
            .map(|(step, name)| {
                format!("{name} {}", self.planned(step).workload.label(Part { load: 0, phase: 0 }))
            })
            .collect();
        key.sort_unstable();
        let key = key.join("; ");
        if !self.file.lead_ins_s.contains_key(&key) {
            for step in steps.iter_mut() {
                (step.block, step.known.lead_in) = (0, Some(0.0));
            }
            let told = format!(
                "before {}: how long a lead-in its servers need, {:.0} s",
                planned.workload.label(Part { load: 0, phase: 0 }),
                turns::lead_in_pieces(steps.len(), 0).time().as_secs_f64()
            );
            self.progress.doing(&told);
            self.progress.group(&told);
            let measured = turns::lead_in(&self.setting, steps.iter().map(|step| self.task(step)).collect());
            let lead_in = match measured {
                Ok((lead_in, slices)) => {
                    slices::append(self.directory.path(), &slices)?;
                    lead_in
                }
                Err(problem) => {
                    let longest: Duration = WINDOWS[..WINDOWS.len() - 1].iter().sum();
                    self.progress.warn(&format!(
                        "note: how long a lead-in the servers need could not be measured, so it is {} ms: {problem}",
                        longest.as_millis()
                    ));
                    longest
                }
            };
            self.file.lead_ins_s.insert(key.clone(), lead_in.as_secs_f64());
            self.write_run_file()?;
        }
        let block = self.scheduler.step().map_or(0, |step| step.block);
        for step in steps {
            (step.block, step.known.lead_in) = (block, self.file.lead_ins_s.get(&key).copied());
        }
        Ok(())
    }

    /// Goes on after the rows of a replicate.
    fn count(&mut self, rows: &[Row], broken: bool) {
        for row in rows {
            // Neither a ceiling that nobody asked for nor a trial that fails is a failure of what was asked for.
            let asked = row.role != Role::Ceiling.name() || self.file.selected.contains(&row.server);
            if asked && row.search_passed.is_none() {
                self.worst = self.worst.max(match row.error.is_empty() {
                    _ if broken => Exit::Failed,
                    true => Exit::Done,
                    false if row.scheduled.is_none() => Exit::Failed,
                    false => Exit::Invalid,
                });
            }
        }
        let known = self.scheduler.left_out().len();
        self.progress.more(self.scheduler.advance(rows));
        self.progress.step();
        let left_out = &self.scheduler.left_out()[known..];
        self.progress.less(left_out.len() * self.scheduler.plan().blocks_here());
        let mut workloads: BTreeMap<&str, usize> = BTreeMap::new();
        for cell in left_out {
            *workloads.entry(&self.servers[cell.server].name).or_default() += 1;
        }
        for (server, times) in workloads {
            self.progress.warn(&format!("note: {}", left_out_line(server, times, NO_KNEE)));
        }
        if !left_out.is_empty() && self.scheduler.steps() == 0 {
            self.progress.warn("error: no server is left to be measured");
            self.worst = Exit::Failed;
        }
    }

    pub(super) fn write_run_file(&mut self) -> Result<()> {
        self.file.voided_attempts = self.scheduler.voided();
        self.file.blocks = self.scheduler.plan().blocks;
        self.directory.write_run(&self.file)
    }

    /// Writes the summary, shows the tables and names the files.
    fn finish(mut self, interrupted: bool) -> Result<Exit> {
        let start = Instant::now();
        let rows = read_cells(self.directory.path())?;
        let slices = slices::read(self.directory.path())?;
        let analysis = Analysis::at(&rows, &slices, self.file.alpha());
        analysis.write(self.directory.path())?;
        self.file.bookkeeping_s += start.elapsed().as_secs_f64();
        self.file.ended_at = Some(Timestamp::now().to_string());
        self.file.interrupted = interrupted;
        self.file.alarms = analysis.alarms();
        let decision = match interrupted {
            true => self.keep_time().map(|()| None)?,
            false => self.last_look(&rows, &analysis),
        };
        self.write_run_file()?;
        // It says how long the run took.
        html::write(self.directory.path(), &rows, &analysis)?;
        self.progress.line("");
        if self.progress.shown() == Shown::Details {
            self.progress.line(&match self.file.measured.figures.is_empty() {
                true => tables::render(&analysis, By::Server, Format::Table),
                false => page::render(&self.file.measured, &rows, &analysis, Format::Table)?,
            });
        }
        for alarm in &self.file.alarms {
            self.progress.warn(alarm);
        }
        if let Some(line) = verdicts(&rows) {
            self.progress.detail(&line);
        }
        if let Some((exit, lines)) = decision {
            lines.iter().for_each(|line| self.progress.line(line));
            self.worst = self.worst.max(exit);
        }
        if self.scheduler.voided() > 0 {
            self.progress.warn(&format!(
                "note: {} attempts were disturbed by something else on this host and run again",
                self.scheduler.voided()
            ));
        }
        let failed = rows.iter().filter(|row| !row.error.is_empty()).count();
        if failed > 0 {
            self.progress.warn(&format!(
                "error: {failed} of {} rows have an error; the column 'error' says what happened",
                rows.len()
            ));
        }
        if self.progress.shown() == Shown::Answer {
            let about = About::read(self.directory.path())?;
            let map = about.map(&rows, &analysis);
            self.progress.line("");
            self.progress.line(&answer::render(&map, &about, answer::width()));
        }
        for file in [CELLS, SLICES, SUMMARY, PAIRS, PACKAGE, html::REPORT, RUN, HISTOGRAMS] {
            let path = self.directory.path().join(file);
            if path.exists() && self.progress.shown() != Shown::Answer {
                // Whoever closed stdout knows where to look.
                _ = writeln!(std::io::stdout(), "wrote {}", path.display());
            }
        }
        if interrupted {
            self.progress.warn(&format!(
                "note: continue with harness run --resume {}",
                self.directory.path().display()
            ));
            return Ok(if self.has_lost_host { Exit::Failed } else { Exit::Interrupted });
        }
        Ok(self.worst)
    }
}

const NO_KNEE: &str = "its search found no rate that keeps the bound";

fn not_this_run(row: &Row) -> anyhow::Error {
    usage!(
        "cannot continue: {CELLS} has block {}, row {} ({} {} {}), which is not what its seed gives",
        row.block,
        row.order_index,
        row.server,
        row.route,
        row.strategy
    )
}

/// How many rows have which verdict, of those that were judged.
fn verdicts(rows: &[Row]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.verdict.is_empty()) {
        *counts.entry(&row.verdict).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    (!counts.is_empty()).then(|| format!("rows by verdict: {}", counts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_counted_where_there_are_any() {
        let row = |verdict: &str| Row { verdict: verdict.into(), ..Row::default() };
        assert_eq!(verdicts(&[row("")]), None);
        let said = verdicts(&[row("ok"), row("noisy_host"), row("ok"), row("")]);
        assert_eq!(said.as_deref(), Some("rows by verdict: 1 noisy_host, 2 ok"));
    }
}
