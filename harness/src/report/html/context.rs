//! What the page is drawn from: the rows of a run, what was established of them, and its circumstances.

use crate::analysis::Analysis;
use crate::analysis::map::{Map, MapColumn};
use crate::analysis::metric::Metric;
use crate::analysis::role::role;
use crate::analysis::summary::Summary;
use crate::analysis::turns::with_what_counts;
use crate::experiment::server::Role;
use crate::record::directory::read_run;
use crate::record::row::Row;
use crate::record::rows::counting;
use crate::report::about::About;
use crate::report::{drawing, figures};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::Path;

/// What the page is drawn from.
pub(super) struct Context<'a> {
    /// The run's directory, which may have histograms.
    pub(super) directory: &'a Path,
    /// All rows.
    pub(super) rows: &'a [Row],
    pub(super) analysis: &'a Analysis,
    pub(super) map: Map,
    /// The rows of the contestants that count, with the figures that count.
    pub(super) counted: Vec<Row>,
    /// `run.json`; null without one.
    pub(super) run: Json,
    /// The contestants by name, each in the place of its colour.
    servers: Vec<String>,
}

impl<'a> Context<'a> {
    pub(super) fn new(directory: &'a Path, rows: &'a [Row], analysis: &'a Analysis) -> Context<'a> {
        let counted = with_what_counts(&counting(rows));
        let counted: Vec<Row> = counted.into_iter().filter(|row| role(row) == Role::Contestant).collect();
        let servers: BTreeSet<&String> = counted.iter().map(|row| &row.server).collect();
        let servers = servers.into_iter().cloned().collect();
        let map = About::read(directory).unwrap_or_default().map(rows, analysis);
        let run = read_run(directory).unwrap_or_default();
        Context { directory, rows, analysis, map, counted, run, servers }
    }

    /// Returns the place of a server's colour.
    pub(super) fn place(&self, server: &str) -> usize {
        self.servers.iter().position(|known| known == server).unwrap_or(0)
    }

    /// Returns the contestants, by name.
    pub(super) fn servers(&self) -> &[String] {
        &self.servers
    }

    /// Returns the rows of a server on a workload.
    pub(super) fn cell(&self, server: &str, workload_id: &str) -> Vec<&Row> {
        let is = |row: &&Row| row.server == server && row.workload_id == workload_id;
        self.counted.iter().filter(is).collect()
    }

    /// Returns the summary of a server on a workload.
    pub(super) fn summary(&self, server: &str, workload_id: &str) -> Option<&Summary> {
        let is = |s: &&Summary| s.row.server == server && s.row.workload_id == workload_id;
        self.analysis.summaries.iter().find(is)
    }

    /// Returns a text of `run.json`; empty where there is none.
    pub(super) fn fact(&self, pointer: &str) -> String {
        match self.run.pointer(pointer) {
            Some(Json::String(text)) => text.clone(),
            Some(Json::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }
}

/// The unit in which the values of one figure are shown together.
pub(super) struct Unit {
    /// What a value is divided by.
    pub(super) divisor: f64,
    /// The figure and its unit, as a title: `server CPU, µs per request`.
    pub(super) title: String,
    is_rate: bool,
}

impl Unit {
    /// The unit that suits a metric's `typical` value.
    pub(super) fn of(metric: Metric, typical: f64) -> Unit {
        let (divisor, unit) = figures::scale_of(metric.unit(), typical);
        let name = figures::name(metric);
        let title = match metric {
            Metric::THROUGHPUT => name,
            Metric::CPU => format!("{name}, {unit}/request"),
            Metric::SWITCHES => "context switches/request".to_owned(),
            _ => format!("{name}, {unit}"),
        };
        Unit { divisor, title, is_rate: metric == Metric::THROUGHPUT }
    }

    /// The unit that suits a column.
    pub(super) fn of_column(column: &MapColumn) -> Unit {
        Unit::of(column.metric, column.best().map_or(1.0, |best| best.1))
    }

    /// Writes a value, without the unit.
    pub(super) fn words(&self, value: f64) -> String {
        let value = value / self.divisor;
        if self.is_rate { figures::rate(value) } else { figures::three(value) }
    }
}

/// Returns the words of a verdict or a bound: `server_cpu` is `server CPU`.
pub(super) fn plain(word: &str) -> String {
    word.replace('_', " ").replace("cpu", "CPU")
}

/// Returns the text as a value of an attribute, or between tags.
pub(super) fn html(text: &str) -> String {
    drawing::escaped(text)
}

/// Returns the name that the page's address calls a workload's section by.
pub(super) fn anchor(row: &Row) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("workload-{}", row.workload_id.chars().map(plain).collect::<String>())
}

/// Returns a picture with its caption.
pub(super) fn figure(svg: &str, caption: &str) -> String {
    match svg.is_empty() {
        true => String::new(),
        false => format!("<figure>{svg}<figcaption>{}</figcaption></figure>\n", html(caption)),
    }
}

/// Returns a link to the meaning of a column.
pub(super) fn meaning(column: &str, words: &str) -> String {
    format!("<a href=\"#column-{column}\">{}</a>", html(words))
}
