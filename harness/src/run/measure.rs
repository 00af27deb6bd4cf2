//! From the first row to the last, and to the tables.

use super::prepare::{Entrant, Prepared};
use super::record::Record;
use crate::analysis::{Analysis, PAIRS, SCHEMA};
use crate::exit::{Exit, usage};
use crate::record::directory::{CELLS, Directory, HISTOGRAMS, RUN, SUMMARY};
use crate::record::older;
use crate::record::row::Row;
use crate::report::drawing::Format;
use crate::report::html;
use crate::report::progress::{Progress, article_line};
use crate::report::{cells::By, tables};
use crate::run::interrupt::Interrupt;
use crate::run::replicate::{self, Outcome, Setting};
use crate::run::scheduler::{Sequence, Step};
use anyhow::Result;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Instant;

/// A run that has been prepared.
pub(super) struct Run {
    entrants: Vec<Entrant>,
    sequence: Sequence,
    setting: Setting,
    directory: Directory,
    record: Record,
    progress: Progress,
    rows: Vec<Row>,
    worst: Exit,
}

impl Run {
    pub(super) fn new(prepared: Prepared, directory: Directory, quiet: bool) -> Run {
        let Prepared { entrants, plan, setting, record } = prepared;
        let sequence = Sequence::new(plan);
        let progress = Progress::new(sequence.rows(), quiet);
        let (rows, worst) = (Vec::new(), Exit::Done);
        Run { entrants, sequence, setting, directory, record, progress, rows, worst }
    }

    /// Takes the rows of a run that ended early for its own. What comes next follows from them.
    pub(super) fn replay(&mut self, rows: Vec<Row>) -> Result<()> {
        for row in rows {
            let expected = self.sequence.step();
            if !expected.as_ref().is_some_and(|step| self.is_of(&row, step)) {
                return Err(usage!(
                    "cannot continue: {CELLS} has block {}, row {} ({} {} {}), which is not what its seed gives",
                    row.block,
                    row.order_index,
                    row.server,
                    row.route,
                    row.strategy
                ));
            }
            // That a server failed is not in the row, but then it has no requests.
            self.count(row, false);
        }
        Ok(())
    }

    fn is_of(&self, row: &Row, step: &Step) -> bool {
        let work = &step.cell.work;
        let place = (row.block, row.attempt, row.order_index);
        let what = (row.route.as_str(), row.strategy.as_str(), row.requests, row.concurrency);
        place == (step.block, step.attempt, step.order_index)
            && row.server == self.entrants[step.cell.server].name
            && what == (step.cell.target.as_str(), work.strategy.name(), work.requests(), work.in_flight())
            && row.processes == step.cell.condition.processes
    }

    /// Measures what is left, and shows what came of it.
    pub(super) fn complete(mut self, interrupt: &Interrupt) -> Result<Exit> {
        while let Some(step) = self.sequence.step() {
            if interrupt.is_requested() {
                break;
            }
            if let Err(error) = self.replicate(&step) {
                self.progress.finish();
                return Err(error);
            }
        }
        self.progress.finish();
        // Interrupted after the last row is complete all the same.
        let interrupted = self.sequence.step().is_some();
        self.finish(interrupted)
    }

    fn replicate(&mut self, step: &Step) -> Result<()> {
        let Step { block, attempt, order_index, cell, client_ceiling } = step;
        let entrant = &self.entrants[cell.server];
        self.progress.doing(&format!("{} {} {}", entrant.name, cell.target, cell.work.strategy));
        let Outcome { mut row, url, broken, report, judging } =
            replicate::run(&self.setting, &entrant.subject, cell, *block, *order_index, *client_ceiling);
        let start = Instant::now();
        row.attempt = *attempt;
        row.role = entrant.role.to_owned();
        if entrant.role == "control" {
            row.server.clone_from(&entrant.name);
        }
        // First the histograms: a row that is there has them.
        if let Some(report) = &report {
            self.directory.write_histograms(&row, report)?;
        }
        self.directory.append(std::slice::from_ref(&row))?;
        self.record.bookkeeping_s += (judging + start.elapsed()).as_secs_f64();
        self.progress.line(&article_line(&row, &url));
        self.count(row, broken);
        Ok(())
    }

    /// Goes on after a row.
    fn count(&mut self, row: Row, broken: bool) {
        // A ceiling that nobody asked for is no failure of what was asked for.
        if row.role != "ceiling" || self.record.selected.contains(&row.server) {
            self.worst = self.worst.max(match row.error.is_empty() {
                _ if broken => Exit::Failed,
                true => Exit::Done,
                false if row.scheduled.is_none() => Exit::Failed,
                false => Exit::Invalid,
            });
        }
        self.progress.more(self.sequence.advance(&row));
        self.progress.step();
        self.rows.push(row);
    }

    pub(super) fn write_record(&mut self) -> Result<()> {
        self.record.voided_attempts = self.sequence.voided();
        self.directory.write_run(&self.record)
    }

    /// Writes the summary, shows the tables and names the files.
    fn finish(mut self, interrupted: bool) -> Result<Exit> {
        let start = Instant::now();
        older::complete(&mut self.rows);
        let analysis = Analysis::of(&self.rows);
        analysis.write(self.directory.path())?;
        html::write(self.directory.path(), &analysis)?;
        self.record.bookkeeping_s += start.elapsed().as_secs_f64();
        self.record.ended_at = Some(Timestamp::now().to_string());
        self.record.interrupted = interrupted;
        self.record.alarms = analysis.alarms();
        self.write_record()?;
        self.progress.line("");
        self.progress.line(&tables::render(&analysis.summaries, By::Server, Format::Table));
        for alarm in &self.record.alarms {
            self.progress.warn(alarm);
        }
        if let Some(line) = verdicts(&self.rows) {
            self.progress.line(&line);
        }
        if self.sequence.voided() > 0 {
            self.progress.warn(&format!(
                "note: {} attempts were disturbed by something else on this host and run again",
                self.sequence.voided()
            ));
        }
        let failed = self.rows.iter().filter(|row| !row.error.is_empty()).count();
        if failed > 0 {
            self.progress.warn(&format!(
                "error: {failed} of {} rows have an error; the column 'error' says what happened",
                self.rows.len()
            ));
        }
        for file in [CELLS, SUMMARY, PAIRS, SCHEMA, html::REPORT, RUN, HISTOGRAMS] {
            // Whoever closed stdout knows where to look.
            _ = writeln!(std::io::stdout(), "wrote {}", self.directory.path().join(file).display());
        }
        if interrupted {
            self.progress.warn(&format!(
                "note: continue with harness run --resume {}",
                self.directory.path().display()
            ));
            return Ok(Exit::Interrupted);
        }
        Ok(self.worst)
    }
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
