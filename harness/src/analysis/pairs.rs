//! `pairs.csv`: every two servers of a workload against each other, figure by figure.

use super::metric::Metric;
use super::standing::{Role, controlled, is_comparable, role};
use crate::record::column::{Over, Record as _, columns};
use crate::record::csv::{self, Field};
use crate::record::row::{Row, round};
use crate::record::rows::{by_workload, groups_of_levels, places};
use stats::bootstrap::Interval;
use stats::verdict::{self, DELTA_FLOOR, Judged, Paired, Verdict, judge_family};
use std::collections::{BTreeMap, BTreeSet};

columns! {
    /// A row of `pairs.csv`: what the rows of its workload have in common, and behind that these columns.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Pair {
        metric: Metric, "", &[] => "The figure that is compared: a column of `cells.csv`.";
        server: String, "", &[] => "The server of which the verdict speaks.";
        against: String, "", &[] => "The other server.";
        against_workload_id: String, "", &[] =>
            "The workload of `against`: the same, or the baseline where levels of a factor are compared.";
        against_workload: String, "", &[] => "That workload in words.";
        is_control: bool, "", &[] =>
            "Whether it is an A/A pair: `server` is the same server as `against`, a second time.";
        blocks: usize, "", &[] => "The blocks in which both have a value.";
        blocks_dropped: usize, "", &[] => "The blocks of either in which one of them has no value.";
        median: Option<f64>, "as `metric`", &[] => "The median of `server` over the blocks that both have.";
        against_median: Option<f64>, "as `metric`", &[] => "The median of `against` over the same blocks.";
        ratio: Option<f64>, "", &[] => "exp(median over blocks of ln(`server` / `against`)).";
        interval_95_low: Option<f64>, "", &[] =>
            "The lower end of the ratio's 95% BCa interval; empty with fewer than six blocks.";
        interval_95_high: Option<f64>, "", &[] => "The upper end of that interval.";
        interval_90_low: Option<f64>, "", &[] =>
            "The lower end of the ratio's 90% BCa interval; empty with fewer than five blocks.";
        interval_90_high: Option<f64>, "", &[] => "The upper end of that interval.";
        p: Option<f64>, "", &[] =>
            "The p-value of the exact sign-flip test, two sided; from 33 blocks on of Wilcoxon's signed-rank \
            test.";
        p_holm: Option<f64>, "", &[] => "The p-value after Holm's correction over the family.";
        family: usize, "pairs", &[] =>
            "The number of pairs that were corrected together: those of one metric and workload; where levels \
            of a factor are compared, of one metric, server and group; the controls of one metric, over all \
            workloads.";
        delta: f64, "", &[] =>
            "The least ratio − 1 that counts: the larger of 0.02 and the 95th percentile of the controls' \
            distances from 1; for a control itself 0.02.";
        delta_cells: usize, "", &[] =>
            "The number of controls that `delta` was taken from; 0 where there is only the floor.";
        verdict: String, "", &[] =>
            "What is said of `server`: `faster` or `slower` for rates and times, `lower` or `higher` for CPU \
            and memory, `equivalent`, `inconclusive`.";
        decidable: bool, "", &[] =>
            "Whether so many blocks could have told a difference at all, in a family of this size.";
    } with {
        /// A row of the server on the workload.
        row: Row,
        /// The verdict before it was put into words.
        found: Option<Verdict>,
    }
}

/// The columns of `pairs.csv` in a run with these factors.
pub fn fields(factors: &[String]) -> Vec<Field<Pair>> {
    let is_common = |over: &Over| matches!(over, Over::Run | Over::Workload);
    let common = Row::COLUMNS.iter().filter(|column| column.over.iter().any(is_common));
    let mut fields: Vec<Field<Pair>> =
        common.map(|column| Field::within(column, |p: &Pair| &p.row)).collect();
    fields.extend(Field::factors(factors, |p: &Pair| &p.row));
    fields.extend(csv::fields());
    fields
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

/// Every pair of contestants of a workload by these metrics, and every control against its server. Where levels
/// of a factor are compared, instead of the former every server on each workload of the group against itself
/// on the baseline, the workload that the group is named after.
///
/// For Holm's correction a family are the pairs of one metric and workload; of levels, those of one metric,
/// server and group. The controls of one metric are another, and are judged by the floor of δ: the δ of the
/// run comes from themselves.
pub fn pairs(rows: &[Row], metrics: &[Metric]) -> Vec<Pair> {
    let workloads = workloads(rows);
    let controls = controls(&workloads);
    let families = [servers(&workloads, rows), levels(&workloads, rows)].concat();
    let mut all = Vec::new();
    for &metric in metrics {
        let floor = Delta { value: DELTA_FLOOR, cells: 0 };
        let delta = delta_of(ratios(&controls, metric));
        all.extend(judged(&controls, metric, floor));
        all.extend(families.iter().flat_map(|family| judged(family, metric, delta)));
    }
    // Within a workload and a metric they are in order already.
    let places = places(rows);
    all.sort_by_key(|pair| places[pair.row.workload_id.as_str()]);
    all
}

/// The ratio of every control to its server, workload by workload.
pub fn control_ratios(rows: &[Row], metric: Metric) -> Vec<f64> {
    ratios(&controls(&workloads(rows)), metric).collect()
}

fn ratios(family: &[[&Cell<'_>; 2]], metric: Metric) -> impl Iterator<Item = f64> {
    family.iter().filter_map(move |two| Some(compare(two, metric)?.estimate))
}

/// δ of A/A ratios.
pub fn delta_of(ratios: impl Iterator<Item = f64>) -> Delta {
    let ratios: Vec<f64> = ratios.collect();
    Delta { value: verdict::delta(&ratios), cells: ratios.len() }
}

/// The cells of every workload, by the names of their servers.
fn workloads(rows: &[Row]) -> Vec<Vec<Cell<'_>>> {
    by_workload(rows).into_iter().map(cells).collect()
}

/// The cells of one workload, by the names of their servers.
fn cells<'a>(rows: Vec<&'a Row>) -> Vec<Cell<'a>> {
    let mut cells: BTreeMap<&str, Cell<'a>> = BTreeMap::new();
    for row in rows {
        let new = || Cell { server: &row.server, role: role(row), rows: Vec::new() };
        cells.entry(&row.server).or_insert_with(new).rows.push(row);
    }
    cells.into_values().collect()
}

/// The values of a metric that may be compared, with their blocks.
pub fn values(rows: &[&Row], metric: Metric) -> Vec<(usize, f64)> {
    let usable = rows.iter().filter(|row| is_comparable(row));
    usable.filter_map(|row| Some((row.block, metric.of(row)?))).collect()
}

fn compare([a, b]: &[&Cell<'_>; 2], metric: Metric) -> Option<Paired> {
    verdict::compare(&values(&a.rows, metric), &values(&b.rows, metric))
}

fn contestants<'a>(cells: &'a [Cell<'a>]) -> impl Iterator<Item = &'a Cell<'a>> + Clone {
    cells.iter().filter(|cell| cell.role == Role::Contestant)
}

/// Every two contestants of a workload, a family each, where servers are compared.
fn servers<'a>(workloads: &'a [Vec<Cell<'a>>], rows: &[Row]) -> Vec<Vec<[&'a Cell<'a>; 2]>> {
    let levels = groups_of_levels(rows);
    let family = |cells: &'a Vec<Cell<'a>>| {
        let after = |place: usize| contestants(cells).skip(place + 1);
        let of = |(place, a)| after(place).map(move |b| [a, b]);
        contestants(cells).enumerate().flat_map(of).collect()
    };
    let of_servers = |cells: &&Vec<Cell<'_>>| !levels.contains(cells[0].rows[0].group_id.as_str());
    workloads.iter().filter(of_servers).map(family).collect()
}

/// Every contestant on each workload of a group against itself on the baseline, a family each, where levels of
/// a factor are compared.
fn levels<'a>(workloads: &'a [Vec<Cell<'a>>], rows: &[Row]) -> Vec<Vec<[&'a Cell<'a>; 2]>> {
    let levels = groups_of_levels(rows);
    let all = || workloads.iter().flat_map(|cells| contestants(cells));
    let mut families: BTreeMap<(&str, &str), Vec<[&Cell<'_>; 2]>> = BTreeMap::new();
    for cell in all() {
        let row = cell.rows[0];
        let is_baseline =
            |other: &&Cell<'_>| other.server == cell.server && other.rows[0].workload_id == row.group_id;
        if levels.contains(row.group_id.as_str())
            && row.workload_id != row.group_id
            && let Some(baseline) = all().find(is_baseline)
        {
            families.entry((&row.group_id, cell.server)).or_default().push([cell, baseline]);
        }
    }
    families.into_values().collect()
}

/// Every control with its server.
fn controls<'a>(workloads: &'a [Vec<Cell<'a>>]) -> Vec<[&'a Cell<'a>; 2]> {
    let of_workload = |cells: &'a Vec<Cell<'a>>| {
        let controls = cells.iter().filter(|cell| cell.role == Role::Control);
        controls.filter_map(|control| {
            let server = cells.iter().find(|cell| cell.server == controlled(control.server));
            Some([control, server?])
        })
    };
    workloads.iter().flat_map(of_workload).collect()
}

/// Judges the pairs of a family. A pair without a block that has both is left out.
fn judged(family: &[[&Cell<'_>; 2]], metric: Metric, delta: Delta) -> Vec<Pair> {
    let (cells, paired): (Vec<_>, Vec<_>) =
        family.iter().filter_map(|two| Some((two, compare(two, metric)?))).unzip();
    let (size, judged) = (paired.len(), judge_family(paired, delta.value));
    let row = |([a, b], judged): (&[&Cell<'_>; 2], Judged)| {
        let medians = medians(&values(&a.rows, metric), &values(&b.rows, metric));
        pair(metric, (&a.rows, &b.rows), medians, Some(&judged), size, delta)
    };
    cells.into_iter().zip(judged).map(row).collect()
}

/// A row of `pairs.csv` from two sides' rows, their medians, and what their common blocks say.
pub(super) fn pair(
    metric: Metric,
    (a, b): (&[&Row], &[&Row]),
    (median, against_median): (Option<f64>, Option<f64>),
    judged: Option<&Judged>,
    family: usize,
    delta: Delta,
) -> Pair {
    let paired = judged.map(|judged| &judged.paired);
    let all: BTreeSet<usize> = a.iter().chain(b).map(|row| row.block).collect();
    let blocks = paired.map_or(0, |paired| paired.log_ratios.len());
    let ratio = |value: f64| round(value, 6);
    let ends = |interval: Option<Interval>| interval.map(|i| (ratio(i.low), ratio(i.high))).unzip();
    let (interval_95_low, interval_95_high) = ends(paired.and_then(|paired| paired.interval_95));
    let (interval_90_low, interval_90_high) = ends(paired.and_then(|paired| paired.interval_90));
    let row = |rows: &[&Row]| rows.first().map(|row| (*row).clone()).unwrap_or_default();
    let (shown, other) = (row(a), row(b));
    Pair {
        metric,
        server: shown.server.clone(),
        against: other.server,
        against_workload_id: other.workload_id,
        against_workload: other.workload,
        is_control: role(&shown) == Role::Control,
        blocks,
        blocks_dropped: all.len() - blocks,
        median: median.map(|value| round(value, 3)),
        against_median: against_median.map(|value| round(value, 3)),
        ratio: paired.map(|paired| ratio(paired.estimate)),
        interval_95_low,
        interval_95_high,
        interval_90_low,
        interval_90_high,
        p: paired.map(|paired| paired.p),
        p_holm: judged.map(|judged| judged.p_holm),
        family,
        delta: ratio(delta.value),
        delta_cells: delta.cells,
        verdict: judged.map_or("", |judged| metric.word(judged.verdict)).to_owned(),
        decidable: judged.is_some_and(|judged| judged.decidable),
        row: shown,
        found: judged.map(|judged| judged.verdict),
    }
}

/// The medians of two sides over the blocks that both have; where they have none, each over its own.
pub(super) fn medians(a: &[(usize, f64)], b: &[(usize, f64)]) -> (Option<f64>, Option<f64>) {
    let blocks = |values: &[(usize, f64)]| values.iter().map(|(block, _)| *block).collect::<BTreeSet<_>>();
    let (in_a, in_b) = (blocks(a), blocks(b));
    let is_shown = |block: &usize| in_a.is_disjoint(&in_b) || (in_a.contains(block) && in_b.contains(block));
    let median = |values: &[(usize, f64)]| {
        let shown = values.iter().filter(|(block, _)| is_shown(block));
        stats::median(&shown.map(|(_, value)| *value).collect::<Vec<_>>())
    };
    (median(a), median(b))
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
        pairs(rows, &[Metric::THROUGHPUT])
    }

    #[test]
    fn pairs_are_judged_by_block_whatever_the_blocks_do() {
        let rows = [cell("may", 1.0), cell("smol", 1.1), cell("tokio", 1.0)].concat();
        let pairs = of_throughput(&rows);
        let said: Vec<_> = pairs.iter().map(|p| (&*p.server, &*p.against, &*p.verdict, p.family)).collect();
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
        assert_eq!((&*pairs[0].verdict, pairs[0].delta), ("faster", 0.02));
        // 1.1 lies within the 1.2 by which a server differs from itself.
        assert_eq!((&*pairs[1].verdict, pairs[1].delta_cells), ("equivalent", 1));
        assert!(pairs[1].delta > 0.18, "{}", pairs[1].delta);
    }

    #[test]
    fn levels_of_a_factor_are_compared_with_the_baseline_server_by_server() {
        let level = |server: &str, workload: &str, level: f64| -> Vec<Row> {
            let of = |row: Row| Row { workload_id: workload.into(), group_id: "k=0".into(), ..row };
            cell(server, level).into_iter().map(of).collect()
        };
        let rows = [
            level("may", "k=0", 1.0),
            level("may", "k=1", 0.5),
            level("may", "k=2", 1.0),
            level("may.control", "k=1", 0.5),
            level("smol", "k=0", 9.0),
            level("smol", "k=1", 9.0),
            level("tokio", "k=1", 9.0),
        ]
        .concat();
        let pairs = of_throughput(&rows);
        let said: Vec<_> = pairs
            .iter()
            .map(|p| {
                (&*p.server, &*p.row.workload_id, &*p.against, &*p.against_workload_id, &*p.verdict, p.family)
            })
            .collect();
        // Servers are not compared, and one without a baseline with nothing.
        let expected = [
            ("may.control", "k=1", "may", "k=1", "equivalent", 1),
            ("may", "k=1", "may", "k=0", "slower", 2),
            ("smol", "k=1", "smol", "k=0", "equivalent", 1),
            ("may", "k=2", "may", "k=0", "equivalent", 2),
        ];
        assert_eq!(said, expected);
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
}
