//! The table of `harness compare`, and its CSV.

use super::drawing::{Format, drawn};
use super::figures;
use crate::analysis;
use crate::analysis::comparison::Compared;
use crate::record::row::round;
use anyhow::Result;
use serde::Serialize;

/// One row per cell and metric.
pub fn table(compared: &[Compared<'_>], format: Format) -> String {
    let header = ["cell", "figure", "A", "B", "B/A [95%]", "Holm p", "B is"].map(str::to_owned);
    let value = |one: &Compared<'_>, value: Option<f64>| {
        value.map_or_else(|| "-".to_owned(), |value| figures::of(one.metric, value))
    };
    let row = |one: &Compared<'_>| {
        let judged = one.judged.as_ref();
        let estimate = judged.map(|j| figures::ratio(j.paired.estimate, j.paired.interval_95));
        vec![
            one.cell.label(),
            one.metric.column().to_owned(),
            value(one, one.a),
            value(one, one.b),
            estimate.unwrap_or_else(|| "-".to_owned()),
            judged.map_or_else(|| "-".to_owned(), |j| format!("{:.4}", j.p_holm)),
            one.word().to_owned(),
        ]
    };
    drawn(header.to_vec(), compared.iter().map(row).collect(), 2..6, format)
}

/// A row of the CSV, in the order of its columns.
#[derive(Debug, Default, Serialize)]
struct Line {
    server_a: String,
    server_b: String,
    route: String,
    interference: String,
    processes: usize,
    strategy: String,
    #[serde(rename = "loop")]
    loop_kind: String,
    requests: Option<u64>,
    duration_s: Option<f64>,
    concurrency: usize,
    offered_rps: Option<f64>,
    placement: String,
    metric: &'static str,
    a_median: Option<f64>,
    b_median: Option<f64>,
    blocks: usize,
    ratio: Option<f64>,
    interval_95_low: Option<f64>,
    interval_95_high: Option<f64>,
    interval_90_low: Option<f64>,
    interval_90_high: Option<f64>,
    p: Option<f64>,
    p_holm: Option<f64>,
    family: usize,
    delta: f64,
    delta_cells: usize,
    verdict: &'static str,
}

/// The same as CSV. Ratios are B / A; the columns are those of `pairs.csv` otherwise.
///
/// # Errors
/// None that a comparison could have.
pub fn csv(compared: &[Compared<'_>]) -> Result<Vec<u8>> {
    let line = |one: &Compared<'_>| {
        let shown = one.cell.a.first().map(|row| (*row).clone()).unwrap_or_default();
        let paired = one.judged.as_ref().map(|judged| &judged.paired);
        let (wide, narrow) = (paired.and_then(|p| p.interval_95), paired.and_then(|p| p.interval_90));
        let ratio = |value: f64| round(value, 6);
        Line {
            server_b: one.cell.b.first().map(|row| row.server.clone()).unwrap_or_default(),
            server_a: shown.server,
            route: shown.route,
            interference: shown.interference,
            processes: shown.processes,
            strategy: shown.strategy,
            loop_kind: shown.loop_kind,
            requests: shown.requests,
            duration_s: shown.duration_s,
            concurrency: shown.concurrency,
            offered_rps: shown.offered_rps,
            placement: shown.placement,
            metric: one.metric.column(),
            a_median: one.a.map(|value| round(value, 3)),
            b_median: one.b.map(|value| round(value, 3)),
            blocks: paired.map_or(0, |p| p.log_ratios.len()),
            ratio: paired.map(|p| ratio(p.estimate)),
            interval_95_low: wide.map(|i| ratio(i.low)),
            interval_95_high: wide.map(|i| ratio(i.high)),
            interval_90_low: narrow.map(|i| ratio(i.low)),
            interval_90_high: narrow.map(|i| ratio(i.high)),
            p: paired.map(|p| p.p),
            p_holm: one.judged.as_ref().map(|judged| judged.p_holm),
            family: one.family,
            delta: ratio(one.delta.value),
            delta_cells: one.delta.cells,
            verdict: one.word(),
        }
    };
    analysis::csv(&compared.iter().map(line).collect::<Vec<_>>())
}
