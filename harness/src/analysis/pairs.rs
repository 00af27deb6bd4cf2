//! `pairs.csv`: every two servers of a workload against each other, figure by figure.

use super::metric::Metric;
use super::role::{controlled, role};
use super::turns::{self, Basis};
use super::usable::usable;
use crate::experiment::server::Role;
use crate::record::column::{Over, Record as _, columns};
use crate::record::csv::{self, Field};
use crate::record::row::{Row, round};
use crate::record::rows::{by_workload, groups_of_levels, places};
use stats::bootstrap::Interval;
use stats::difference::{self, DELTA_FLOOR, Difference, Paired, Tested, judge_family};
use stats::reach;
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
        p_holm: Option<f64>, "", &[] =>
            "The p-value after Holm's correction over the family; of schema 3 and before it decided the verdict.";
        p_step_down: Option<f64>, "", &[] =>
            "The p-value of the step-down test over the family, which decides the verdict.";
        family: usize, "pairs", &[] =>
            "The number of pairs that were tested together: those of one metric and workload; where levels \
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
            "Whether so many blocks could have told a difference at all: six can, and eight in a run that went on \
            until it had decided.";
        mde: Option<f64>, "", &[] =>
            "The least ratio − 1 that these blocks would have told apart from 1 with a probability of 80%, δ \
            included; empty where the pair is not decidable.";
    } with {
        /// A row of the server on the workload.
        row: Row,
        /// The verdict before it was put into words; `None` without a block that has both.
        found: Option<Difference>,
        /// The error rate that the verdict keeps.
        alpha: f64,
        /// ln of the ratio in every block that has both.
        log_ratios: Vec<f64>,
    }
}

/// Returns the columns of `pairs.csv` in a run with these factors.
pub fn fields(factors: &[String]) -> Vec<Field<Pair>> {
    let is_common = |over: &Over| matches!(over, Over::Run | Over::Workload);
    let common = Row::COLUMNS.iter().filter(|column| column.over.iter().any(is_common));
    let mut fields: Vec<Field<Pair>> =
        common.map(|column| Field::within(column, |p: &Pair| &p.row)).collect();
    fields.extend(Field::factors(factors, |p: &Pair| &p.row));
    fields.extend(csv::fields());
    fields
}

impl Pair {
    /// Returns true if its servers are told apart, or shown to be within δ of each other.
    pub fn is_decided(&self) -> bool {
        self.found.is_some_and(|found| found != Difference::Inconclusive)
    }

    /// Returns true if its servers are told apart. Then there were blocks enough.
    pub fn is_apart(&self) -> bool {
        matches!(self.found, Some(Difference::Lower | Difference::Higher))
    }

    /// The ratio's 95% interval.
    pub fn interval(&self) -> Option<Interval> {
        Some(Interval { low: self.interval_95_low?, high: self.interval_95_high? })
    }
}

/// The rows of one server on one workload.
type Cell<'a> = Vec<&'a Row>;

/// Two cells, the first against the second.
pub(super) type Two<'a> = [&'a [&'a Row]; 2];

/// The least difference that counts, and how many A/A controls say so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delta {
    /// δ: the least ratio − 1.
    pub value: f64,
    /// The number of workloads with a control that δ was taken from; 0 for the floor alone.
    pub cells: usize,
}

/// Compares every two contestants of a workload by these metrics, and every control with its server, and judges
/// them by the error rate `alpha`. Where
/// levels of a factor are compared, contestants are compared with themselves: on each workload of the group
/// against the baseline, the workload that the group is named after.
///
/// The families that are tested together are the pairs of one metric and workload; of levels, those of one
/// metric, server and group. The controls of one metric are a family of their own, and are judged by the floor
/// of δ: the δ of the run comes from themselves.
pub fn pairs(rows: &[Row], metrics: &[Metric], alpha: f64) -> Vec<Pair> {
    let (workloads, levels) = (workloads(rows), groups_of_levels(rows));
    let controls = controls(&workloads);
    let families = [of_servers(&workloads, &levels), of_levels(&workloads, &levels)].concat();
    let mut all = Vec::new();
    for &metric in metrics {
        let delta = delta_of(ratios(&controls, metric));
        all.extend(judged(&controls, metric, Delta { value: DELTA_FLOOR, cells: 0 }, alpha));
        all.extend(families.iter().flat_map(|family| judged(family, metric, delta, alpha)));
    }
    // A pair without a block that has both says nothing.
    all.retain(|pair| pair.ratio.is_some());
    // Within a workload and a metric they are in order already.
    let places = places(rows);
    all.sort_by_key(|pair| places[pair.row.workload_id.as_str()]);
    all
}

/// Returns the ratio of every control to its server, workload by workload.
pub fn control_ratios(rows: &[Row], metric: Metric) -> Vec<f64> {
    ratios(&controls(&workloads(rows)), metric).collect()
}

fn ratios(controls: &[Two<'_>], metric: Metric) -> impl Iterator<Item = f64> {
    controls.iter().filter_map(move |two| {
        let [a, b] = both(*two, metric);
        Some(difference::compare(&a, &b)?.estimate)
    })
}

/// Returns the δ that A/A ratios give.
pub fn delta_of(ratios: impl Iterator<Item = f64>) -> Delta {
    let ratios: Vec<f64> = ratios.collect();
    Delta { value: difference::delta(&ratios), cells: ratios.len() }
}

/// Returns the cells of every workload, by the names of their servers.
fn workloads(rows: &[Row]) -> Vec<Vec<Cell<'_>>> {
    by_workload(rows).into_iter().map(cells).collect()
}

fn cells<'a>(rows: Vec<&'a Row>) -> Vec<Cell<'a>> {
    let mut cells: BTreeMap<&str, Cell<'a>> = BTreeMap::new();
    for row in rows {
        cells.entry(&row.server).or_default().push(row);
    }
    cells.into_values().collect()
}

/// Returns the values of a metric that a cell has in the rows that may be compared, with their blocks.
pub fn values(cell: &[&Row], metric: Metric) -> Vec<(usize, f64)> {
    values_from(cell, metric, turns::basis(cell, metric))
}

fn values_from(cell: &[&Row], metric: Metric, basis: Basis) -> Vec<(usize, f64)> {
    let usable = usable(cell, metric.figure()).rows.into_iter();
    usable.filter_map(|row| Some((row.block, turns::value(row, metric, basis)?))).collect()
}

/// Returns the values of two cells. If slices are not neutral to one of them, the continuous windows of both count.
fn both(two: Two<'_>, metric: Metric) -> [Vec<(usize, f64)>; 2] {
    let bases = two.map(|rows| turns::basis(rows, metric));
    let basis = if bases.contains(&Basis::Continuous) { Basis::Continuous } else { Basis::Slices };
    two.map(|rows| values_from(rows, metric, basis))
}

fn contestants<'a>(cells: &'a [Cell<'a>]) -> Vec<&'a [&'a Row]> {
    cells.iter().filter(|rows| role(rows[0]) == Role::Contestant).map(Vec::as_slice).collect()
}

/// Returns every two contestants of each workload where servers are compared.
fn of_servers<'a>(workloads: &'a [Vec<Cell<'a>>], levels: &BTreeSet<&str>) -> Vec<Vec<Two<'a>>> {
    let servers = workloads.iter().filter(|cells| !levels.contains(cells[0][0].group_id.as_str()));
    let family = |cells: &'a Vec<Cell<'a>>| {
        let servers = contestants(cells);
        let after = |place: usize| servers[place + 1..].iter().map(move |b| (place, *b));
        (0..servers.len()).flat_map(after).map(|(place, b)| [servers[place], b]).collect()
    };
    servers.map(family).collect()
}

/// Returns each contestant on every workload of a group against itself on the baseline, where levels of a
/// factor are compared.
fn of_levels<'a>(workloads: &'a [Vec<Cell<'a>>], levels: &BTreeSet<&str>) -> Vec<Vec<Two<'a>>> {
    let mut servers: BTreeMap<(&str, &str), Vec<&[&Row]>> = BTreeMap::new();
    for cell in workloads.iter().flat_map(|cells| contestants(cells)) {
        if levels.contains(cell[0].group_id.as_str()) {
            servers.entry((&cell[0].group_id, &cell[0].server)).or_default().push(cell);
        }
    }
    let family = |((group, _), cells): ((&str, _), Vec<&'a [&'a Row]>)| {
        let (baseline, others): (Vec<_>, Vec<_>) =
            cells.iter().partition(|cell| cell[0].workload_id == group);
        others
            .into_iter()
            .zip(baseline.into_iter().cycle())
            .map(|(cell, baseline)| [cell, baseline])
            .collect()
    };
    servers.into_iter().map(family).collect()
}

/// Returns every control with its server.
fn controls<'a>(workloads: &'a [Vec<Cell<'a>>]) -> Vec<Two<'a>> {
    let of_workload = |cells: &'a Vec<Cell<'a>>| {
        cells.iter().filter(|rows| role(rows[0]) == Role::Control).filter_map(|control| {
            let server = cells.iter().find(|rows| rows[0].server == controlled(&control[0].server))?;
            Some([control.as_slice(), server.as_slice()])
        })
    };
    workloads.iter().flat_map(of_workload).collect()
}

/// Judges the pairs of a family together, by the error rate `alpha`.
pub(super) fn judged(family: &[Two<'_>], metric: Metric, delta: Delta, alpha: f64) -> Vec<Pair> {
    let values: Vec<_> = family.iter().map(|two| both(*two, metric)).collect();
    let compared = |[a, b]: &[Vec<(usize, f64)>; 2]| difference::compare_at(a, b, alpha);
    let paired: Vec<Option<Paired>> = values.iter().map(compared).collect();
    let known: Vec<Paired> = paired.iter().flatten().cloned().collect();
    let size = known.len();
    let mut tested = judge_family(known, delta.value).into_iter();
    let rows = family.iter().zip(&values).zip(paired);
    rows.map(|((two, [a, b]), paired)| {
        let tested = paired.and_then(|_| tested.next());
        Pair { family: size, ..pair(metric, *two, medians(a, b), tested, delta, alpha) }
    })
    .collect()
}

fn pair(
    metric: Metric,
    [a, b]: Two<'_>,
    (median, against_median): (Option<f64>, Option<f64>),
    tested: Option<Tested>,
    delta: Delta,
    alpha: f64,
) -> Pair {
    let paired = tested.as_ref().map(|tested| &tested.paired);
    let all: BTreeSet<usize> = a.iter().chain(b).map(|row| row.block).collect();
    let blocks = paired.map_or(0, |paired| paired.log_ratios.len());
    let ratio = |value: f64| round(value, 6);
    let ends = |interval: Option<Interval>| interval.map(|i| (ratio(i.low), ratio(i.high))).unzip();
    let (interval_95_low, interval_95_high) = ends(paired.and_then(|paired| paired.interval_95));
    let (interval_90_low, interval_90_high) = ends(paired.and_then(|paired| paired.interval_90));
    Pair {
        metric,
        server: a[0].server.clone(),
        against: b[0].server.clone(),
        against_workload_id: b[0].workload_id.clone(),
        against_workload: b[0].workload.clone(),
        is_control: role(a[0]) == Role::Control,
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
        p_holm: tested.as_ref().map(|tested| tested.p_holm),
        p_step_down: tested.as_ref().map(|tested| tested.p_step_down),
        family: 1,
        delta: ratio(delta.value),
        delta_cells: delta.cells,
        verdict: tested.as_ref().map_or("", |tested| metric.word(tested.difference)).to_owned(),
        decidable: tested.as_ref().is_some_and(|tested| tested.decidable),
        mde: paired.and_then(|paired| reach::mde(&paired.log_ratios, delta.value, alpha)).map(ratio),
        alpha,
        log_ratios: paired.map(|paired| paired.log_ratios.clone()).unwrap_or_default(),
        row: a[0].clone(),
        found: tested.map(|tested| tested.difference),
    }
}

/// Returns the medians of two sides over the blocks that both have; where they have none, each over its own.
fn medians(a: &[(usize, f64)], b: &[(usize, f64)]) -> (Option<f64>, Option<f64>) {
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

    /// Twelve blocks of a server.
    fn cell(server: &str, level: f64) -> Vec<Row> {
        crate::analysis::tests::cell(server, 12, level)
    }

    fn of_throughput(rows: &[Row]) -> Vec<Pair> {
        pairs(rows, &[Metric::THROUGHPUT], difference::ALPHA)
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
        rows[2].verdict = "noisy_host".into();
        rows[20].error = "died".into();
        let pairs = of_throughput(&rows);
        assert_eq!((pairs[0].blocks, pairs[0].blocks_dropped), (10, 2));
        for row in &mut rows[..12] {
            row.verdict = "errors".into();
        }
        assert_eq!(of_throughput(&rows), []);
    }
}
