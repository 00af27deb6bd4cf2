//! What a run says in one table: servers down, workloads across, and in each cell the one figure that its workload is
//! for, with what was established of it.

use super::Analysis;
use super::metric::Metric;
use super::pairs::{Pair, values};
use super::rank_metric;
use super::role::role;
use super::summary::interval;
use super::usable::usable;
use crate::exit::usage;
use crate::experiment::model::Experiment;
use crate::experiment::server::Role;
use crate::record::row::Row;
use crate::record::rows::{by_workload, counting, groups_of_levels};
use anyhow::Result;
use stats::bootstrap::Interval;
use stats::difference::{Better, Difference};
use stats::median;
use std::collections::{BTreeMap, BTreeSet};

/// A run in one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Map {
    /// The contestants, the best of the first workload first; whoever has no figure there comes last, by name.
    pub servers: Vec<String>,
    /// The columns, in the order of the experiment.
    pub workloads: Vec<MapColumn>,
    /// The least and the largest number of threads that ran a server's tasks, and of CPUs that a server had; `None`
    /// where no row says.
    pub workers: Option<(usize, usize)>,
    /// As of `workers`.
    pub server_cpus: Option<(usize, usize)>,
    /// The servers that answer some requests otherwise than the others, as their `runtime.toml` declares. Rows do not
    /// say it, so it is empty as [`Map::of`] makes it.
    pub deviating: BTreeSet<String>,
}

impl Map {
    /// The name of a server as tables show it: with a mark if it answers otherwise.
    pub fn name(&self, server: &str) -> String {
        if self.deviating.contains(server) { format!("{server} †") } else { server.to_owned() }
    }
}

fn range(values: impl Iterator<Item = usize> + Clone) -> Option<(usize, usize)> {
    values.clone().min().zip(values.max())
}

/// A column: one workload, and the figure that it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct MapColumn {
    /// A row of it, for what all have in common.
    pub row: Row,
    /// The figure.
    pub metric: Metric,
    /// The cells of those servers that were measured, by their names.
    pub cells: BTreeMap<String, MapCell>,
    /// What each cell is compared with.
    pub against: Against,
    /// The least and the largest difference, a ratio − 1, that the comparisons of its cells could have told with a
    /// probability of 80%. `None` where they could tell nothing.
    pub told: Option<(f64, f64)>,
    /// What bounded the most of its cells: `server_cpu`, `offered_rate` …
    pub bound_by: String,
    /// What the same client did against constant bytes, by the same figure; `None` where it was not asked.
    pub ceiling: Option<f64>,
}

/// What the cells of a column are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The best cell of the column.
    Best,
    /// The same server at the baseline: a column of its own.
    Baseline,
}

/// One server on one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct MapCell {
    /// The median over the blocks that are good for the figure, in the figure's unit.
    pub value: Option<f64>,
    /// The 95% interval of that median; `None` with fewer than six blocks.
    pub interval: Option<Interval>,
    /// The blocks that are good for the figure.
    pub blocks: usize,
    /// The other blocks, by what they are left out for.
    pub left_out: BTreeMap<String, usize>,
    /// What was established of it.
    pub standing: Standing,
}

/// What was established of a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The others of the column are compared with it.
    Reference,
    /// It differs from what it is compared with.
    Apart(Ratio),
    /// It is within δ of that.
    Alike(Ratio),
    /// These blocks do not tell; with the ratio where they do tell that it is not 1, but not that it is beyond δ.
    NotTold(Option<Ratio>),
    /// Nothing was compared: it is the only server, or its baseline is missing.
    Alone,
    /// It has no figure that may be compared: why.
    Without(String),
}

/// A cell's figure / that which it is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The estimate.
    pub estimate: f64,
    /// Its 95% interval; of cells that are alike its 90% interval, which is what was tested.
    pub interval: Option<Interval>,
    /// δ, the least ratio − 1 that counts.
    pub delta: f64,
}

/// Refuses an experiment with a figure that is none.
///
/// # Errors
/// One line about the first one.
pub fn check_figures(experiment: &Experiment) -> Result<()> {
    for figure in experiment.workloads.iter().filter_map(|planned| planned.figure.as_deref()) {
        paired(figure).ok_or_else(|| {
            let names: Vec<&str> = Metric::of_pairs().into_iter().map(Metric::column).collect();
            usage!("figure = '{figure}': servers are compared by {}", names.join(", "))
        })?;
    }
    Ok(())
}

/// The figure of this name that servers are compared by.
fn paired(name: &str) -> Option<Metric> {
    Metric::of_pairs().into_iter().find(|metric| metric.column() == name)
}

/// The figures of a workload, of which the first that any server has is shown: what the experiment says; else the CPU
/// time of a request under the load engine, of which the client's limit says nothing; else what ranks.
fn figures(experiment: Option<&Experiment>, rows: &[&Row]) -> Vec<Metric> {
    let first = rows[0];
    let planned = experiment.and_then(|known| known.workloads.get(first.workload_no.checked_sub(1)?));
    let its = planned.and_then(|planned| paired(planned.figure.as_deref()?));
    let of_load = |figure: &String| match figure.rsplit_once('.') {
        Some((load, column)) => paired(column).filter(|_| load == first.load),
        None => paired(figure),
    };
    let answers = experiment.and_then(|known| known.figures.iter().find_map(of_load));
    let usual = first.requests.is_none().then_some(Metric::CPU);
    its.into_iter().chain(answers).chain(usual).chain([rank_metric(rows.iter().copied())]).collect()
}

impl Map {
    /// Draws it up from all `rows` of a run, what was established of them, and the experiment if it is known.
    pub fn of(rows: &[Row], analysis: &Analysis, experiment: Option<&Experiment>) -> Map {
        let all = counting(rows);
        let levels = groups_of_levels(&all);
        let mut workloads = Vec::new();
        for rows in by_workload(&all) {
            let is = |wanted: Role| rows.iter().copied().filter(move |row| role(row) == wanted);
            let contestants: Vec<&Row> = is(Role::Contestant).collect();
            if contestants.is_empty() {
                continue;
            }
            let has = |metric: &Metric| contestants.iter().any(|row| metric.of(row).is_some());
            let candidates = figures(experiment, &contestants);
            let metric = candidates.iter().copied().find(has).unwrap_or(candidates[0]);
            let against = match levels.contains(contestants[0].group_id.as_str()) {
                true => Against::Baseline,
                false => Against::Best,
            };
            let first = contestants[0];
            let does_the_same = |row: &&Row| {
                role(row) == Role::Ceiling
                    && (&row.strategy, row.concurrency) == (&first.strategy, first.concurrency)
                    && (row.requests, row.offered_rps) == (first.requests, first.offered_rps)
            };
            let ceilings: Vec<f64> =
                all.iter().filter(does_the_same).filter_map(|row| metric.of(row)).collect();
            workloads.push(column(&contestants, metric, against, &analysis.pairs, median(&ceilings)));
        }
        let servers = servers(&workloads);
        let contestants = || all.iter().filter(|row| role(row) == Role::Contestant);
        let workers = range(contestants().filter_map(|row| row.worker_threads));
        let cpus = |row: &Row| row.server_cpus.trim_start_matches("cpu").split_whitespace().count();
        let server_cpus = range(contestants().map(cpus).filter(|cpus| *cpus > 0));
        Map { servers, workloads, workers, server_cpus, deviating: BTreeSet::new() }
    }
}

fn servers(columns: &[MapColumn]) -> Vec<String> {
    let names: BTreeSet<&String> = columns.iter().flat_map(|column| column.cells.keys()).collect();
    let mut servers: Vec<String> = names.into_iter().cloned().collect();
    if let Some(first) = columns.first() {
        let value = |server: &String| first.cells.get(server).and_then(|cell| cell.value);
        servers.sort_by(|a, b| match (value(a), value(b)) {
            (Some(a), Some(b)) => first.order(a, b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        });
    }
    servers
}

impl MapColumn {
    /// The better of two values comes first.
    fn order(&self, a: f64, b: f64) -> std::cmp::Ordering {
        match self.metric.better() {
            Better::Lower => a.total_cmp(&b),
            Better::Higher => b.total_cmp(&a),
        }
    }

    /// The name and the value of its best cell.
    pub fn best(&self) -> Option<(&str, f64)> {
        let values = self.cells.iter().filter_map(|(name, cell)| Some((name.as_str(), cell.value?)));
        values.min_by(|a, b| self.order(a.1, b.1))
    }

    /// How many times the best value of the column a value is, so that more is worse: 1 or more.
    pub fn times_best(&self, value: f64) -> Option<f64> {
        let (_, best) = self.best()?;
        let times = match self.metric.better() {
            Better::Lower => value / best,
            Better::Higher => best / value,
        };
        times.is_finite().then_some(times)
    }
}

fn column(
    rows: &[&Row],
    metric: Metric,
    against: Against,
    pairs: &[Pair],
    ceiling: Option<f64>,
) -> MapColumn {
    let mut of_servers: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for &row in rows {
        of_servers.entry(&row.server).or_default().push(row);
    }
    let mut cells = BTreeMap::new();
    for (server, rows) in of_servers {
        let values: Vec<f64> = values(&rows, metric).into_iter().map(|(_, value)| value).collect();
        let standing = match values.is_empty() {
            true => Standing::Without(why_none(&rows, metric)),
            false => Standing::Alone,
        };
        let left_out = usable(&rows, metric.figure()).left_out.into_iter();
        let cell = MapCell {
            value: median(&values),
            interval: interval(&values),
            blocks: values.len(),
            left_out: left_out.map(|(why, blocks)| (why.to_owned(), blocks)).collect(),
            standing,
        };
        cells.insert(server.to_owned(), cell);
    }
    let mut bounds: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.bound_by.is_empty()) {
        *bounds.entry(&row.bound_by).or_default() += 1;
    }
    let bound_by = bounds.into_iter().max_by_key(|(_, rows)| *rows).map_or("", |(bound, _)| bound).to_owned();
    let mut row = rows[0].clone();
    // A part of what each server keeps up with is another rate for each.
    row.offered_rps = row.offered_rps.filter(|rps| rows.iter().all(|other| other.offered_rps == Some(*rps)));
    let mut column = MapColumn { row, metric, cells, against, told: None, bound_by, ceiling };
    column.compare(pairs);
    column
}

impl MapColumn {
    /// Notes what the pairs established of its cells.
    fn compare(&mut self, pairs: &[Pair]) {
        let id = &self.row.workload_id;
        let its = || pairs.iter().filter(|p| p.metric == self.metric && !p.is_control);
        let (mut standings, mut told) = (Vec::new(), Vec::new());
        let best = self.best().map(|(name, _)| name.to_owned());
        let several = self.cells.values().filter(|cell| cell.value.is_some()).count() > 1;
        for (server, _) in self.cells.iter().filter(|(_, cell)| cell.value.is_some()) {
            // The pair, and whether it speaks of this cell or of the other one.
            let pair = match self.against {
                Against::Best if best.as_ref() == Some(server) => {
                    standings.extend(several.then(|| (server.clone(), Standing::Reference)));
                    continue;
                }
                Against::Best => its().filter(|p| p.row.workload_id == *id).find_map(|p| {
                    let other = best.as_ref()?;
                    match (&p.server, &p.against) {
                        (a, b) if a == server && b == other => Some((p, true)),
                        (a, b) if b == server && a == other => Some((p, false)),
                        _ => None,
                    }
                }),
                Against::Baseline if *id == self.row.group_id => {
                    standings.push((server.clone(), Standing::Reference));
                    continue;
                }
                Against::Baseline => its()
                    .find(|p| {
                        p.server == *server
                            && p.row.workload_id == *id
                            && p.against_workload_id == self.row.group_id
                    })
                    .map(|p| (p, true)),
            };
            let Some((pair, speaks_of_it)) = pair else { continue };
            told.extend(pair.mde);
            standings.push((server.clone(), standing(pair, speaks_of_it)));
        }
        self.told = told.iter().copied().reduce(f64::min).zip(told.iter().copied().reduce(f64::max));
        for (server, standing) in standings {
            if let Some(cell) = self.cells.get_mut(&server) {
                cell.standing = standing;
            }
        }
    }
}

fn standing(pair: &Pair, speaks_of_it: bool) -> Standing {
    let of = |low: Option<f64>, high: Option<f64>| {
        let interval = low.zip(high).map(|(low, high)| Interval { low, high });
        let estimate = pair.ratio.unwrap_or(1.0);
        let delta = pair.delta;
        match speaks_of_it {
            true => Ratio { estimate, interval, delta },
            false => {
                let turned = interval.map(|i| Interval { low: 1.0 / i.high, high: 1.0 / i.low });
                Ratio { estimate: 1.0 / estimate, interval: turned, delta }
            }
        }
    };
    match pair.found {
        Some(Difference::Equivalent) => Standing::Alike(of(pair.interval_90_low, pair.interval_90_high)),
        Some(Difference::Lower | Difference::Higher) if pair.decidable => {
            Standing::Apart(of(pair.interval_95_low, pair.interval_95_high))
        }
        _ => {
            let is_told = pair.decidable && pair.p_step_down.is_some_and(|p| p < pair.alpha);
            let ratio = is_told.then(|| of(pair.interval_95_low, pair.interval_95_high));
            Standing::NotTold(ratio.filter(|r| r.interval.is_some_and(|i| i.low > 1.0 || i.high < 1.0)))
        }
    }
}

/// Why a cell has no figure: its first error, what its rows are left out for, or that none has the figure.
fn why_none(rows: &[&Row], metric: Metric) -> String {
    if let Some(row) = rows.iter().find(|row| !row.error.is_empty())
        && rows.iter().all(|row| !row.error.is_empty())
    {
        return row.error.lines().next().unwrap_or_default().to_owned();
    }
    let left_out = usable(rows, metric.figure()).words();
    match left_out.is_empty() {
        false => left_out.replace('_', " "),
        true => "too few requests for it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::file;

    /// Twelve blocks of a server under the load engine, with CPU time per request instead of a throughput.
    fn cell(server: &str, level: f64) -> Vec<Row> {
        let of = |row: Row| Row {
            server_cpu_us_per_request: row.throughput_rps,
            throughput_rps: Some(5.0),
            bound_by: "server_cpu".into(),
            workload_no: 1,
            ..row
        };
        crate::analysis::tests::cell(server, 12, level).into_iter().map(of).collect()
    }

    fn map(rows: &[Row]) -> Map {
        Map::of(rows, &Analysis::of(rows), None)
    }

    #[test]
    fn cells_are_compared_with_the_best_of_their_column() {
        let mut lost = cell("lost", 2.0);
        lost.iter_mut().for_each(|row| row.error = "it died\nof this".into());
        let rows = [cell("a", 1.3), cell("b", 1.0), cell("c", 1.0), cell("null", 0.5), lost].concat();
        let map = map(&rows);
        assert_eq!(map.servers, ["b", "c", "a", "lost"]);
        let [column] = &map.workloads[..] else { panic!("one workload") };
        assert_eq!(
            (column.metric, column.against, &*column.bound_by),
            (Metric::CPU, Against::Best, "server_cpu")
        );
        assert_eq!(column.cells["b"].standing, Standing::Reference);
        assert!(matches!(column.cells["c"].standing, Standing::Alike(_)));
        let Standing::Apart(ratio) = column.cells["a"].standing else { panic!("told apart") };
        assert!((ratio.estimate - 1.3).abs() < 0.01 && ratio.interval.is_some_and(|i| i.low <= i.high));
        assert_eq!(column.cells["lost"].standing, Standing::Without("it died".into()));
        assert!(column.ceiling.is_some() && column.told.is_some());
        let times = column.times_best(2.0 * column.cells["b"].value.expect("a figure"));
        assert!((times.expect("a best") - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_difference_that_may_be_within_delta_is_not_told_and_has_its_size() {
        // The pair is of either against the other one.
        for (best, other) in [("a", "bb"), ("bb", "a")] {
            let map = map(&[cell(best, 1.0), cell(other, 1.02)].concat());
            let Standing::NotTold(Some(ratio)) = map.workloads[0].cells[other].standing else {
                panic!("{:?}", map.workloads[0].cells[other])
            };
            let interval = ratio.interval.expect("enough blocks");
            assert!(1.0 < interval.low && interval.low < 1.02 && interval.high > 1.02, "{ratio:?}");
            assert!(ratio.estimate > 1.0);
        }
    }

    #[test]
    fn one_that_is_alone_is_compared_with_nobody_and_few_blocks_tell_nothing() {
        assert_eq!(map(&cell("a", 1.0)).workloads[0].cells["a"].standing, Standing::Alone);
        let rows: Vec<Row> =
            [cell("a", 1.0), cell("b", 2.0)].concat().into_iter().filter(|row| row.block < 4).collect();
        let map = map(&rows);
        assert_eq!(map.workloads[0].cells["b"].standing, Standing::NotTold(None));
        assert_eq!((map.workloads[0].told, map.workloads[0].cells["a"].interval), (None, None));
    }

    #[test]
    fn levels_are_compared_with_their_baseline() {
        let level = |server: &str, workload: &str, level: f64| -> Vec<Row> {
            let of = |row: Row| Row { workload_id: workload.into(), group_id: "k=0".into(), ..row };
            cell(server, level).into_iter().map(of).collect()
        };
        let rows = [level("a", "k=0", 1.0), level("a", "k=1", 2.0), level("b", "k=1", 2.0)].concat();
        let map = map(&rows);
        assert!(map.workloads.iter().all(|column| column.against == Against::Baseline));
        assert_eq!(map.workloads[0].cells["a"].standing, Standing::Reference);
        assert!(matches!(map.workloads[1].cells["a"].standing, Standing::Apart(_)));
        assert_eq!(map.workloads[1].cells["b"].standing, Standing::Alone);
    }

    #[test]
    fn what_is_left_out_is_said() {
        let mut rows = cell("a", 1.0);
        rows.iter_mut().for_each(|row| row.verdict = "noisy_host".into());
        assert_eq!(map(&rows).workloads[0].cells["a"].standing, Standing::Without("12 noisy host".into()));
    }

    #[test]
    fn the_experiment_says_what_a_workload_is_for() {
        let parse = |figure: &str| {
            let text = format!(
                "question = 'q'\nblocks = 1\nfigure = '{figure}'\n[[load]]\nstrategy = 'closed-loop'\n\
                 route = 'wait'\nduration_s = 1\n"
            );
            file::parse("x", &text).expect("valid")
        };
        let (rows, known) = (cell("a", 1.0), parse("throughput_rps"));
        let map = Map::of(&rows, &Analysis::of(&rows), Some(&known));
        assert_eq!(map.workloads[0].metric, Metric::THROUGHPUT);
        let problem = check_figures(&parse("route")).expect_err("no figure").to_string();
        assert!(
            problem.starts_with("figure = 'route': servers are compared by throughput_rps, "),
            "{problem}"
        );
    }

    #[test]
    fn every_experiment_s_figures_are_compared() {
        for experiment in file::all().expect("valid") {
            check_figures(&experiment).expect("figures");
        }
    }
}
