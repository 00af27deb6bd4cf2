//! From the rows of a run to what is said about it: cells with their ranks, pairs, and whether its control
//! came out as it must.

pub mod censored;
pub mod comparison;
pub mod fail_on;
pub mod metric;
pub mod pairs;
pub mod side;
pub mod standing;
pub mod summary;

use crate::record::row::Row;
use crate::record::rows::counting;
use crate::record::workload::Workload;
use anyhow::{Context as _, Result};
use metric::Metric;
use pairs::{Pair, pairs};
use serde::Serialize;
use standing::{Role, is_ok, role};
use stats::ranks::ranks;
use stats::verdict::{Verdict, blocks_needed};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use summary::{Summary, interval, summarise};

/// The file of one row per pair of servers, workload and metric.
pub const PAIRS: &str = "pairs.csv";

/// What the rows of a run say.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Cell by cell.
    pub summaries: Vec<Summary>,
    /// Pair by pair.
    pub pairs: Vec<Pair>,
}

impl Analysis {
    /// That of all `rows` of a run. Of a group that was run again, one attempt counts.
    pub fn of(rows: &[Row]) -> Analysis {
        let rows = counting(rows);
        let pairs = pairs(&rows, &Metric::PAIRS);
        let mut summaries = summarise(&rows);
        rank(&mut summaries, &rows, &pairs);
        Analysis { summaries, pairs }
    }

    /// Writes `pairs.csv`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_pairs(&self, directory: &Path) -> Result<()> {
        let path = directory.join(PAIRS);
        fs::write(&path, csv(&self.pairs)?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// One line for each control that differs from its server, which no run should have.
    pub fn alarms(&self) -> Vec<String> {
        let differs =
            |pair: &&Pair| pair.is_control && matches!(pair.found, Some(Verdict::Lower | Verdict::Higher));
        let alarm = |pair: &Pair| {
            let (low, high) = (pair.interval_95_low.unwrap_or(0.0), pair.interval_95_high.unwrap_or(0.0));
            format!(
                "WARNING: the A/A control differs: {} is {} than {}, the same server, by {} on {} \
                 (ratio {:.3} [{low:.3}–{high:.3}], Holm p {:.4}): believe no difference of this run",
                pair.server, pair.verdict, pair.against, pair.metric, pair.workload, pair.ratio, pair.p_holm
            )
        };
        self.pairs.iter().filter(differs).map(alarm).collect()
    }
}

/// A CSV file with these rows, as bytes: a header always.
///
/// # Errors
/// None that a row of ours could have.
pub fn csv<T: Serialize + Default>(rows: &[T]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    if rows.is_empty() {
        writer.serialize(T::default())?;
    }
    let mut bytes = writer.into_inner().map_err(|error| error.into_error())?;
    if rows.is_empty() {
        bytes.truncate(bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    }
    Ok(bytes)
}

/// The figure that a workload's servers are ranked by: on a closed loop the throughput, on an open one, where
/// the schedule sets the throughput, the response time's 99th percentile, or its median where no server has
/// enough requests for that.
pub fn rank_metric<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Metric {
    match rows.clone().any(|row| row.loop_kind == "open") {
        false => Metric::ThroughputRps,
        true if rows.clone().any(|row| row.response_p99_us.is_some()) => Metric::ResponseP99Us,
        true => Metric::ResponseP50Us,
    }
}

/// Gives every cell its rank interval, workload by workload. Controls and ceilings have none, nor has a cell
/// with fewer rows that are `ok` than its family of pairs needs.
fn rank(summaries: &mut [Summary], rows: &[Row], pairs: &[Pair]) {
    let mut workloads: BTreeMap<Workload, BTreeMap<&str, Vec<&Row>>> = BTreeMap::new();
    for row in rows.iter().filter(|row| role(row) == Role::Contestant) {
        let cells = workloads.entry(Workload::of(row)).or_default();
        cells.entry(&row.server).or_default().push(row);
    }
    for (workload, cells) in workloads {
        let metric = rank_metric(cells.values().flatten().copied());
        let family: Vec<&Pair> = pairs
            .iter()
            .filter(|p| p.workload == workload && p.metric == metric.column() && !p.is_control)
            .collect();
        let needed = blocks_needed(family.len());
        let enough = |rows: &Vec<&Row>| {
            let ok: Vec<&Row> = rows.iter().copied().filter(|row| is_ok(row)).collect();
            pairs::values(&ok, metric).len() >= needed
        };
        let names: Vec<&str> = cells.keys().copied().collect();
        // One that is alone has nobody to be ranked with.
        let comparable: Vec<bool> = cells.values().map(|rows| names.len() > 1 && enough(rows)).collect();
        let place = |name: &str| names.iter().position(|known| *known == name);
        let found: Vec<(usize, usize, Verdict)> =
            family.iter().filter_map(|p| Some((place(&p.server)?, place(&p.against)?, p.found?))).collect();
        let ranks = ranks(&comparable, &found, metric.better());
        let known: BTreeSet<&str> = names.iter().copied().collect();
        for summary in summaries.iter_mut().filter(|s| s.workload == workload) {
            summary.rank_metric = metric.column().to_owned();
            if !known.contains(summary.server.as_str()) {
                continue;
            }
            let good: Vec<f64> =
                pairs::values(&cells[summary.server.as_str()], metric).iter().map(|(_, v)| *v).collect();
            let interval = interval(&good);
            summary.rank_interval_low = interval.map(|i| i.low);
            summary.rank_interval_high = interval.map(|i| i.high);
            let rank = place(&summary.server).and_then(|place| ranks[place]);
            summary.rank_best = rank.map(|rank| rank.best);
            summary.rank_worst = rank.map(|rank| rank.worst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of a server whose figure is `level` times that of the block, give or take 1%.
    fn cell(server: &str, blocks: usize, level: f64) -> Vec<Row> {
        let noise = |block: usize| 1.0 + 0.002 * ((block * 7 + server.len() * 3) % 5) as f64;
        let value = |block: usize| level * (1.0 + block as f64) * noise(block);
        let row = |block| Row {
            block,
            server: server.into(),
            verdict: "ok".into(),
            throughput_rps: Some(1000.0 * value(block)),
            ..Row::default()
        };
        (1..=blocks).map(row).collect()
    }

    fn ranked(rows: &[Row]) -> Vec<(String, String)> {
        let shown = |s: &Summary| s.rank().map_or("-".to_owned(), |rank| rank.to_string());
        Analysis::of(rows).summaries.iter().map(|s| (s.server.clone(), shown(s))).collect()
    }

    fn expected(ranks: &[(&str, &str)]) -> Vec<(String, String)> {
        ranks.iter().map(|(server, rank)| ((*server).to_owned(), (*rank).to_owned())).collect()
    }

    #[test]
    fn ranks_are_of_contestants_with_enough_blocks_that_are_ok() {
        let mut weak = cell("weak", 12, 5.0);
        for row in &mut weak[..6] {
            row.verdict = "client_bound".into();
        }
        let rows = [
            cell("fast", 12, 1.2),
            cell("a", 12, 1.0),
            cell("b", 12, 1.0),
            cell("a.control", 12, 1.0),
            cell("null", 12, 9.0),
            weak,
        ]
        .concat();
        let ranks =
            [("a", "2–3"), ("a.control", "-"), ("b", "2–3"), ("fast", "1"), ("null", "-"), ("weak", "-")];
        assert_eq!(ranked(&rows), expected(&ranks));
        assert_eq!(Analysis::of(&rows).alarms(), [""; 0]);
    }

    #[test]
    fn too_few_blocks_have_no_rank_and_neither_has_one_alone() {
        let rows = [cell("a", 5, 1.0), cell("b", 5, 2.0)].concat();
        assert_eq!(ranked(&rows), expected(&[("a", "-"), ("b", "-")]));
        assert_eq!(ranked(&cell("a", 12, 1.0)), expected(&[("a", "-")]));
        let unjudged: Vec<Row> = [cell("a", 12, 1.0), cell("b", 12, 2.0)]
            .concat()
            .into_iter()
            .map(|row| Row { verdict: String::new(), ..row })
            .collect();
        assert_eq!(ranked(&unjudged), expected(&[("a", "-"), ("b", "-")]));
    }

    #[test]
    fn open_loops_are_ranked_by_their_tail_if_it_is_known() {
        let open = |server: &str, level: f64, p99: bool| -> Vec<Row> {
            let response = |row: Row| Row {
                loop_kind: "open".into(),
                response_p50_us: row.throughput_rps,
                response_p99_us: row.throughput_rps.filter(|_| p99),
                throughput_rps: Some(500.0),
                ..row
            };
            cell(server, 12, level).into_iter().map(response).collect()
        };
        for (tail, metric) in [(true, "response_p99_us"), (false, "response_p50_us")] {
            let rows = [open("slow", 1.2, tail), open("fast", 1.0, tail)].concat();
            assert_eq!(ranked(&rows), expected(&[("fast", "1"), ("slow", "2")]));
            assert!(Analysis::of(&rows).summaries.iter().all(|s| s.rank_metric == metric));
        }
    }

    #[test]
    fn a_control_that_differs_is_an_alarm() {
        let rows = [cell("a", 12, 1.0), cell("a.control", 12, 1.1), cell("b", 12, 1.0)].concat();
        let alarms = Analysis::of(&rows).alarms();
        assert_eq!(alarms.len(), 1);
        assert!(alarms[0].contains("a.control is faster than a, the same server, by throughput_rps"));
        // And what does not exceed it is no difference.
        assert_eq!(ranked(&rows)[2], ("b".to_owned(), "1–2".to_owned()));
    }

    #[test]
    fn pairs_are_written_as_a_table() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = [cell("a", 12, 1.0), cell("b", 12, 1.0)].concat();
        Analysis::of(&rows).write_pairs(folder.path()).expect("written");
        let text = fs::read_to_string(folder.path().join(PAIRS)).expect("there");
        assert!(text.starts_with("schema_version,run_id,route,"), "{text}");
        assert_eq!(text.lines().count(), 2);
        let header = String::from_utf8(csv::<Pair>(&[]).expect("a header")).expect("UTF-8");
        assert_eq!(header.lines().next(), text.lines().next());
        assert_eq!(header.lines().count(), 1);
    }
}
