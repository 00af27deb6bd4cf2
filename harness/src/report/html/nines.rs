//! Latency by percentile: from the histograms of a cell where the run's directory has them, else from its columns.

use super::context::Context;
use crate::record::directory::{HISTOGRAMS, histograms_name};
use crate::record::interval_log::{merged, read};
use crate::record::row::Row;
use hdrhistogram::Histogram;
use load::histogram::percentile;

/// The percentiles of a curve.
const GRID: [f64; 14] =
    [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999];

/// Returns percentiles and times in µs: response times of an open loop, service times of a closed one.
pub(super) fn curve(
    context: &Context<'_>,
    server: &str,
    workload_id: &str,
    is_open: bool,
) -> Vec<(f64, f64)> {
    let rows = context.cell(server, workload_id);
    if let Some((histogram, censored)) = of_histograms(context, &rows, is_open) {
        let point = |p: f64| Some((p, percentile(&histogram, censored, p)? as f64 / 1e3));
        return GRID.into_iter().filter_map(point).collect();
    }
    let Some(row) = context.summary(server, workload_id).map(|summary| &summary.row) else {
        return Vec::new();
    };
    let known = match is_open {
        true => [row.response_p50_us, row.response_p90_us, row.response_p99_us, row.response_p99_9_us],
        false => [row.service_p50_us, row.service_p90_us, row.service_p99_us, row.service_p99_9_us],
    };
    let points = [0.5, 0.9, 0.99, 0.999].into_iter().zip(known);
    points.filter_map(|(p, us)| Some((p, us?))).collect()
}

/// All samples of the rows without an error, and how many requests are only known to have taken longer. `None` where
/// a row has no histogram: a part of the rows is not the cell.
fn of_histograms(context: &Context<'_>, rows: &[&Row], is_open: bool) -> Option<(Histogram<u64>, u64)> {
    let kind = if is_open { "response" } else { "service" };
    let mut all = Histogram::new(3).ok()?;
    let mut censored = 0;
    for row in rows.iter().filter(|row| row.error.is_empty()) {
        let path = context.directory.join(HISTOGRAMS).join(histograms_name(row));
        if !path.exists() {
            return None;
        }
        all.add(merged(&read(&path).ok()?, kind).ok()?).ok()?;
        censored += row.timed_out.unwrap_or(0) + if is_open { row.shed.unwrap_or(0) } else { 0 };
    }
    (!all.is_empty()).then_some((all, censored))
}
