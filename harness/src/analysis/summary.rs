//! One row of `summary.csv` per cell: medians over its blocks, their range, and how far to believe them.

use super::censored::{self, Percentile};
use super::standing::{is_ok, verdict};
use crate::record::row::{Row, round};
use crate::record::workload::Workload;
use serde::Serialize;
use stats::bootstrap::Interval;
use stats::median;
use stats::ranks::Rank;
use stats::verdict::median_interval;
use std::collections::BTreeMap;

/// A row of `summary.csv`, in the order of its columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "every column is described in results/README.md, which a test compares")]
pub struct Summary {
    pub schema_version: u32,
    pub run_id: String,
    pub server: String,
    pub role: String,
    pub runtime: String,
    pub runtime_version: String,
    pub flavor: String,
    pub http_stack: String,
    pub processes: usize,
    pub worker_threads: Option<usize>,
    pub blocking_threads: Option<usize>,
    pub route: String,
    pub interference: String,
    pub strategy: String,
    #[serde(rename = "loop")]
    pub loop_kind: String,
    pub arrival: String,
    pub requests: Option<u64>,
    pub duration_s: Option<f64>,
    pub warmup_s: Option<f64>,
    pub concurrency: usize,
    pub keep_alive: bool,
    pub offered_rps: Option<f64>,
    pub timeout_ms: u64,
    pub placement: String,
    pub blocks: usize,
    pub blocks_failed: usize,
    pub blocks_ok: usize,
    pub scheduled: u64,
    pub failed_requests: u64,
    pub timed_out: u64,
    pub shed: u64,
    pub throughput_rps_median: Option<f64>,
    pub throughput_rps_min: Option<f64>,
    pub throughput_rps_max: Option<f64>,
    pub throughput_rps_interval_low: Option<f64>,
    pub throughput_rps_interval_high: Option<f64>,
    pub ceiling_rps: Option<f64>,
    pub ceiling_by: String,
    pub client_ceiling_rps_median: Option<f64>,
    pub bound_by: String,
    pub service_mean_us_median: Option<f64>,
    pub service_p50_us_median: Option<f64>,
    pub service_p90_us_median: Option<f64>,
    pub service_p99_us_median: Option<f64>,
    pub service_max_us_max: Option<f64>,
    pub response_mean_us_median: Option<f64>,
    pub response_p50_us_median: Option<f64>,
    pub response_p90_us_median: Option<f64>,
    pub response_p99_us_median: Option<f64>,
    pub response_p99_9_us_median: Option<f64>,
    pub response_max_us_max: Option<f64>,
    pub lateness_p99_us_median: Option<f64>,
    pub conn_wait_p99_us_median: Option<f64>,
    pub server_cpu_us_per_request_median: Option<f64>,
    pub client_cpu_us_per_request_median: Option<f64>,
    pub server_peak_rss_bytes_max: Option<u64>,
    pub server_ctx_switches_per_request_median: Option<f64>,
    pub threads_seen_max: Option<u64>,
    pub server_utilisation_median: Option<f64>,
    pub client_utilisation_median: Option<f64>,
    pub rank_metric: String,
    pub rank_interval_low: Option<f64>,
    pub rank_interval_high: Option<f64>,
    pub rank_best: Option<usize>,
    pub rank_worst: Option<usize>,
    pub verdict: String,
    pub verdict_reason: String,
    pub first_error: String,
    #[serde(skip)]
    pub workload: Workload,
}

impl Summary {
    /// Where it stands among the servers of its workload: whoever has no rank comes last.
    pub fn place(&self) -> (usize, usize) {
        self.rank().map_or((usize::MAX, 0), |rank| (rank.best, rank.worst))
    }

    /// The places the server can have on this workload, if it is ranked.
    pub fn rank(&self) -> Option<Rank> {
        Some(Rank { best: self.rank_best?, worst: self.rank_worst? })
    }
}

/// Summarises rows cell by cell: by server, then condition, route, load and strategy. Without ranks, which
/// take pairs: see [`super::Analysis`].
pub fn summarise(rows: &[Row]) -> Vec<Summary> {
    let mut cells: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        cells.entry((&row.server, Workload::of(row))).or_default().push(row);
    }
    cells.into_iter().map(|((_, workload), rows)| summary(workload, &rows)).collect()
}

/// The median over blocks of what may be compared, as an interval of 95%.
pub(super) fn interval(values: &[f64]) -> Option<Interval> {
    median_interval(values, 0.95).map(|interval| interval.map(|end| round(end, 3)))
}

fn summary(workload: Workload, rows: &[&Row]) -> Summary {
    // A row with an error is shown as an error, and its figures are nobody's median.
    let good: Vec<&Row> = rows.iter().copied().filter(|row| row.error.is_empty()).collect();
    let shown = good.first().or(rows.first()).copied().cloned().unwrap_or_default();
    let values =
        |of: fn(&Row) -> Option<f64>| -> Vec<f64> { good.iter().filter_map(|row| of(row)).collect() };
    let middle = |of| median(&values(of)).map(|value| round(value, 3));
    let largest = |of| values(of).into_iter().reduce(f64::max);
    let sum = |of: fn(&Row) -> Option<u64>| -> u64 { rows.iter().filter_map(|row| of(row)).sum() };
    let response = |p, of| censored::median(rows, Percentile { p, of }).map(|value| round(value, 3));
    let throughput = values(|row| row.throughput_rps);
    let throughput_interval = interval(&throughput);
    let (verdict, verdict_reason) = told(rows);
    Summary {
        schema_version: shown.schema_version,
        run_id: shown.run_id,
        server: shown.server,
        role: shown.role,
        runtime: shown.runtime,
        runtime_version: shown.runtime_version,
        flavor: shown.flavor,
        http_stack: shown.http_stack,
        processes: shown.processes,
        worker_threads: shown.worker_threads,
        blocking_threads: shown.blocking_threads,
        route: shown.route,
        interference: shown.interference,
        strategy: shown.strategy,
        loop_kind: shown.loop_kind,
        arrival: shown.arrival,
        requests: shown.requests,
        duration_s: shown.duration_s,
        warmup_s: shown.warmup_s,
        concurrency: shown.concurrency,
        keep_alive: shown.keep_alive,
        offered_rps: shown.offered_rps,
        timeout_ms: shown.timeout_ms,
        placement: shown.placement,
        blocks: rows.len(),
        blocks_failed: rows.len() - good.len(),
        blocks_ok: rows.iter().filter(|row| is_ok(row)).count(),
        scheduled: sum(|row| row.scheduled),
        failed_requests: sum(|row| row.scheduled?.checked_sub(row.ok?)),
        timed_out: sum(|row| row.timed_out),
        shed: sum(|row| row.shed),
        throughput_rps_median: middle(|row| row.throughput_rps),
        throughput_rps_min: throughput.iter().copied().reduce(f64::min),
        throughput_rps_max: throughput.iter().copied().reduce(f64::max),
        throughput_rps_interval_low: throughput_interval.map(|i| i.low),
        throughput_rps_interval_high: throughput_interval.map(|i| i.high),
        ceiling_rps: shown.ceiling_rps,
        ceiling_by: shown.ceiling_by,
        client_ceiling_rps_median: middle(|row| row.client_ceiling_rps),
        bound_by: bound_by(&good),
        service_mean_us_median: middle(|row| row.service_mean_us),
        service_p50_us_median: middle(|row| row.service_p50_us),
        service_p90_us_median: middle(|row| row.service_p90_us),
        service_p99_us_median: middle(|row| row.service_p99_us),
        service_max_us_max: largest(|row| row.service_max_us),
        response_mean_us_median: middle(|row| row.response_mean_us),
        response_p50_us_median: response(0.5, |row| row.response_p50_us),
        response_p90_us_median: response(0.9, |row| row.response_p90_us),
        response_p99_us_median: response(0.99, |row| row.response_p99_us),
        response_p99_9_us_median: response(0.999, |row| row.response_p99_9_us),
        response_max_us_max: largest(|row| row.response_max_us),
        lateness_p99_us_median: middle(|row| row.lateness_p99_us),
        conn_wait_p99_us_median: middle(|row| row.conn_wait_p99_us),
        server_cpu_us_per_request_median: middle(|row| row.server_cpu_us_per_request),
        client_cpu_us_per_request_median: middle(|row| row.client_cpu_us_per_request),
        server_peak_rss_bytes_max: good.iter().filter_map(|row| row.server_peak_rss_bytes).max(),
        server_ctx_switches_per_request_median: middle(|row| row.server_ctx_switches_per_request),
        threads_seen_max: good.iter().filter_map(|row| row.threads_seen).max(),
        server_utilisation_median: middle(|row| row.server_utilisation),
        client_utilisation_median: middle(|row| row.client_utilisation),
        verdict,
        verdict_reason,
        first_error: rows.iter().map(|row| &row.error).find(|e| !e.is_empty()).cloned().unwrap_or_default(),
        workload,
        ..Summary::default()
    }
}

/// The verdict on a cell: `ok` if all its rows are, else what is most often wrong with the others, and how
/// often. Empty where nobody judged.
fn told(rows: &[&Row]) -> (String, String) {
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
        let all = if told.iter().all(|word| *word == "ok") { "ok" } else { "" };
        return (all.to_owned(), reason_of(all));
    };
    let reason = reason_of(word);
    let colon = if reason.is_empty() { "" } else { ": " };
    (word.to_owned(), format!("{times} of {} blocks{colon}{reason}", rows.len()))
}

/// What bounded most of the rows, or `mixed` where nothing bounded more than half of them.
fn bound_by(rows: &[&Row]) -> String {
    let bounds = rows.iter().map(|row| row.bound_by.as_str()).filter(|bound| !bound.is_empty());
    match most_frequent(bounds.clone()) {
        Some((bound, times)) if 2 * times > bounds.count() => bound.to_owned(),
        Some(_) => "mixed".to_owned(),
        None => String::new(),
    }
}

/// The word that comes most often, and how often; the first of the alphabet of those that come as often.
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
        let rows = [
            row("async", 1000, 5.0),
            row("thread-pool", 100, 2.0),
            row("async", 1000, 1.0),
            row("sequential", 100, 7.0),
            row("async", 1000, 3.0),
        ];
        let summaries = summarise(&rows);
        let names: Vec<(&str, Option<u64>)> =
            summaries.iter().map(|s| (s.strategy.as_str(), s.requests)).collect();
        assert_eq!(names, [("sequential", Some(100)), ("thread-pool", Some(100)), ("async", Some(1000))]);
        let last = &summaries[2];
        assert_eq!((last.blocks, last.blocks_failed), (3, 0));
        assert_eq!(last.throughput_rps_median, Some(3.0));
        assert_eq!((last.throughput_rps_min, last.throughput_rps_max), (Some(1.0), Some(5.0)));
    }

    #[test]
    fn a_row_with_an_error_counts_as_failed_and_for_no_median() {
        let failed = Row { ok: Some(0), error: "the server died".into(), ..row("async", 10, 999.0) };
        let rows = [row("async", 10, 4.0), failed.clone()];
        let summary = &summarise(&rows)[0];
        assert_eq!((summary.blocks, summary.blocks_failed, summary.failed_requests), (2, 1, 10));
        assert_eq!(summary.throughput_rps_median, Some(4.0));
        assert_eq!(summary.first_error, "the server died");
        assert_eq!(summarise(&[failed])[0].throughput_rps_median, None);
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
            (summary.verdict, summary.verdict_reason, summary.blocks_ok)
        };
        let text = |verdict: &str, reason: &str, ok| (verdict.to_owned(), reason.to_owned(), ok);
        assert_eq!(told(&[judged("ok"), judged("ok")]), text("ok", "", 2));
        let mixed = [judged("ok"), judged("errors"), judged("client_bound"), judged("client_bound")];
        assert_eq!(told(&mixed), text("client_bound", "2 of 4 blocks: because", 1));
        // Nobody judged rows of schema 1, unless they have an error.
        assert_eq!(told(&[row("async", 10, 4.0)]), text("", "", 0));
        let failed = Row { error: "died".into(), ..row("async", 10, 4.0) };
        assert_eq!(told(&[failed]), text("failed", "1 of 1 blocks: died", 0));
    }

    #[test]
    fn what_bounded_most_blocks_is_named() {
        let bounded = |bounds: &[&str]| {
            let rows: Vec<Row> =
                bounds.iter().map(|b| Row { bound_by: (*b).into(), ..row("async", 10, 4.0) }).collect();
            summarise(&rows)[0].bound_by.clone()
        };
        assert_eq!(bounded(&["client", "client", "unexplained"]), "client");
        assert_eq!(bounded(&["client", "unexplained"]), "mixed");
        assert_eq!(bounded(&["", ""]), "");
    }

    #[test]
    fn intervals_take_six_blocks() {
        let rows: Vec<Row> = (1..=6).map(|n| row("async", 10, n as f64)).collect();
        assert_eq!(summarise(&rows[..5])[0].throughput_rps_interval_low, None);
        let summary = &summarise(&rows)[0];
        assert!(summary.throughput_rps_interval_low < summary.throughput_rps_median);
        assert!(summary.throughput_rps_interval_high > summary.throughput_rps_median);
    }

    #[test]
    fn every_column_is_described_in_the_results_readme() {
        crate::record::assert_columns_described(&Summary::default());
    }
}
