//! What a run was, in a line, and where the rest of it is: read from its `run.json`.

use crate::analysis::Analysis;
use crate::analysis::map::Map;
use crate::experiment::blocks_of::BlocksOf;
use crate::experiment::model::Experiment;
use crate::record::directory::{RUN, SUMMARY, read_run};
use crate::record::row::Row;
use anyhow::Result;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The circumstances of a run.
#[derive(Debug, Clone, Default)]
pub struct About {
    pub(super) directory: PathBuf,
    /// The experiment as it was run; `None` for a run of before there were experiments.
    pub experiment: Option<Experiment>,
    pub(super) name: String,
    /// How often every cell was run.
    pub blocks: usize,
    pub(super) cores: usize,
    /// The machines of a run that was merged; 0 for one that was not.
    pub(super) machines: usize,
    pub(super) seconds: Option<f64>,
    /// The servers that answer some requests otherwise than the others, as their `runtime.toml` declares.
    pub(super) deviating: BTreeSet<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    run_id: String,
    #[serde(default)]
    experiment: String,
    #[serde(default)]
    blocks: usize,
    measured: Option<Experiment>,
    #[serde(default)]
    started_at: String,
    ended_at: Option<String>,
    #[serde(default)]
    machine: Machine,
    #[serde(default)]
    servers: BTreeMap<String, Server>,
    #[serde(default)]
    request: Request,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Server {
    #[serde(default)]
    declared_deviations: usize,
}

#[derive(Deserialize, Default)]
struct Request {
    blocks_of: Option<BlocksOf>,
}

/// A part of a run that was merged.
#[derive(Deserialize)]
struct Part {
    machine: serde_json::Value,
}

#[derive(Deserialize, Default)]
struct Machine {
    #[serde(default)]
    cores: usize,
}

impl About {
    /// Reads it.
    ///
    /// # Errors
    /// The directory holds no run.
    pub fn read(directory: &Path) -> Result<About> {
        if !directory.join(RUN).exists() {
            // Rows alone have their answer too.
            return Ok(About { directory: directory.to_owned(), ..About::default() });
        }
        let file: File = read_run(directory)?;
        let time = |text: &str| text.parse::<Timestamp>().ok();
        let ended = file.ended_at.as_deref().and_then(time);
        let seconds =
            time(&file.started_at).zip(ended).map(|(from, to)| to.duration_since(from).as_secs_f64());
        let deviating = file.servers.into_iter().filter(|(_, server)| server.declared_deviations > 0);
        let mut machines: Vec<&serde_json::Value> = Vec::new();
        for Part { machine } in &file.parts {
            if !machines.contains(&machine) {
                machines.push(machine);
            }
        }
        Ok(About {
            deviating: deviating.map(|(name, _)| name).collect(),
            directory: directory.to_owned(),
            machines: machines.len(),
            experiment: file.measured,
            name: if file.experiment.is_empty() { file.run_id } else { file.experiment },
            blocks: file.request.blocks_of.unwrap_or_default().count(file.blocks),
            cores: file.machine.cores,
            seconds,
        })
    }

    /// The table of the run, of which these are the rows.
    pub fn map(&self, rows: &[Row], analysis: &Analysis) -> Map {
        let map = Map::of(rows, analysis, self.experiment.as_ref());
        let shown = self.deviating.iter().filter(|server| map.servers.contains(server));
        Map { deviating: shown.cloned().collect(), ..map }
    }

    /// `quick: 7 servers, 3 workloads, 6 blocks, 1–2 workers, 1 of 2 CPUs, 2 min 10 s`.
    pub(super) fn headline(&self, map: &Map) -> String {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut words = vec![
            count(map.servers.len(), "server"),
            count(map.workloads.len(), "workload"),
            count(self.blocks, "block"),
        ];
        words
            .extend(map.workers.map(|range| span(range) + if range.1 == 1 { " worker" } else { " workers" }));
        let of = map.server_cpus.map_or(String::new(), |range| span(range) + " of ");
        words.push(of + &count(self.cores, "CPU"));
        words.extend((self.machines > 1).then(|| count(self.machines, "machine")));
        words.extend(self.seconds.map(|seconds| {
            let whole = seconds.round() as u64;
            if whole < 60 { format!("{whole} s") } else { format!("{} min {} s", whole / 60, whole % 60) }
        }));
        format!("{}: {}", self.name, words.join(", "))
    }

    /// What was not used, how to go on, and where the rest is.
    pub(super) fn last_lines(&self, map: &Map) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(left_out(map));
        match &map.servers[..] {
            [only] => lines
                .push(format!("compare it: harness --server {only},OTHER (harness list shows who is there)")),
            _ => lines.push("which one to take depends on your load: docs/choosing.md".to_owned()),
        }
        let here = std::env::current_dir().unwrap_or_default();
        let directory = self.directory.strip_prefix(here).unwrap_or(&self.directory);
        lines.push(format!("more: {}/report.html, {SUMMARY}", directory.display()));
        lines
    }
}

/// `1`, or `1–2`.
fn span((low, high): (usize, usize)) -> String {
    if low == high { low.to_string() } else { format!("{low}–{high}") }
}

/// `2 of 252 rows not used (noisy host)`.
pub(super) fn left_out(map: &Map) -> Option<String> {
    let cells = || map.workloads.iter().flat_map(|column| column.cells.values());
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (why, blocks) in cells().flat_map(|cell| &cell.left_out) {
        *reasons.entry(why).or_default() += blocks;
    }
    let lost: usize = reasons.values().sum();
    let all = lost + cells().map(|cell| cell.blocks).sum::<usize>();
    let reasons: Vec<String> =
        reasons.iter().map(|(why, blocks)| format!("{blocks} {}", why.replace('_', " "))).collect();
    (lost > 0).then(|| format!("{lost} of {all} rows not used ({})", reasons.join(", ")))
}
