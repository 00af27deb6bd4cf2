//! From the rows of a run to statements: cells with their ranks, pairs, and whether the control came out like
//! its server.

pub mod comparison;
pub mod counted;
pub mod fail_on;
pub mod history;
pub mod map;
pub mod metric;
pub mod pairs;
pub mod percentile;
pub mod role;
pub mod side;
pub mod summary;
pub mod turns;
pub mod until;
pub mod usable;

use crate::experiment::server::Role;
use crate::record::directory::{CELLS, SUMMARY};
use crate::record::row::Row;
use crate::record::rows::{by_workload, counting, groups_of_levels};
use crate::record::slices::{self, SLICES, SliceRow};
use crate::record::{csv, package, whole};
use anyhow::Result;
use metric::Metric;
use pairs::{Pair, pairs};
use role::{is_unjudged, role};
use stats::difference::{ALPHA, Difference, blocks_needed};
use stats::ranks::ranks;
use std::collections::BTreeMap;
use std::path::Path;
use summary::{Summary, interval, summarise};

/// The file of one row per pair of servers, workload and metric.
pub const PAIRS: &str = "pairs.csv";

/// The statements that the rows of a run allow.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// One per cell.
    pub summaries: Vec<Summary>,
    /// One per pair.
    pub pairs: Vec<Pair>,
}

impl Analysis {
    /// Analyses all `rows` of a run that was looked at once. Of a group that was run again, one attempt counts.
    pub fn of(rows: &[Row]) -> Analysis {
        Analysis::at(rows, &[], ALPHA)
    }

    /// As [`Analysis::of`], of a run whose servers took turns, by another error rate: see [`until::alpha_of`].
    pub fn at(rows: &[Row], slices: &[SliceRow], alpha: f64) -> Analysis {
        let rows = counting(rows);
        let pairs = pairs(&rows, &Metric::of_pairs(), alpha);
        let counted = turns::with_what_counts(&rows);
        let mut summaries = summarise(&counted);
        for summary in summaries.iter_mut().filter(|summary| summary.row.rounds.is_some()) {
            summary.note_turns(&rows, slices);
        }
        rank(&mut summaries, &counted, &pairs, blocks_needed(alpha));
        Analysis { summaries, pairs }
    }

    /// Writes `summary.csv` and `pairs.csv`, and the data package that describes all tables.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let factors = csv::factor_names(self.summaries.iter().map(|summary| &summary.row));
        let write = |name: &str, bytes: Vec<u8>| whole::replace(&directory.join(name), bytes);
        write(SUMMARY, csv::file(&summary::fields(&factors), &self.summaries)?)?;
        write(PAIRS, csv::file(&pairs::fields(&factors), &self.pairs)?)?;
        let resources = [
            package::resource(directory, SUMMARY, &summary::fields(&factors))?,
            package::resource(directory, CELLS, &csv::cells(&factors))?,
            package::resource(directory, PAIRS, &pairs::fields(&factors))?,
            package::resource(directory, SLICES, &slices::fields())?,
        ];
        package::write(directory, &resources.into_iter().flatten().collect::<Vec<_>>())
    }

    /// Returns a line for each control that differs from its server, which no run should have.
    pub fn alarms(&self) -> Vec<String> {
        let differs = |pair: &&Pair| {
            pair.is_control && matches!(pair.found, Some(Difference::Lower | Difference::Higher))
        };
        let alarm = |pair: &Pair| {
            let (low, high) = (pair.interval_95_low.unwrap_or(0.0), pair.interval_95_high.unwrap_or(0.0));
            format!(
                "WARNING: the A/A control differs: {} is {} than {}, the same server, by {} on {} \
                 (ratio {:.3} [{low:.3}–{high:.3}], p {:.4}): believe no difference of this run",
                pair.server,
                pair.verdict,
                pair.against,
                pair.metric.column(),
                pair.row.workload,
                pair.ratio.unwrap_or(1.0),
                pair.p_step_down.unwrap_or(1.0)
            )
        };
        self.pairs.iter().filter(differs).map(alarm).collect()
    }
}

/// Returns the figure that a workload's servers are ranked by: on a closed loop the throughput, on an open one, where
/// the schedule sets the throughput, the response time's 99th percentile, or its median where no server has
/// enough requests for that.
pub fn rank_metric<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Metric {
    match rows.clone().any(|row| row.loop_kind == "open") {
        false => Metric::THROUGHPUT,
        true if rows.clone().any(|row| row.response_p99_us.is_some()) => Metric::RESPONSE_P99,
        true => Metric::RESPONSE_P50,
    }
}

/// Gives every cell its rank interval, workload by workload, where servers are compared. Controls and ceilings
/// have none, nor has a cell with fewer blocks for the figure than the `blocks_needed` by the test.
fn rank(summaries: &mut [Summary], rows: &[Row], pairs: &[Pair], blocks_needed: usize) {
    let levels = groups_of_levels(rows);
    for rows in by_workload(rows.iter().filter(|row| role(row) == Role::Contestant)) {
        let id = &rows[0].workload_id;
        let metric = rank_metric(rows.iter().copied());
        let mut cells: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &rows {
            cells.entry(&row.server).or_default().push(row);
        }
        let is_of_family = |p: &&Pair| p.row.workload_id == *id && p.metric == metric && !p.is_control;
        let family: Vec<&Pair> = pairs.iter().filter(is_of_family).collect();
        let enough = |rows: &Vec<&Row>| {
            // Nothing is known for a row that met no gate, so that it is compared and not ranked.
            !rows.iter().any(|row| is_unjudged(row)) && pairs::values(rows, metric).len() >= blocks_needed
        };
        let names: Vec<&str> = cells.keys().copied().collect();
        // One that is alone has nobody to be ranked with.
        let is_ranked = names.len() > 1 && !levels.contains(rows[0].group_id.as_str());
        let comparable: Vec<bool> = cells.values().map(|rows| is_ranked && enough(rows)).collect();
        let place = |name: &str| names.iter().position(|known| *known == name);
        let found: Vec<(usize, usize, Difference)> =
            family.iter().filter_map(|p| Some((place(&p.server)?, place(&p.against)?, p.found?))).collect();
        let ranks = ranks(&comparable, &found, metric.better());
        for summary in summaries.iter_mut().filter(|s| s.row.workload_id == *id) {
            summary.rank_metric = Some(metric);
            let Some(place) = place(&summary.row.server) else { continue };
            let values = pairs::values(&cells[names[place]], metric);
            summary.blocks_used = Some(values.len());
            let interval = interval(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>());
            summary.rank_interval_low = interval.map(|i| i.low);
            summary.rank_interval_high = interval.map(|i| i.high);
            summary.rank_best = ranks[place].map(|rank| rank.best);
            summary.rank_worst = ranks[place].map(|rank| rank.worst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Blocks of a server whose figure is `level` times that of the block, give or take 1%.
    pub(super) fn cell(server: &str, blocks: usize, level: f64) -> Vec<Row> {
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
        Analysis::of(rows).summaries.iter().map(|s| (s.row.server.clone(), shown(s))).collect()
    }

    fn expected(ranks: &[(&str, &str)]) -> Vec<(String, String)> {
        ranks.iter().map(|(server, rank)| ((*server).to_owned(), (*rank).to_owned())).collect()
    }

    #[test]
    fn ranks_are_of_contestants_with_enough_blocks_for_the_figure() {
        let mut weak = cell("weak", 12, 5.0);
        for row in &mut weak[..7] {
            row.verdict = "noisy_host".into();
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
    fn workloads_are_ranked_apart_and_levels_of_a_factor_not_at_all() {
        let of = |rows: Vec<Row>, workload: &str, group: &str| -> Vec<Row> {
            let of = |row| Row { workload_id: workload.into(), group_id: group.into(), ..row };
            rows.into_iter().map(of).collect()
        };
        let run = |group_of_2: &str| {
            let rows = [
                of(cell("a", 12, 1.0), "1", "1"),
                of(cell("b", 12, 1.2), "1", "1"),
                of(cell("a", 12, 1.2), "2", group_of_2),
                of(cell("b", 12, 1.0), "2", group_of_2),
            ];
            ranked(&rows.concat())
        };
        assert_eq!(run("2"), expected(&[("a", "2"), ("a", "1"), ("b", "1"), ("b", "2")]));
        assert_eq!(run("1"), expected(&[("a", "-"), ("a", "-"), ("b", "-"), ("b", "-")]));
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
        for (tail, metric) in [(true, Metric::RESPONSE_P99), (false, Metric::RESPONSE_P50)] {
            let rows = [open("slow", 1.2, tail), open("fast", 1.0, tail)].concat();
            assert_eq!(ranked(&rows), expected(&[("fast", "1"), ("slow", "2")]));
            assert!(Analysis::of(&rows).summaries.iter().all(|s| s.rank_metric == Some(metric)));
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
    fn the_tables_are_written_with_a_header_also_without_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let written = |rows: &[Row]| {
            Analysis::of(rows).write(folder.path()).expect("written");
            [SUMMARY, PAIRS].map(|file| fs::read_to_string(folder.path().join(file)).expect("there"))
        };
        let factor = |row: Row| Row { factors: [("k".to_owned(), "2".to_owned())].into(), ..row };
        let rows: Vec<Row> =
            [cell("a", 12, 1.0), cell("b", 12, 1.0)].concat().into_iter().map(factor).collect();
        for text in written(&rows) {
            assert!(text.lines().next().expect("a header").contains(",factor_k,"), "{text}");
            assert!(text.lines().count() > 1);
        }
        for text in written(&[]) {
            assert!(text.contains("workload_id,workload,"), "{text}");
            assert_eq!(text.lines().count(), 1);
        }
    }

    #[test]
    fn the_package_describes_every_column_of_every_file_with_its_type() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("schema.json"), "{}").expect("written");
        let row = Row { factors: [("k".to_owned(), "2".to_owned())].into(), ..Row::default() };
        fs::write(
            folder.path().join(CELLS),
            "server_cpus,ok,keep_alive,factor_k,started_at,started_at_utc\n",
        )
        .expect("written");
        Analysis::of(&[row]).write(folder.path()).expect("written");
        let text = fs::read_to_string(folder.path().join(package::PACKAGE)).expect("there");
        let package: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let resources = package["resources"].as_array().expect("resources");
        let paths: Vec<&str> = resources.iter().filter_map(|resource| resource["path"].as_str()).collect();
        assert_eq!(paths, [SUMMARY, CELLS, PAIRS]);
        let types = |resource: usize| -> Vec<(&str, &str)> {
            let fields = resources[resource]["schema"]["fields"].as_array().expect("fields");
            fields
                .iter()
                .filter_map(|field| Some((field["name"].as_str()?, field["type"].as_str()?)))
                .collect()
        };
        // A column of an older file is described as well, as a text.
        let expected = [
            ("server_cpus", "string"),
            ("ok", "integer"),
            ("keep_alive", "boolean"),
            ("factor_k", "string"),
            ("started_at", "string"),
            ("started_at_utc", "datetime"),
        ];
        assert_eq!(types(1), expected);
        assert!(
            types(0).contains(&("throughput_rps_low", "number")) && types(2).contains(&("metric", "string"))
        );
        assert!(!folder.path().join("schema.json").exists(), "one of them, not both");
    }

    /// The registry of every version that runs were written with: columns are only ever added, and then
    /// `SCHEMA_VERSION` grows, and there is one more line here.
    const REGISTRIES: [(u32, &str); 5] = [
        (3, "409d327a4ae5"),
        (4, "d7db6325a9b3"),
        (5, "f8735b44ae02"),
        (6, "8f589266eef2"),
        (7, "877202b5e97f"),
    ];

    #[test]
    fn columns_only_change_with_the_schema_version() {
        use crate::record::csv::Field;
        use crate::record::row::SCHEMA_VERSION;
        use sha2::{Digest as _, Sha256};
        fn names<R>(fields: &[Field<R>]) -> String {
            fields.iter().map(|f| format!("{} {} {}\n", f.name, f.kind.name(), f.unit)).collect()
        }
        let all = names(&csv::cells(&[])) + &names(&summary::fields(&[])) + &names(&pairs::fields(&[]));
        let hash: String = Sha256::digest(&all).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let known = REGISTRIES.last().expect("one");
        assert_eq!(
            (known.0, known.1),
            (SCHEMA_VERSION, &*hash),
            "the columns have changed: raise SCHEMA_VERSION if a run was written with the old ones, and note \
             the hash in REGISTRIES"
        );
    }

    #[test]
    fn the_results_readme_has_the_columns_of_the_registry() {
        use crate::record::counts::{
            COUNTS, COUNTS_BY_CRATE, COUNTS_BY_FUNCTION, CountRow, CrateRow, FunctionRow,
        };
        let path = crate::experiment::root::find().expect("a clone").join("results/README.md");
        let readme = fs::read_to_string(&path).expect("results/README.md");
        let cells = csv::cells(&[]);
        let tables = [
            (COUNTS, csv::markdown::<_, Row>(&csv::fields::<CountRow>(), &[])),
            (COUNTS_BY_CRATE, csv::markdown::<_, Row>(&csv::fields::<CrateRow>(), &[])),
            (COUNTS_BY_FUNCTION, csv::markdown::<_, Row>(&csv::fields::<FunctionRow>(), &[])),
            (CELLS, csv::markdown::<_, Row>(&cells, &[])),
            (SUMMARY, csv::markdown(&summary::fields(&[]), &cells)),
            (SLICES, csv::markdown(&slices::fields(), &cells)),
            (PAIRS, csv::markdown(&pairs::fields(&[]), &cells)),
        ];
        let mut spliced = readme.clone();
        for (name, table) in tables {
            let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
            let (before, rest) = spliced.split_once(&begin).expect("the begin of a table");
            let (_, after) = rest.split_once(&end).expect("the end of a table");
            spliced = format!("{before}{begin}{table}{end}{after}");
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, spliced).expect("written");
        } else {
            assert!(
                readme == spliced,
                "results/README.md is stale: BLESS=1 cargo nextest run -p harness readme"
            );
        }
    }
}
