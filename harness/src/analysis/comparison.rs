//! Cells of two sides against each other, block by block, whether they are of one run or of two.

use super::metric::{Metric, MetricName};
use super::pairs::{Delta, Pair, medians, pair, values};
use crate::record::row::Row;
use crate::record::rows::places;
use stats::bootstrap::Interval;
use stats::verdict::{self, Judged, Paired, judge_family};
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
    /// `open` or `closed`.
    pub fn loop_kind(&self) -> &str {
        self.a.first().map_or("", |row| &row.loop_kind)
    }

    /// What it is called in a table.
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
    /// The figure.
    pub metric: Metric,
    /// A's median over the blocks that both have; over its own where they have none in common.
    pub a: Option<f64>,
    /// B's.
    pub b: Option<f64>,
    /// What the blocks say; `None` where they have none in common.
    pub judged: Option<Judged>,
    /// How many comparisons were corrected together.
    pub family: usize,
    /// What counts as a difference.
    pub delta: Delta,
}

impl Compared<'_> {
    /// The 95% interval of B over A.
    pub fn interval(&self) -> Option<Interval> {
        self.judged.as_ref()?.paired.interval_95
    }

    /// The comparison as a row of `pairs.csv`: B against A.
    pub fn pair(&self) -> Pair {
        let judged = self.judged.as_ref();
        let medians = (self.b, self.a);
        let sides = (&*self.cell.b, &*self.cell.a);
        Pair {
            verdict: self.word().to_owned(),
            ..pair(self.metric, sides, medians, judged, self.family, self.delta)
        }
    }

    /// What is said of B, in a word.
    pub fn word(&self) -> &'static str {
        match &self.judged {
            Some(judged) if judged.decidable => self.metric.word(judged.verdict),
            // An equivalence takes no test.
            Some(judged) if judged.verdict == verdict::Verdict::Equivalent => "equivalent",
            Some(_) => "too few blocks",
            None => "no common block",
        }
    }
}

/// The cells that both sides have: rows with the same workload id. With `pairwise` each side is one server,
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

/// Compares every cell by the metrics that `asked` gives for its loop. All cells of one metric are a family
/// for Holm's correction. A metric that neither side of a cell has is left out.
pub fn compare<'a>(
    cells: &'a [CommonCell<'a>],
    asked: impl Fn(&str) -> Vec<MetricName>,
    delta: impl Fn(Metric) -> Delta,
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
    for (metric, cells) in metrics {
        let delta = delta(metric);
        let mut found: Vec<(Compared<'_>, Option<usize>)> = Vec::new();
        let mut family: Vec<Paired> = Vec::new();
        for cell in cells {
            let (a, b) = (values(&cell.a, metric), values(&cell.b, metric));
            if a.is_empty() && b.is_empty() {
                continue;
            }
            let place = verdict::compare(&b, &a).map(|paired| {
                family.push(paired);
                family.len() - 1
            });
            let (a, b) = medians(&a, &b);
            found.push((Compared { cell, metric, a, b, judged: None, family: 0, delta }, place));
        }
        let judged = judge_family(family, delta.value);
        compared.extend(found.into_iter().map(|(one, place)| Compared {
            judged: place.map(|place| judged[place].clone()),
            family: judged.len(),
            ..one
        }));
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::pairs::delta_of;
    use stats::verdict::Verdict;

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
        let compared = compare(&cells, throughput, |_| delta_of([].into_iter()));
        let judged = compared[0].judged.as_ref().expect("common blocks");
        assert_eq!((judged.verdict, compared[0].word()), (Verdict::Higher, "faster"));
        assert!((judged.paired.estimate - 1.25).abs() < 1e-9);
        assert_eq!((compared[0].a, compared[0].b), (Some(102.0), Some(127.5)));
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
        let compared = compare(&cells, throughput, |_| delta_of([].into_iter()));
        let paired = &compared[0].judged.as_ref().expect("common blocks").paired;
        assert_eq!((paired.log_ratios.len(), paired.dropped), (8, 6));
        let (late, none) = (rows("s", 20..=25, 1.0), |_: &str| vec![MetricName::find("p99").expect("known")]);
        let cells = common(&a, &late, false);
        assert_eq!(compare(&cells, throughput, |_| delta_of([].into_iter()))[0].word(), "no common block");
        assert!(compare(&cells, none, |_| delta_of([].into_iter())).is_empty());
    }
}
