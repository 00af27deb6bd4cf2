//! One row of `summary.csv` per cell: its blocks summed up, and how far to believe them.

use super::metric::Metric;
use super::percentile;
use super::role::{is_ok, verdict};
use super::turns::{self, Basis};
use super::usable::{steady, usable};
use crate::judge::gate::Gate;
use crate::judge::validity::Figure;
use crate::judge::verdict::Verdict;
use crate::record::column::{Over, Record as _, columns};
use crate::record::csv::Field;
use crate::record::row::{Row, round};
use crate::record::rows::by_workload;
use crate::record::slices::SliceRow;
use stats::bootstrap::Interval;
use stats::difference::median_interval;
use stats::median;
use stats::ranks::Rank;
use std::collections::BTreeMap;

columns! {
    /// A row of `summary.csv`: the columns of its [`Summary::row`] and the other rows that the registry of
    /// `cells.csv` names, and behind them these.
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct Summary {
        blocks: usize, "", &[] => "The replicates of the cell.";
        blocks_failed: usize, "", &[] => "Those with an error, which count for no median or range.";
        blocks_ok: usize, "", &[] => "Those whose verdict is `ok`.";
        steady: Option<bool>, "", &[] =>
            "Whether the halves of the cell agree over its blocks, in throughput, latency and CPU per request; empty \
            where fewer than six blocks have halves.";
        left_out_throughput: String, "", &[] =>
            "The blocks that pairs and ranks by throughput leave out, by the verdict that they are left out for, as in \
            `3 noisy_host, 1 errors`; empty where none is.";
        left_out_latency: String, "", &[] => "The same of latencies.";
        left_out_cpu: String, "", &[] => "The same of CPU time and context switches per request.";
        left_out_memory: String, "", &[] => "The same of peak memory.";
        failed_requests: u64, "requests", &[] => "Requests begun and not `ok`, over all blocks.";
        rank_metric: Option<Metric>, "", &[] =>
            "The figure that ranks the workload's servers: `throughput_rps` on closed loops; on open ones \
            `response_p99_us`, or `response_p50_us` where no server has the former.";
        rank_interval_low: Option<f64>, "as `rank_metric`", &[] =>
            "The lower end of the interval of its median, over the rows that may be compared.";
        rank_interval_high: Option<f64>, "as `rank_metric`", &[] => "The upper end of that interval.";
        rank_best: Option<usize>, "", &[] =>
            "The best place the server can have; empty for controls, ceilings, a server alone, levels of a \
            factor, and a cell with fewer than six blocks that are good for `rank_metric`.";
        rank_worst: Option<usize>, "", &[] => "The worst place the server can have.";
        slices_to_continuous_throughput: Option<f64>, "", &[] =>
            "Where servers take turns: the throughput in slices / that in the continuous window, the median over the \
            blocks.";
        slices_to_continuous_cpu: Option<f64>, "", &[] => "The same of the server's CPU time per request.";
        slices_hold: Option<bool>, "", &[] =>
            "Whether slices and continuous windows agree, by both figures: if not, by more than 2% and by a test over \
            the blocks, the medians here are those of the continuous windows.";
        cpu_mode_low_us: Option<f64>, "µs", &[] =>
            "The lower of the two modes that the server's CPU time per request has over the slices of all blocks; \
            empty where it has one.";
        cpu_mode_high_us: Option<f64>, "µs", &[] => "The upper one.";
        cpu_mode_high_share: Option<f64>, "", &[] => "The part of the slices that are in the upper one.";
    } with {
        /// The constants of the cell, and the medians, sums and verdict of its blocks, each in its column.
        row: Row,
        /// The smallest values.
        min: Row,
        /// The largest values.
        max: Row,
        /// The lower ends of the medians' 95% intervals.
        low: Row,
        /// The upper ends of the medians' 95% intervals.
        high: Row,
    }
}

impl Summary {
    /// Returns the server's place among those of its workload: whoever has no rank comes last.
    pub fn place(&self) -> (usize, usize) {
        self.rank().map_or((usize::MAX, 0), |rank| (rank.best, rank.worst))
    }

    /// Returns the places that the server can have on this workload, if it is ranked.
    pub fn rank(&self) -> Option<Rank> {
        Some(Rank { best: self.rank_best?, worst: self.rank_worst? })
    }

    /// Notes how the slices of its cell, of which all `rows` of the run are given, relate to the continuous windows.
    pub(super) fn note_turns(&mut self, rows: &[Row], slices: &[SliceRow]) {
        let is_of_cell = |row: &&Row| {
            (&row.server, &row.workload_id) == (&self.row.server, &self.row.workload_id)
                && row.error.is_empty()
        };
        let rows: Vec<&Row> = rows.iter().filter(is_of_cell).collect();
        let of = |metric| (turns::ratio(&rows, metric), turns::basis(&rows, metric) == Basis::Slices);
        let (throughput, cpu) = (of(Metric::THROUGHPUT), of(Metric::CPU));
        (self.slices_to_continuous_throughput, self.slices_to_continuous_cpu) = (throughput.0, cpu.0);
        self.slices_hold = throughput.0.or(cpu.0).map(|_| throughput.1 && cpu.1);
        if let Some(modes) = turns::cpu_modes(slices, &rows) {
            self.cpu_mode_low_us = Some(round(modes.low, 3));
            self.cpu_mode_high_us = Some(round(modes.high, 3));
            self.cpu_mode_high_share = Some(round(modes.share_high, 3));
        }
    }

    /// What a reader of its figures has to know about its slices, if anything.
    pub fn about_turns(&self) -> Option<String> {
        let percent = |ratio: f64| format!("{:+.0}%", (ratio - 1.0) * 100.0);
        let mut words = Vec::new();
        if self.slices_hold == Some(false) {
            let of = |what: &str, ratio: Option<f64>| ratio.map(|ratio| format!("{what} {}", percent(ratio)));
            let both = [
                of("CPU per request", self.slices_to_continuous_cpu),
                of("requests/s", self.slices_to_continuous_throughput),
            ];
            let both: Vec<String> = both.into_iter().flatten().collect();
            words.push(format!(
                "in slices it is another server than in a continuous window ({}): the window counts",
                both.join(", ")
            ));
        }
        if let (Some(low), Some(high), Some(share)) =
            (self.cpu_mode_low_us, self.cpu_mode_high_us, self.cpu_mode_high_share)
        {
            words.push(format!(
                "a request costs {low:.1} or {high:.1} µs of CPU, the latter in {:.0}% of the slices",
                share * 100.0
            ));
        }
        let idle = self.row.server_idle_share.filter(|share| *share > IDLE_SHARE);
        words.extend(idle.map(|share| {
            format!(
                "it uses {:.1}% of a CPU while others have their turn, and is in their way",
                share * 100.0
            )
        }));
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Returns the interval of the figure that ranks.
    pub fn rank_interval(&self) -> Option<Interval> {
        Some(Interval { low: self.rank_interval_low?, high: self.rank_interval_high? })
    }
}

/// A server that has nothing to do may use so much of a CPU, before it is said.
const IDLE_SHARE: f64 = 0.005;

/// Returns the columns of `summary.csv` in a run with these factors.
pub fn fields(factors: &[String]) -> Vec<Field<Summary>> {
    let mut fields: Vec<Field<Summary>> = Vec::new();
    for column in Row::COLUMNS {
        let name = column.name;
        let of = |within: fn(&Summary) -> &Row, suffix: &str, what: &str, more: &str| {
            let meaning = format!("The {what} over the blocks of `{name}`{more}.");
            Field::within(column, within).called(format!("{name}{suffix}"), meaning)
        };
        for over in column.over {
            match over {
                Over::Run | Over::Workload | Over::Cell => fields.push(Field::within(column, |s| &s.row)),
                Over::Median => fields.push(of(|s| &s.row, "_median", "median", "")),
                Over::Percentile(p) => {
                    let more = format!(
                        "; a block in which it is above `timeout_ms` is the largest, and where the median is \
                         such a block this is empty: then `timed_out` + `shed` > (1 − {p}) × `scheduled`"
                    );
                    fields.push(of(|s| &s.row, "_median", "median", &more));
                }
                Over::Min => fields.push(of(|s| &s.min, "_min", "smallest value", "")),
                Over::Max => fields.push(of(|s| &s.max, "_max", "largest value", "")),
                Over::Interval => {
                    let end = |end: &str| format!("{end} end of the 95% interval of the median");
                    fields.push(of(|s| &s.low, "_interval_low", &end("lower"), ""));
                    fields.push(of(|s| &s.high, "_interval_high", &end("upper"), ""));
                }
                Over::Sum => fields.push(of(|s| &s.row, "", "sum", "")),
                Over::Told => {
                    let (new_name, meaning) = told_as(name);
                    fields.push(Field::within(column, |s: &Summary| &s.row).called(new_name, meaning));
                }
            }
        }
    }
    fields.extend(Field::factors(factors, |s: &Summary| &s.row));
    fields.extend(crate::record::csv::fields());
    fields
}

/// Returns the name and the meaning that a column with [`Over::Told`] has in a summary.
fn told_as(name: &str) -> (String, String) {
    let (name, meaning) = match name {
        "bound_by" => (name, "What bounded more than half of the blocks, else `mixed`."),
        "verdict" => (
            name,
            "`no_steady_state` if the cell is not steady over its blocks; else `ok` if every block is, else what is most \
            often wrong; empty where nobody judged (schema 1).",
        ),
        "verdict_reason" => (name, "In how many blocks it is wrong, and the first one's reason."),
        _ => ("first_error", "The first error of the blocks; empty if there was none."),
    };
    (name.to_owned(), meaning.to_owned())
}

/// Summarises rows cell by cell: by server, then workload. Without ranks, which take pairs: see
/// [`super::Analysis`].
pub fn summarise(rows: &[Row]) -> Vec<Summary> {
    let mut cells: BTreeMap<(&str, usize), Vec<&Row>> = BTreeMap::new();
    for (place, rows) in by_workload(rows).into_iter().enumerate() {
        for row in rows {
            cells.entry((&row.server, place)).or_default().push(row);
        }
    }
    cells.into_values().map(|rows| summary(&rows)).collect()
}

/// Returns the 95% interval of the median of `values`, rounded as medians are.
pub fn interval(values: &[f64]) -> Option<Interval> {
    median_interval(values, 0.95).map(|interval| interval.map(|end| round(end, 3)))
}

fn summary(rows: &[&Row]) -> Summary {
    // A row with an error is shown as an error, and its figures are nobody's median.
    let good: Vec<&Row> = rows.iter().copied().filter(|row| row.error.is_empty()).collect();
    let Some(shown) = good.first().or(rows.first()) else { return Summary::default() };
    let mut s = Summary {
        blocks: rows.len(),
        blocks_failed: rows.len() - good.len(),
        blocks_ok: rows.iter().filter(|row| is_ok(row)).count(),
        steady: match steady(rows) {
            Gate::Passes => Some(true),
            Gate::Trips(_) => Some(false),
            Gate::NoInput | Gate::NotForThis => None,
        },
        left_out_throughput: usable(rows, Figure::Throughput).words(),
        left_out_latency: usable(rows, Figure::Latency).words(),
        left_out_cpu: usable(rows, Figure::Cpu).words(),
        left_out_memory: usable(rows, Figure::Memory).words(),
        failed_requests: rows.iter().filter_map(|row| row.scheduled?.checked_sub(row.ok?)).sum(),
        ..Summary::default()
    };
    for column in Row::COLUMNS {
        let values: Vec<f64> = good.iter().filter_map(|row| (column.number)(row)).collect();
        let set = |row: &mut Row, value: Option<f64>| {
            if let Some(value) = value {
                column.set_number(row, value);
            }
        };
        for over in column.over {
            match over {
                Over::Run | Over::Workload | Over::Cell => {
                    // A column takes what it gave.
                    _ = (column.set)(&mut s.row, &(column.get)(shown));
                }
                Over::Median => set(&mut s.row, median(&values)),
                Over::Percentile(p) => set(&mut s.row, percentile::median(rows, *p, column.number)),
                Over::Min => set(&mut s.min, values.iter().copied().reduce(f64::min)),
                Over::Max => set(&mut s.max, values.iter().copied().reduce(f64::max)),
                Over::Interval => {
                    let interval = interval(&values);
                    set(&mut s.low, interval.map(|interval| interval.low));
                    set(&mut s.high, interval.map(|interval| interval.high));
                }
                Over::Sum => {
                    set(&mut s.row, Some(rows.iter().filter_map(|row| (column.number)(row)).sum()));
                }
                Over::Told => {}
            }
        }
    }
    s.row.factors.clone_from(&shown.factors);
    s.row.bound_by = bound_by(&good);
    (s.row.verdict, s.row.verdict_reason) = told(rows);
    s.row.error = rows.iter().map(|row| &row.error).find(|e| !e.is_empty()).cloned().unwrap_or_default();
    s
}

/// Returns the verdict on a cell: `no_steady_state` if its blocks say so together, `ok` if all its rows are, else
/// what is most often wrong with the others, and how often. Empty where nobody judged.
fn told(rows: &[&Row]) -> (String, String) {
    let is_steady = steady(rows);
    if let Gate::Trips(said) = is_steady {
        return (Verdict::NoSteadyState.name().to_owned(), said);
    }
    let told: Vec<&str> = rows.iter().copied().map(verdict).collect();
    let reason_of = |word: &str| {
        let reasons = rows.iter().filter(|row| verdict(row) == word);
        let reason = |row: &&Row| match row.verdict_reason.is_empty() {
            true => row.error.clone(),
            false => row.verdict_reason.clone(),
        };
        reasons.map(reason).find(|reason| !reason.is_empty()).unwrap_or_default()
    };
    let wrong = told.iter().copied().filter(|word| !matches!(*word, "" | "ok"));
    let Some((word, times)) = most_frequent(wrong) else {
        if !told.iter().all(|word| *word == "ok") {
            return (String::new(), reason_of(""));
        }
        let not_judged = match (reason_of("ok"), is_steady) {
            (rest, Gate::NoInput) if rest.is_empty() => "not judged: steady state".to_owned(),
            (rest, Gate::NoInput) => rest + ", steady state",
            (rest, _) => rest,
        };
        return ("ok".to_owned(), not_judged);
    };
    let reason = reason_of(word);
    let colon = if reason.is_empty() { "" } else { ": " };
    (word.to_owned(), format!("{times} of {} blocks{colon}{reason}", rows.len()))
}

/// Returns what bounded most of the rows, or `mixed` where nothing bounded more than half of them.
fn bound_by(rows: &[&Row]) -> String {
    let bounds = rows.iter().map(|row| row.bound_by.as_str()).filter(|bound| !bound.is_empty());
    match most_frequent(bounds.clone()) {
        Some((bound, times)) if 2 * times > bounds.count() => bound.to_owned(),
        Some(_) => "mixed".to_owned(),
        None => String::new(),
    }
}

/// Returns the word that comes most often, and how often; of several the first of the alphabet.
fn most_frequent<'a>(words: impl Iterator<Item = &'a str>) -> Option<(&'a str, usize)> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        *times.entry(word).or_default() += 1;
    }
    times.into_iter().rev().max_by_key(|(_, times)| *times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(strategy: &str, requests: u64, throughput: f64) -> Row {
        Row {
            server: "smol".into(),
            strategy: strategy.into(),
            requests: Some(requests),
            throughput_rps: Some(throughput),
            scheduled: Some(requests),
            ok: Some(requests),
            ..Row::default()
        }
    }

    #[test]
    fn blocks_become_a_median_and_a_range() {
        let mut rows = [
            row("async", 1000, 5.0),
            row("thread-pool", 100, 2.0),
            row("async", 1000, 1.0),
            row("sequential", 100, 7.0),
            row("async", 1000, 3.0),
        ];
        crate::record::older::complete(&mut rows);
        let summaries = summarise(&rows);
        let names: Vec<(&str, Option<u64>)> =
            summaries.iter().map(|s| (s.row.strategy.as_str(), s.row.requests)).collect();
        assert_eq!(names, [("sequential", Some(100)), ("thread-pool", Some(100)), ("async", Some(1000))]);
        let last = &summaries[2];
        assert_eq!((last.blocks, last.blocks_failed), (3, 0));
        assert_eq!(last.row.throughput_rps, Some(3.0));
        assert_eq!((last.min.throughput_rps, last.max.throughput_rps), (Some(1.0), Some(5.0)));
    }

    #[test]
    fn a_row_with_an_error_counts_as_failed_and_for_no_median() {
        let failed = Row { ok: Some(0), error: "the server died".into(), ..row("async", 10, 999.0) };
        let rows = [row("async", 10, 4.0), failed.clone()];
        let summary = &summarise(&rows)[0];
        assert_eq!((summary.blocks, summary.blocks_failed, summary.failed_requests), (2, 1, 10));
        assert_eq!(summary.row.throughput_rps, Some(4.0));
        assert_eq!(summary.row.error, "the server died");
        assert_eq!(summarise(&[failed])[0].row.throughput_rps, None);
    }

    #[test]
    fn a_cell_is_ok_if_all_its_rows_are() {
        let judged = |verdict: &str| Row {
            verdict: verdict.into(),
            verdict_reason: if verdict == "ok" { String::new() } else { "because".into() },
            ..row("async", 10, 4.0)
        };
        let told = |rows: &[Row]| {
            let summary = summarise(rows).swap_remove(0);
            (summary.row.verdict, summary.row.verdict_reason, summary.blocks_ok)
        };
        let text = |verdict: &str, reason: &str, ok| (verdict.to_owned(), reason.to_owned(), ok);
        assert_eq!(told(&[judged("ok"), judged("ok")]), text("ok", "not judged: steady state", 2));
        let halves = |ratio: f64| Row { half_cpu_ratio: Some(ratio), ..judged("ok") };
        assert_eq!(told(&vec![halves(1.0); 6]), text("ok", "", 6));
        let said = "CPU per request of the second half +10.0% (median of 6 blocks), beyond ±3%";
        assert_eq!(told(&vec![halves(1.1); 6]), text("no_steady_state", said, 6));
        let mixed = [judged("ok"), judged("errors"), judged("client_bound"), judged("client_bound")];
        assert_eq!(told(&mixed), text("client_bound", "2 of 4 blocks: because", 1));
        // Nobody judged rows of schema 1, unless they have an error.
        assert_eq!(told(&[row("async", 10, 4.0)]), text("", "", 0));
        let failed = Row { error: "died".into(), ..row("async", 10, 4.0) };
        assert_eq!(told(&[failed]), text("failed", "1 of 1 blocks: died", 0));
    }

    #[test]
    fn what_was_left_out_is_said_figure_by_figure() {
        let judged = |verdict: &str| Row { verdict: verdict.into(), ..row("async", 10, 4.0) };
        let summary =
            &summarise(&[judged("ok"), judged("noisy_host"), judged("client_bound"), judged("client_bound")])
                [0];
        let said = [&summary.left_out_throughput, &summary.left_out_latency, &summary.left_out_cpu];
        assert_eq!(said, ["3 client_bound, 1 noisy_host", "3 client_bound, 1 noisy_host", "1 noisy_host"]);
        assert_eq!((&*summary.left_out_memory, summary.steady), ("", None));
    }

    #[test]
    fn what_bounded_most_blocks_is_named() {
        let bounded = |bounds: &[&str]| {
            let rows: Vec<Row> =
                bounds.iter().map(|b| Row { bound_by: (*b).into(), ..row("async", 10, 4.0) }).collect();
            summarise(&rows)[0].row.bound_by.clone()
        };
        assert_eq!(bounded(&["client", "client", "unexplained"]), "client");
        assert_eq!(bounded(&["client", "unexplained"]), "mixed");
        assert_eq!(bounded(&["", ""]), "");
    }

    #[test]
    fn intervals_take_six_blocks() {
        let rows: Vec<Row> = (1..=6).map(|n| row("async", 10, n as f64)).collect();
        assert_eq!(summarise(&rows[..5])[0].low.throughput_rps, None);
        let summary = &summarise(&rows)[0];
        assert!(summary.low.throughput_rps < summary.row.throughput_rps);
        assert!(summary.high.throughput_rps > summary.row.throughput_rps);
    }

    #[test]
    fn every_column_is_summed_up_as_the_registry_says() {
        let full = |block: usize| Row {
            block,
            timeout_ms: 500,
            threads_seen: Some(4 + block as u64),
            response_p99_us: Some(10.0 * block as f64),
            server_utilisation: Some(0.25),
            factors: [("k".to_owned(), "2".to_owned())].into(),
            ..row("async", 10, block as f64)
        };
        let summaries = summarise(&[full(1), full(2), full(3)]);
        let text = crate::record::csv::file(&fields(&["k".to_owned()]), &summaries).expect("written");
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let header = reader.headers().expect("a header").clone();
        let record = reader.records().next().expect("a row").expect("valid");
        let of = |name: &str| {
            let place = header.iter().position(|known| known == name);
            record[place.unwrap_or_else(|| panic!("no column {name}"))].to_owned()
        };
        for (name, value) in [
            ("server", "smol"),
            ("timeout_ms", "500"),
            ("scheduled", "30"),
            ("throughput_rps_median", "2.0"),
            ("throughput_rps_min", "1.0"),
            ("throughput_rps_max", "3.0"),
            ("throughput_rps_interval_low", ""),
            ("threads_seen_max", "7"),
            ("response_p99_us_median", "20.0"),
            ("server_utilisation_median", "0.25"),
            ("first_error", ""),
            ("factor_k", "2"),
            ("blocks", "3"),
            ("rank_metric", ""),
        ] {
            assert_eq!(of(name), value, "{name}");
        }
        assert!(header.iter().all(|name| name != "attempt" && name != "started_at"));
    }
}
