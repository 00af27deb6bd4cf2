//! One row of `summary.csv` per cell: medians over its blocks, and their range.

use super::row::{Row, round};
use crate::load::Strategy;
use crate::stats::median;
use contract::route::{ROUTES, Route};
use serde::Serialize;
use std::collections::BTreeMap;

/// A row of `summary.csv`, in the order of its columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "every column is described in results/README.md, which a test compares")]
pub struct Summary {
    pub schema_version: u32,
    pub run_id: String,
    pub server: String,
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
    pub requests: Option<u64>,
    pub concurrency: usize,
    pub keep_alive: bool,
    pub blocks: usize,
    pub blocks_failed: usize,
    pub failed_requests: u64,
    pub throughput_rps_median: Option<f64>,
    pub throughput_rps_min: Option<f64>,
    pub throughput_rps_max: Option<f64>,
    pub ceiling_rps: Option<f64>,
    pub ceiling_by: String,
    pub service_mean_us_median: Option<f64>,
    pub service_p50_us_median: Option<f64>,
    pub service_p99_us_median: Option<f64>,
    pub service_max_us_max: Option<f64>,
    pub server_cpu_us_per_request_median: Option<f64>,
    pub client_cpu_us_per_request_median: Option<f64>,
    pub server_peak_rss_bytes_max: Option<u64>,
    pub threads_seen_max: Option<u64>,
    pub first_error: String,
}

/// Summarises rows cell by cell: by server, then condition, route, number of requests and strategy.
pub fn summarise(rows: &[Row]) -> Vec<Summary> {
    let mut cells: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        cells.entry(key(row)).or_default().push(row);
    }
    cells.values().map(|rows| summary(rows)).collect()
}

/// What makes two rows replicates of one cell, and the order of cells in a table.
fn key(row: &Row) -> impl Ord + use<'_> {
    let strategy = Strategy::ALL.iter().position(|strategy| strategy.name() == row.strategy);
    let name = Route::parse_target(&row.route).map(Route::name).ok();
    let route = ROUTES.iter().position(|route| Some(route.name) == name);
    let condition = (row.processes, &row.interference);
    (&row.server, condition, (route, &row.route), row.requests, strategy, row.concurrency)
}

fn summary(rows: &[&Row]) -> Summary {
    // A row with an error is shown as an error, and its figures are nobody's median.
    let good: Vec<&Row> = rows.iter().copied().filter(|row| row.error.is_empty()).collect();
    let shown = good.first().or(rows.first()).copied().cloned().unwrap_or_default();
    let values =
        |of: fn(&Row) -> Option<f64>| -> Vec<f64> { good.iter().filter_map(|row| of(row)).collect() };
    let middle = |of| median(&values(of)).map(|value| round(value, 3));
    let throughput = values(|row| row.throughput_rps);
    Summary {
        schema_version: shown.schema_version,
        run_id: shown.run_id,
        server: shown.server,
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
        requests: shown.requests,
        concurrency: shown.concurrency,
        keep_alive: shown.keep_alive,
        blocks: rows.len(),
        blocks_failed: rows.len() - good.len(),
        failed_requests: rows.iter().filter_map(|row| Some(row.scheduled? - row.ok?)).sum(),
        throughput_rps_median: middle(|row| row.throughput_rps),
        throughput_rps_min: throughput.iter().copied().reduce(f64::min),
        throughput_rps_max: throughput.iter().copied().reduce(f64::max),
        ceiling_rps: shown.ceiling_rps,
        ceiling_by: shown.ceiling_by,
        service_mean_us_median: middle(|row| row.service_mean_us),
        service_p50_us_median: middle(|row| row.service_p50_us),
        service_p99_us_median: middle(|row| row.service_p99_us),
        service_max_us_max: values(|row| row.service_max_us).into_iter().reduce(f64::max),
        server_cpu_us_per_request_median: middle(|row| row.server_cpu_us_per_request),
        client_cpu_us_per_request_median: middle(|row| row.client_cpu_us_per_request),
        server_peak_rss_bytes_max: good.iter().filter_map(|row| row.server_peak_rss_bytes).max(),
        threads_seen_max: good.iter().filter_map(|row| row.threads_seen).max(),
        first_error: rows.iter().map(|row| &row.error).find(|e| !e.is_empty()).cloned().unwrap_or_default(),
    }
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
    fn every_column_is_described_in_the_results_readme() {
        let root = crate::root::find().expect("a clone");
        let readme = std::fs::read_to_string(root.join("results/README.md")).expect("results/README.md");
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(Summary::default()).expect("serializes");
        let text = String::from_utf8(writer.into_inner().expect("flushes")).expect("UTF-8");
        for column in text.lines().next().expect("a header").split(',') {
            assert!(readme.contains(&format!("| `{column}` |")), "{column} is not described");
        }
    }
}
