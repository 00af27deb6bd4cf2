//! One row of `summary.csv` per cell: its blocks summed up, and how far to believe them.

use super::metric::{Metric, MetricName};
use super::percentile;
use super::role::{is_ok, verdict};
use super::turns::{self, Basis};
use super::usable::{steady, usable};
use crate::judge::gate::Gate;
use crate::judge::validity::Figure;
use crate::judge::verdict::Verdict;
use crate::record::column::{Column, Over, Record, columns};
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
    /// A cell summed up. `summary.csv` has these columns and those of [`fields`].
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct Summary {
        rank_metric: Option<Metric>, "", &[] =>
            "The figure that ranks the workload's servers: `throughput_rps` on closed loops; on open ones \
            `response_p99_us`, or `response_p50_us` where no server has the former.";
        rank_best: Option<usize>, "", &[] =>
            "The best place the server can have; empty for controls, ceilings, a server alone, levels of a \
            factor, and a cell with fewer than six blocks that are good for `rank_metric`.";
        rank_worst: Option<usize>, "", &[] => "The worst place the server can have.";
        blocks: usize, "", &[] => "The replicates of the cell.";
        blocks_used: Option<usize>, "", &[] =>
            "Those that pairs and ranks by `rank_metric` are made of; empty for controls and ceilings.";
        failed_requests: u64, "requests", &[] => "Requests begun and not `ok`, over all blocks.";
    } with {
        /// The blocks with an error, which count for no median or range.
        blocks_failed: usize,
        /// The blocks whose verdict is `ok`.
        blocks_ok: usize,
        /// Whether the halves of the cell agree over its blocks, in throughput, latency and CPU per request; `None`
        /// where fewer than six blocks have halves.
        steady: Option<bool>,
        /// The blocks that pairs and ranks by throughput leave out, by the verdict that they are left out for, as in
        /// `3 noisy_host, 1 errors`; empty where none is.
        left_out_throughput: String,
        /// The same of latencies.
        left_out_latency: String,
        /// The same of CPU time and context switches per request.
        left_out_cpu: String,
        /// The same of peak memory.
        left_out_memory: String,
        /// The lower end of the interval of the median of `rank_metric`, over the rows that may be compared.
        rank_interval_low: Option<f64>,
        /// The upper end of that interval.
        rank_interval_high: Option<f64>,
        /// Where servers take turns: the throughput in slices / that in the continuous window, the median over the
        /// blocks.
        slices_to_continuous_throughput: Option<f64>,
        /// The same of the server's CPU time per request.
        slices_to_continuous_cpu: Option<f64>,
        /// Whether slices and continuous windows agree, by both figures: if not, by more than 2% and by a test over
        /// the blocks, the medians here are those of the continuous windows.
        slices_hold: Option<bool>,
        /// The lower of the two modes that the server's CPU time per request has over the slices of all blocks, in
        /// µs; `None` where it has one.
        cpu_mode_low_us: Option<f64>,
        /// The upper one.
        cpu_mode_high_us: Option<f64>,
        /// The part of the slices that are in the upper one.
        cpu_mode_high_share: Option<f64>,
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
            format!("it uses {:.1}% of a CPU while it has no turn, and is in the others' way", share * 100.0)
        }));
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Says which blocks are left out of the figure that ranks, and why; empty where none is.
    fn left_out(&self) -> &str {
        match self.rank_metric.unwrap_or(Metric::THROUGHPUT).figure() {
            Figure::Throughput => &self.left_out_throughput,
            Figure::Latency => &self.left_out_latency,
            Figure::Cpu => &self.left_out_cpu,
            Figure::Memory => &self.left_out_memory,
        }
    }

    /// Returns the interval of the figure that ranks.
    pub fn rank_interval(&self) -> Option<Interval> {
        Some(Interval { low: self.rank_interval_low?, high: self.rank_interval_high? })
    }
}

/// A server that has nothing to do may use so much of a CPU, before it is said.
const IDLE_SHARE: f64 = 0.005;

/// Returns the columns of `summary.csv` in a run with these factors: what identifies a cell, the figures that people
/// compare with their intervals, and how far to believe them. No more than 40 with two factors: it is for a spreadsheet.
pub fn fields(factors: &[String]) -> Vec<Field<Summary>> {
    let of_row = |name: &str| Field::within(column::<Row>(name), |s: &Summary| &s.row);
    let own = |name: &str| Field::within(column::<Summary>(name), |s: &Summary| s);
    let mut fields: Vec<Field<Summary>> =
        ["workload_id", "workload", "server", "role", "route", "strategy", "loop"].map(of_row).into();
    fields.extend(Field::factors(factors, |s: &Summary| &s.row));
    for name in ["throughput", "p50", "p99", "cpu", "memory", "switches"] {
        fields.extend(figure(MetricName::find(name).expect("a short name of a metric")));
    }
    fields.extend(["rank_metric", "rank_best", "rank_worst"].map(own));
    fields.push(told("bound_by", "What bounded more than half of the blocks, else `mixed`."));
    fields.push(of_row("ceiling_rps"));
    fields.push(told("client_ceiling_rps", "The median over the blocks of `client_ceiling_rps`."));
    fields.extend(["blocks", "blocks_used"].map(own));
    fields.push(Field::text(
        "left_out",
        "The blocks that pairs and ranks by `rank_metric` leave out, by the verdict that they are left out for, as in `3 \
         noisy_host, 1 errors`.",
        |s: &Summary| s.left_out().to_owned(),
    ));
    fields.push(own("failed_requests"));
    fields.push(told(
        "verdict",
        "`no_steady_state` if the cell is not steady over its blocks; else `ok` if every block is, else what is most \
         often wrong; empty where nobody judged (schema 1).",
    ));
    fields.push(told("verdict_reason", "In how many blocks it is wrong, and the first one's reason."));
    fields.push(Field::text(
        "note",
        "Where servers took turns: whether the figures are those of slices or of a continuous window, and whether CPU \
         per request has two modes.",
        |s: &Summary| s.about_turns().unwrap_or_default().replace('µ', "u"),
    ));
    fields
}

/// Returns a column of the registry. A name that is not in it is a mistake in this file.
fn column<R: Record>(name: &str) -> &'static Column<R> {
    R::COLUMNS.iter().find(|column| column.name == name).unwrap_or_else(|| panic!("no column {name}"))
}

/// Returns a column of the row with a meaning of its own.
fn told(name: &str, meaning: &str) -> Field<Summary> {
    Field::within(column::<Row>(name), |s: &Summary| &s.row).called(name.to_owned(), meaning.to_owned())
}

/// Returns the three columns of a figure: its median over the blocks and the ends of the median's interval. A
/// percentile is that of the response time on an open loop, and of the service time on a closed one.
fn figure(name: MetricName) -> [Field<Summary>; 3] {
    let (closed, open) = (name.on("closed"), name.on("open"));
    let is_one = closed == open;
    let called = if is_one { closed.column() } else { closed.column().trim_start_matches("service_") };
    let source = if is_one {
        format!("`{}`", closed.column())
    } else {
        format!("`{}` on an open `loop`, of `{}` on a closed one", open.column(), closed.column())
    };
    let beyond = if is_one { "" } else { "; empty also where it is beyond the timeout" };
    let of = |within: fn(&Summary) -> &Row, suffix: &str, meaning: String| {
        let text = move |s: &Summary| (name.on(&s.row.loop_kind).of_column().get)(within(s));
        Field { text: Box::new(text), ..Field::within(closed.of_column(), within) }
            .called(format!("{called}{suffix}"), meaning)
    };
    [
        of(|s| &s.row, "", format!("The median over the blocks without an error of {source}{beyond}.")),
        of(
            |s| &s.low,
            "_low",
            "The lower end of that median's 95% interval; empty with fewer than six blocks.".into(),
        ),
        of(|s| &s.high, "_high", "The upper end of that interval.".into()),
    ]
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
                    // Without the blocks beyond the timeout an interval would be too low.
                    let all = values.len() == good.len();
                    let interval = interval(&values).filter(|_| all || !is_percentile(column.over));
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
    (s.row.verdict, s.row.verdict_reason) = verdict_on(rows);
    s.row.error = rows.iter().map(|row| &row.error).find(|e| !e.is_empty()).cloned().unwrap_or_default();
    s
}

/// Returns true for a column whose values may be known only to be beyond the timeout.
fn is_percentile(over: &[Over]) -> bool {
    over.iter().any(|over| matches!(over, Over::Percentile(_)))
}

/// Returns the verdict on a cell: `no_steady_state` if its blocks say so together, `ok` if all its rows are, else
/// what is most often wrong with the others, and how often. Empty where nobody judged.
fn verdict_on(rows: &[&Row]) -> (String, String) {
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
        let said = "CPU per request of the second half +10.0% (median of 6 blocks), more than 3% apart";
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
    fn a_summary_has_the_figures_that_people_compare() {
        let full = |block: usize| Row {
            block,
            loop_kind: "open".into(),
            server_peak_rss_bytes: Some(2048 * block as u64),
            response_p99_us: Some(10.0 * block as f64),
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
            ("throughput_rps", "2.0"),
            ("throughput_rps_low", ""),
            ("p99_us", "20.0"),
            ("server_peak_rss_bytes", "4096"),
            ("factor_k", "2"),
            ("blocks", "3"),
            ("blocks_used", ""),
            ("rank_metric", ""),
        ] {
            assert_eq!(of(name), value, "{name}");
        }
        assert!(header.len() <= 39 && header.iter().take(3).eq(["workload_id", "workload", "server"]));
    }
}
