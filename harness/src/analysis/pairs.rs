//! `pairs.csv`: every two servers of a workload against each other, figure by figure.

use super::metric::Metric;
use super::standing::{Role, controlled, is_comparable, role};
use crate::record::row::{Row, round};
use crate::record::workload::Workload;
use serde::Serialize;
use stats::verdict::{self, DELTA_FLOOR, Judged, Paired, Verdict, judge_family};
use std::collections::BTreeMap;

/// A row of `pairs.csv`, in the order of its columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "every column is described in results/README.md, which a test compares")]
pub struct Pair {
    pub schema_version: u32,
    pub run_id: String,
    pub route: String,
    pub interference: String,
    pub processes: usize,
    pub strategy: String,
    #[serde(rename = "loop")]
    pub loop_kind: String,
    pub arrival: String,
    pub requests: Option<u64>,
    pub duration_s: Option<f64>,
    pub warmup_s: Option<f64>,
    pub concurrency: usize,
    pub offered_rps: Option<f64>,
    pub placement: String,
    pub metric: &'static str,
    pub server: String,
    pub against: String,
    pub is_control: bool,
    pub blocks: usize,
    pub blocks_dropped: usize,
    pub ratio: f64,
    pub interval_95_low: Option<f64>,
    pub interval_95_high: Option<f64>,
    pub interval_90_low: Option<f64>,
    pub interval_90_high: Option<f64>,
    pub p: f64,
    pub p_holm: f64,
    pub family: usize,
    pub delta: f64,
    pub delta_cells: usize,
    pub verdict: &'static str,
    pub decidable: bool,
    #[serde(skip)]
    pub workload: Workload,
    #[serde(skip)]
    pub found: Option<Verdict>,
}

/// The rows of one server on one workload.
struct Cell<'a> {
    server: &'a str,
    role: Role,
    rows: Vec<&'a Row>,
}

/// What counts as a difference, and how many A/A controls say so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delta {
    /// δ: the least ratio − 1.
    pub value: f64,
    /// The number of workloads with a control that it was taken from; 0 for the floor alone.
    pub cells: usize,
}

/// A pair of two cells by their places in a workload, and what their blocks say.
type Found = (usize, usize, Paired);

/// Every pair of contestants by these metrics, workload by workload; and every control against its server.
///
/// The pairs of contestants of one workload and metric are one family for Holm's correction. The controls of
/// one metric are another, and are judged by the floor of δ: the δ of the run comes from themselves.
pub fn pairs(rows: &[Row], metrics: &[Metric]) -> Vec<Pair> {
    let workloads = workloads(rows);
    let mut all = Vec::new();
    for &metric in metrics {
        let mut controls = Vec::new();
        for (workload, cells) in &workloads {
            let found = of_controls(cells, metric);
            controls.extend(found.into_iter().map(|(a, b, paired)| (workload, cells, a, b, paired)));
        }
        let delta = delta_of(controls.iter().map(|(.., paired)| paired.estimate));
        let floor = Delta { value: DELTA_FLOOR, cells: 0 };
        let family = controls.iter().map(|(.., paired)| paired.clone()).collect();
        let judged = judge_family(family, DELTA_FLOOR);
        let size = judged.len();
        for ((workload, cells, a, b, _), judged) in controls.into_iter().zip(judged) {
            all.push(pair(metric, workload, (&cells[a], &cells[b]), &judged, size, floor));
        }
        for (workload, cells) in &workloads {
            let found = of_contestants(cells, metric);
            let size = found.len();
            let judged = judge_family(found.iter().map(|(.., paired)| paired.clone()).collect(), delta.value);
            all.extend(found.iter().zip(judged).map(|((a, b, _), judged)| {
                pair(metric, workload, (&cells[*a], &cells[*b]), &judged, size, delta)
            }));
        }
    }
    // Within a workload and a metric they are in order already.
    all.sort_by(|a, b| a.workload.cmp(&b.workload));
    all
}

/// The ratio of every control to its server, workload by workload.
pub fn control_ratios(rows: &[Row], metric: Metric) -> Vec<f64> {
    let workloads = workloads(rows);
    let found = workloads.values().flat_map(|cells| of_controls(cells, metric));
    found.map(|(.., paired)| paired.estimate).collect()
}

/// δ of A/A ratios.
pub fn delta_of(ratios: impl Iterator<Item = f64>) -> Delta {
    let ratios: Vec<f64> = ratios.collect();
    Delta { value: verdict::delta(&ratios), cells: ratios.len() }
}

fn workloads(rows: &[Row]) -> BTreeMap<Workload, Vec<Cell<'_>>> {
    let mut workloads: BTreeMap<Workload, BTreeMap<&str, Cell<'_>>> = BTreeMap::new();
    for row in rows {
        let cells = workloads.entry(Workload::of(row)).or_default();
        let new = || Cell { server: &row.server, role: role(row), rows: Vec::new() };
        cells.entry(&row.server).or_insert_with(new).rows.push(row);
    }
    workloads.into_iter().map(|(workload, cells)| (workload, cells.into_values().collect())).collect()
}

/// The values of a metric that may be compared, with their blocks.
pub fn values(rows: &[&Row], metric: Metric) -> Vec<(usize, f64)> {
    let usable = rows.iter().filter(|row| is_comparable(row));
    usable.filter_map(|row| Some((row.block, metric.of(row)?))).collect()
}

fn compare(a: &Cell<'_>, b: &Cell<'_>, metric: Metric) -> Option<Paired> {
    verdict::compare(&values(&a.rows, metric), &values(&b.rows, metric))
}

fn of_contestants(cells: &[Cell<'_>], metric: Metric) -> Vec<Found> {
    let contestants: Vec<usize> = (0..cells.len()).filter(|i| cells[*i].role == Role::Contestant).collect();
    let mut found = Vec::new();
    for (place, &a) in contestants.iter().enumerate() {
        for &b in &contestants[place + 1..] {
            found.extend(compare(&cells[a], &cells[b], metric).map(|paired| (a, b, paired)));
        }
    }
    found
}

fn of_controls(cells: &[Cell<'_>], metric: Metric) -> Vec<Found> {
    let mut found = Vec::new();
    for (a, control) in cells.iter().enumerate().filter(|(_, cell)| cell.role == Role::Control) {
        let Some(b) = cells.iter().position(|cell| cell.server == controlled(control.server)) else {
            continue;
        };
        found.extend(compare(control, &cells[b], metric).map(|paired| (a, b, paired)));
    }
    found
}

fn pair(
    metric: Metric,
    workload: &Workload,
    (a, b): (&Cell<'_>, &Cell<'_>),
    judged: &Judged,
    family: usize,
    delta: Delta,
) -> Pair {
    let shown = a.rows.first().map(|row| (*row).clone()).unwrap_or_default();
    let Judged { paired, p_holm, verdict, decidable } = judged;
    let mut blocks: Vec<usize> = a.rows.iter().chain(&b.rows).map(|row| row.block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    let ratio = |value: f64| round(value, 6);
    let (wide, narrow) = (paired.interval_95, paired.interval_90);
    Pair {
        schema_version: shown.schema_version,
        run_id: shown.run_id,
        route: shown.route,
        interference: shown.interference,
        processes: shown.processes,
        strategy: shown.strategy,
        loop_kind: shown.loop_kind,
        arrival: shown.arrival,
        requests: shown.requests,
        duration_s: shown.duration_s,
        warmup_s: shown.warmup_s,
        concurrency: shown.concurrency,
        offered_rps: shown.offered_rps,
        placement: shown.placement,
        metric: metric.column(),
        server: a.server.to_owned(),
        against: b.server.to_owned(),
        is_control: a.role == Role::Control,
        blocks: paired.log_ratios.len(),
        blocks_dropped: blocks.len() - paired.log_ratios.len(),
        ratio: ratio(paired.estimate),
        interval_95_low: wide.map(|i| ratio(i.low)),
        interval_95_high: wide.map(|i| ratio(i.high)),
        interval_90_low: narrow.map(|i| ratio(i.low)),
        interval_90_high: narrow.map(|i| ratio(i.high)),
        p: paired.p,
        p_holm: *p_holm,
        family,
        delta: ratio(delta.value),
        delta_cells: delta.cells,
        verdict: metric.word(*verdict),
        decidable: *decidable,
        workload: workload.clone(),
        found: Some(*verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve blocks of a server whose throughput is `level` times that of the block, give or take 1%.
    fn cell(server: &str, level: f64) -> Vec<Row> {
        (1..=12)
            .map(|block| {
                let noise = 1.0 + 0.01 * ((block * 7 + server.len() * 3) % 5) as f64 / 5.0;
                Row {
                    block,
                    server: server.into(),
                    verdict: "ok".into(),
                    throughput_rps: Some(1000.0 * level * (1.0 + block as f64) * noise),
                    ..Row::default()
                }
            })
            .collect()
    }

    fn of_throughput(rows: &[Row]) -> Vec<Pair> {
        pairs(rows, &[Metric::ThroughputRps])
    }

    #[test]
    fn pairs_are_judged_by_block_whatever_the_blocks_do() {
        let rows = [cell("may", 1.0), cell("smol", 1.1), cell("tokio", 1.0)].concat();
        let pairs = of_throughput(&rows);
        let said: Vec<_> = pairs.iter().map(|p| (&*p.server, &*p.against, p.verdict, p.family)).collect();
        let expected =
            [("may", "smol", "slower", 3), ("may", "tokio", "equivalent", 3), ("smol", "tokio", "faster", 3)];
        assert_eq!(said, expected);
        assert!(pairs.iter().all(|p| p.blocks == 12 && p.decidable && p.delta == 0.02 && p.delta_cells == 0));
    }

    #[test]
    fn ceilings_are_in_no_pair_and_controls_in_one() {
        let rows =
            [cell("smol", 1.0), cell("smol.control", 1.0), cell("null", 9.0), cell("may", 1.1)].concat();
        let pairs = of_throughput(&rows);
        let said: Vec<_> = pairs.iter().map(|p| (&*p.server, &*p.against, p.is_control, p.family)).collect();
        assert_eq!(said, [("smol.control", "smol", true, 1), ("may", "smol", false, 1)]);
        assert_eq!(pairs[0].verdict, "equivalent");
    }

    #[test]
    fn a_control_that_differs_raises_delta_and_is_judged_by_the_floor() {
        let rows = [cell("smol", 1.0), cell("smol.control", 1.2), cell("may", 1.1)].concat();
        let pairs = of_throughput(&rows);
        assert_eq!((pairs[0].verdict, pairs[0].delta), ("faster", 0.02));
        // 1.1 lies within the 1.2 by which a server differs from itself.
        assert_eq!((pairs[1].verdict, pairs[1].delta_cells), ("equivalent", 1));
        assert!(pairs[1].delta > 0.18, "{}", pairs[1].delta);
    }

    #[test]
    fn rows_that_are_not_ok_are_dropped_blocks() {
        let mut rows = [cell("smol", 1.0), cell("may", 1.0)].concat();
        rows[2].verdict = "client_bound".into();
        rows[20].error = "died".into();
        let pairs = of_throughput(&rows);
        assert_eq!((pairs[0].blocks, pairs[0].blocks_dropped), (10, 2));
        for row in &mut rows[..12] {
            row.verdict = "errors".into();
        }
        assert_eq!(of_throughput(&rows), []);
    }

    #[test]
    fn every_column_is_described_in_the_results_readme() {
        crate::record::assert_columns_described(&Pair::default());
    }
}
