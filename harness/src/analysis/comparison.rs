//! Cells of two sides against each other, block by block, whether they are of one run or of two.

use super::metric::{Metric, MetricName};
use super::pairs::{Delta, Pair, Two, judged, values};
use crate::record::row::Row;
use crate::record::rows::places;
use stats::difference::Difference;
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one workload that both sides have.
#[derive(Debug, Clone)]
pub struct CommonCell<'a> {
    /// The server, where both sides have several.
    pub server: Option<&'a str>,
    /// The workload, in words.
    pub workload: &'a str,
    /// A's rows.
    pub a: Vec<&'a Row>,
    /// B's.
    pub b: Vec<&'a Row>,
}

impl CommonCell<'_> {
    /// Returns the kind of the workload's loop, `open` or `closed`.
    pub fn loop_kind(&self) -> &str {
        self.a.first().map_or("", |row| &row.loop_kind)
    }

    /// Returns the name of the cell in a table.
    pub fn label(&self) -> String {
        match self.server {
            Some(server) => format!("{server}, {}", self.workload),
            None => self.workload.to_owned(),
        }
    }
}

/// One figure of one cell, B against A.
#[derive(Debug, Clone)]
pub struct Compared<'a> {
    /// The cell.
    pub cell: &'a CommonCell<'a>,
    /// What the blocks say, as in `pairs.csv`: `server` is B's, `against` A's. The ratio is missing where the
    /// sides have no block in common. The verdict also says where the run has too few.
    pub pair: Pair,
}

/// Says in a word what B is.
fn word(pair: &Pair) -> &'static str {
    match pair.found {
        None => "no common block",
        // An equivalence takes no test.
        Some(Difference::Equivalent) => "equivalent",
        Some(_) if !pair.decidable => "too few blocks",
        Some(difference) => pair.metric.word(difference),
    }
}

/// Returns the cells that both sides have: rows with the same workload id. With `pairwise` each side is one server,
/// whatever its name; otherwise cells of the same server belong together.
pub fn common<'a>(a: &'a [Row], b: &'a [Row], pairwise: bool) -> Vec<CommonCell<'a>> {
    let places = places(a.iter().chain(b));
    let mut cells: BTreeMap<(Option<&str>, usize), [Vec<&'a Row>; 2]> = BTreeMap::new();
    for (side, rows) in [a, b].into_iter().enumerate() {
        for row in rows {
            let server = (!pairwise).then_some(row.server.as_str());
            cells.entry((server, places[row.workload_id.as_str()])).or_default()[side].push(row);
        }
    }
    let both = cells.into_iter().filter(|(_, [a, b])| !a.is_empty() && !b.is_empty());
    both.map(|((server, _), [a, b])| CommonCell { server, workload: &a[0].workload, a, b }).collect()
}

/// Compares every cell by the metrics that `asked` gives for its loop. All cells of one metric are tested
/// together, by the error rate `alpha`. A metric that neither side of a cell has is left out.
pub fn compare<'a>(
    cells: &'a [CommonCell<'a>],
    asked: impl Fn(&str) -> Vec<MetricName>,
    delta: impl Fn(Metric) -> Delta,
    alpha: f64,
) -> Vec<Compared<'a>> {
    let mut metrics: BTreeMap<Metric, Vec<&CommonCell<'_>>> = BTreeMap::new();
    for cell in cells {
        let kind = cell.loop_kind();
        let wanted: BTreeSet<Metric> = asked(kind).into_iter().map(|asked| asked.on(kind)).collect();
        for metric in wanted {
            metrics.entry(metric).or_default().push(cell);
        }
    }
    let mut compared = Vec::new();
    for (metric, mut cells) in metrics {
        let has_none = |rows: &[&Row]| values(rows, metric).is_empty();
        cells.retain(|cell| !(has_none(&cell.a) && has_none(&cell.b)));
        let family: Vec<Two<'_>> = cells.iter().map(|cell| [&*cell.b, &*cell.a]).collect();
        let pairs = judged(&family, metric, delta(metric), alpha).into_iter();
        let pairs = pairs.map(|pair| Pair { verdict: word(&pair).to_owned(), ..pair });
        compared.extend(cells.into_iter().zip(pairs).map(|(cell, pair)| Compared { cell, pair }));
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::pairs::delta_of;
    use stats::difference::ALPHA;

    fn rows(server: &str, blocks: std::ops::RangeInclusive<usize>, level: f64) -> Vec<Row> {
        let row = |block: usize| Row {
            block,
            server: server.into(),
            verdict: "ok".into(),
            throughput_rps: Some(level * (100.0 + (block * 7 % 5) as f64)),
            ..Row::default()
        };
        blocks.map(row).collect()
    }

    fn throughput(_: &str) -> Vec<MetricName> {
        vec![MetricName::find("throughput").expect("known")]
    }

    #[test]
    fn two_servers_are_compared_whatever_their_names_and_two_runs_by_name() {
        let (a, b) = (rows("old", 1..=12, 1.0), rows("new", 1..=12, 1.25));
        assert_eq!(common(&a, &b, false).len(), 0);
        let cells = common(&a, &b, true);
        let compared = compare(&cells, throughput, |_| delta_of([].into_iter()), ALPHA);
        let pair = &compared[0].pair;
        assert_eq!((pair.found, &*pair.verdict), (Some(Difference::Higher), "faster"));
        assert_eq!(pair.ratio, Some(1.25));
        assert_eq!((pair.against_median, pair.median), (Some(102.0), Some(127.5)));
    }

    #[test]
    fn the_workload_s_id_alone_says_what_belongs_together() {
        let of = |id: &str, route: &str| Row {
            server: "s".into(),
            workload_id: id.into(),
            workload: route.into(),
            route: route.into(),
            ..Row::default()
        };
        let (a, b) = ([of("1", "/a"), of("2", "/b")], [of("1", "/a?x=1"), of("3", "/b")]);
        let cells = common(&a, &b, false);
        assert_eq!(cells.iter().map(CommonCell::label).collect::<Vec<_>>(), ["s, /a"]);
    }

    #[test]
    fn blocks_that_one_side_lacks_are_left_out() {
        let (a, b) = (rows("s", 1..=12, 1.0), rows("s", 5..=14, 1.0));
        let cells = common(&a, &b, false);
        let compared = compare(&cells, throughput, |_| delta_of([].into_iter()), ALPHA);
        assert_eq!((compared[0].pair.blocks, compared[0].pair.blocks_dropped), (8, 6));
        let (late, none) = (rows("s", 20..=25, 1.0), |_: &str| vec![MetricName::find("p99").expect("known")]);
        let cells = common(&a, &late, false);
        assert_eq!(
            compare(&cells, throughput, |_| delta_of([].into_iter()), ALPHA)[0].pair.verdict,
            "no common block"
        );
        assert!(compare(&cells, none, |_| delta_of([].into_iter()), ALPHA).is_empty());
    }
}
