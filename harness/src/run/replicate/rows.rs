//! The rows of a replicate: what each was about, what was seen, and what to think of it.

use super::{Measured, Outcome, Replicate};
use crate::experiment::search::Keep;
use crate::experiment::workload::Part;
use crate::judge::ceiling::{self, Ceiling, Limits};
use crate::judge::gate::Gate;
use crate::judge::gates::keeps_up;
use crate::record::row::{Row, SCHEMA_VERSION, round};
use crate::run::facts;
use contract::route::Route;
use load::protocol::{Amount, Arrivals, PartReport};
use std::time::{Duration, Instant};

impl Replicate<'_> {
    /// What is known before anything has been started.
    pub(super) fn new_row(&self) -> Row {
        let (setting, workload, step) = (self.setting, self.task.workload, self.task.step);
        Row {
            schema_version: SCHEMA_VERSION,
            run_id: setting.run_id.clone(),
            block: step.block,
            attempt: step.attempt,
            order_index: step.order_index,
            started_at: jiff::Timestamp::now().round(jiff::Unit::Millisecond).ok(),
            seed: setting.seed,
            experiment: setting.experiment.clone(),
            factors: workload.levels.clone(),
            server: self.task.name.to_owned(),
            timeout_ms: u64::try_from(setting.timeout.as_millis()).unwrap_or(u64::MAX),
            placement: self.placed.name.to_owned(),
            client_hosts: setting.hosts.clients()[0].name.clone(),
            knee_rps: step.known.knee,
            network_floor_us: setting.network_floor_us,
            ..Row::default()
        }
    }

    pub(super) fn finish(mut self) -> Outcome {
        let start = Instant::now();
        let mut rows = Vec::new();
        let measured = std::mem::take(&mut self.measured);
        let mut broken = !self.problems.is_empty();
        for (part, measured) in self.parts.clone().into_iter().zip(measured) {
            let (row, report, of_row) = self.row(part, measured);
            broken |= of_row;
            rows.push((row, report));
        }
        Outcome { rows, url: self.url, broken, judging: start.elapsed() }
    }

    /// The row of a part, and whether something went wrong with its server, its client or the environment.
    fn row(&self, part: Part, measured: Option<Measured>) -> (Row, Option<PartReport>, bool) {
        let mut row = self.common.clone();
        self.describe(part, &mut row);
        let mut problems = self.problems.clone();
        let (mut halves_cpu, mut late_mark, mut report) = (None, None, None);
        if let Some(measured) = measured {
            let Measured { report: part, used, elsewhere, peak_memory, first_error, gave_up, of_turns } =
                measured;
            row.client_peak_rss_bytes = peak_memory;
            problems.extend(row.set_report(&part).err());
            note_fates(&mut row, &mut problems, &part, first_error.as_deref());
            problems.extend(gave_up);
            if let Some(used) = used {
                row.set_used(&used, &part, &self.placed, &elsewhere);
                (halves_cpu, late_mark) = (used.halves_cpu, used.late);
                // The server's CPU time cannot be shared out among several loads.
                if self.loads.iter().flatten().count() > 1 {
                    row.server_cpu_us_per_request = None;
                    row.server_ctx_switches_per_request = None;
                    halves_cpu = None;
                }
            }
            if let Some(of_turns) = of_turns {
                of_turns.note(&mut row);
            }
            report = Some(part);
        }
        let ceilings = self.ceilings(part, &row);
        if let Some(ceiling) = ceiling::lowest(&ceilings) {
            row.ceiling_rps = Some(ceiling.rps);
            row.ceiling_by = ceiling.by.to_owned();
        }
        let facts = facts::of(&row, report.as_ref(), halves_cpu, ceilings);
        let mut facts = facts.unwrap_or_else(|problem| {
            problems.push(problem);
            Default::default()
        });
        facts.problem = problems.first().cloned();
        facts.late_mark = late_mark;
        // What came in time and after it: over both, the rate would be less than was asked for and answered.
        if facts.rounds.is_some() && facts.open && keeps_up(&facts) == Gate::Passes {
            let rps = row.duration_s.map(|seconds| round(facts.completed as f64 / seconds, 3));
            (row.throughput_rps, facts.throughput_rps) = (rps, rps);
        }
        row.set_judgement(&facts);
        for problem in &problems {
            row.add_error(problem);
        }
        if let Some(keep) = self.task.keep {
            row.search_passed =
                Some(row.error.is_empty() && report.as_ref().is_some_and(|r| passes(r, keep)));
        }
        (row.formula_safe(), report, !problems.is_empty())
    }

    /// The workload's id and the server's name in the rows of a part.
    pub(super) fn named(&self, part: Part) -> (String, String) {
        (self.task.workload.id(part, self.placed.name), self.task.name.to_owned())
    }

    /// What a part measures.
    fn describe(&self, part: Part, row: &mut Row) {
        let workload = self.task.workload;
        let spec = &workload.loads[part.load];
        let phase = workload.phase(part);
        row.workload_id = workload.id(part, self.placed.name);
        let base = self.task.base;
        row.group_id = base.id(self.task.compare.base_part(base, part), self.placed.name);
        row.workload = workload.label(part);
        row.load.clone_from(&spec.name);
        row.phase = phase.map(|phase| phase.name.clone()).unwrap_or_default();
        row.route.clone_from(&spec.route);
        row.interference = workload.beside(part);
        row.strategy = spec.strategy.name().to_owned();
        row.loop_kind = if spec.rate.is_some() { "open" } else { "closed" }.to_owned();
        row.keep_alive = spec.strategy.keeps_alive();
        row.client_ceiling_rps = self.task.step.client_ceilings.get(part.load).copied().flatten();
        // Where the server never ran, its numbers are told as far as they do not depend on it.
        let asked = || workload.load(part.load, &self.known).ok().flatten();
        let Some(load) = self.loads.get(part.load).cloned().flatten().or_else(asked) else { return };
        row.concurrency = load.in_flight();
        row.connections = row.keep_alive.then_some(row.concurrency);
        if let Arrivals::Open { rate, process } = load.arrivals {
            row.offered_rps = Some(rate);
            row.arrival = process.name().to_owned();
        }
        match &load.amount {
            Amount::Requests(requests) => row.requests = Some(*requests),
            Amount::UntilStopped => {}
            Amount::Time(phases) => {
                let mut measured = phases.iter().enumerate().filter(|(_, phase)| phase.measured);
                let Some((place, phase)) = measured.nth(part.phase) else { return };
                let before: Duration = phases[..place].iter().map(|phase| phase.duration).sum();
                row.warmup_s = Some(before.as_secs_f64());
                let rounds = workload.rounds(&self.known).ok().flatten();
                row.duration_s = Some(phase.duration.as_secs_f64() * rounds.unwrap_or(1) as f64);
                if phases.len() > 2 {
                    row.phase_scale = Some(phase.scale);
                    row.offered_rps = row.offered_rps.map(|rate| rate * phase.scale);
                }
            }
        }
        row.amount = row.asked_for();
    }

    fn ceilings(&self, part: Part, row: &Row) -> Vec<Ceiling> {
        let blocks = |route: &str| Route::parse_target(route).is_ok_and(Route::blocks);
        let others = self.loads.iter().enumerate().filter(|(load, _)| *load != part.load);
        let taken = others.filter_map(|(index, load)| {
            let spec = &self.task.workload.loads[index];
            (spec.background && spec.rate.is_none() && blocks(&spec.route))
                .then_some(load.as_ref()?.in_flight())
        });
        let limits = Limits {
            in_flight: row.concurrency,
            blocking_threads: row.blocking_threads,
            taken: taken.sum(),
            offered_rps: row.offered_rps,
        };
        ceiling::all(Route::parse_target(&row.route).ok(), &limits)
    }
}

/// Failed requests are an error of the row's; that fates do not add up is a problem.
fn note_fates(row: &mut Row, problems: &mut Vec<String>, part: &PartReport, first_error: Option<&str>) {
    let fates = part.fates;
    if fates.failed() > 0 {
        let first = first_error.unwrap_or("no reason was given");
        row.add_error(&format!("{} of {} requests failed: {first}", fates.failed(), fates.scheduled));
    }
    if fates.sum() != fates.scheduled {
        problems.push(format!("{} requests have {} fates", fates.scheduled, fates.sum()));
    }
}

/// Whether a trial kept its bound. One with too few answers for the percentile did not.
fn passes(report: &PartReport, keep: Keep) -> bool {
    let response = report.engine.as_ref().and_then(|engine| engine.response.as_ref());
    let Some(Ok(histogram)) = response.map(|latency| load::histogram::decode(&latency.histogram)) else {
        return false;
    };
    let above = histogram.len() as f64 * (1.0 - keep.quantile);
    above >= 1.0 && (histogram.value_at_quantile(keep.quantile) as f64) < keep.below_us * 1e3
}
