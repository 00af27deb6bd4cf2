//! Experiment files: the question of a run, and what it measures to answer it. TOML, read strictly.
//!
//! A factor's level goes into a file's text fields where its name stands in braces, before the fields are
//! looked at: so a factor may stand in any field.

use super::factors::{Factors, filled, shown};
use super::model::{Compare, Experiment, MAX_BLOCKS, Placement, Planned};
use super::quantity::Quantity;
use super::search::{Keep, SearchSpec};
use super::suggest;
use super::workload::{LoadSpec, PhaseSpec, ServerOptions, WARMUP_S, Workload};
use crate::exit::usage;
use anyhow::Result;
use include_dir::{Dir, File, include_dir};
use load::protocol::Strategy;
use load::schedule::Arrival;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// The experiment of a run that names none.
pub const DEFAULT: &str = "quick";

/// That of a run that names none and says itself what to measure.
pub const CUSTOM: &str = "custom";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    question: String,
    #[serde(default)]
    asked_in: Vec<String>,
    #[serde(default)]
    prediction: String,
    blocks: usize,
    #[serde(default)]
    placement: Placement,
    #[serde(default)]
    figures: Vec<String>,
    #[serde(default)]
    without: BTreeMap<String, String>,
    #[serde(default)]
    factors: Table,
    compare: Option<FileCompare>,
    search: Option<Table>,
    #[serde(default, rename = "scenario")]
    scenarios: Vec<Table>,
    // A file of one scenario needs no [[scenario]].
    server: Option<Value>,
    load: Option<Value>,
    phase: Option<Value>,
    rounds: Option<Value>,
    figure: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCompare {
    factor: Option<String>,
    phase: Option<String>,
    baseline: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileScenario {
    #[serde(default)]
    server: ServerOptions,
    #[serde(default)]
    load: Vec<FileLoad>,
    #[serde(default)]
    phase: Vec<FilePhase>,
    rounds: Option<Quantity>,
    figure: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLoad {
    name: Option<String>,
    strategy: Strategy,
    route: String,
    requests: Option<Quantity>,
    duration_s: Option<Quantity>,
    warmup_s: Option<Quantity>,
    concurrency: Option<Quantity>,
    rate: Option<Quantity>,
    arrival: Option<Arrival>,
    #[serde(default)]
    background: bool,
}

impl FileLoad {
    /// What it is called: as given, or by what it does.
    fn named(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None if self.background => "background".to_owned(),
            None => self.strategy.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePhase {
    #[serde(default)]
    name: String,
    duration_s: Quantity,
    scale: Option<Scale>,
    measured: Option<bool>,
    #[serde(default)]
    pause: bool,
}

/// What a phase multiplies rates by.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number, or one for each load by its name")]
enum Scale {
    All(Quantity),
    Each(BTreeMap<String, Quantity>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSearch {
    over: String,
    keep: Keep,
    from: f64,
    to: f64,
    precision: f64,
    #[serde(default = "three")]
    trials: usize,
    #[serde(default)]
    server: ServerOptions,
    load: Vec<FileLoad>,
}

fn three() -> usize {
    3
}

/// The project's own experiments, which are part of the program: `build.rs` says when they change.
static OWN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/experiments");

/// The experiment of this name, or in this file.
///
/// # Errors
/// An unknown name, or a file that is wrong: one line with the file and the field.
pub fn find(given: &str) -> Result<Experiment> {
    let path = Path::new(given);
    if path.extension().is_some_and(|extension| extension == "toml") || given.contains('/') {
        let text =
            fs::read_to_string(path).map_err(|error| usage!("cannot read {}: {error}", path.display()))?;
        return parse(stem(path), &text).map_err(|problem| usage!("{}: {problem}", path.display()));
    }
    let own: Vec<_> = OWN.files().collect();
    read(suggest::find("experiment", given, &own, |file| stem(file.path()))?)
}

/// Every experiment of the project, by name.
///
/// # Errors
/// A file is wrong.
pub fn all() -> Result<Vec<Experiment>> {
    let mut all = OWN.files().map(read).collect::<Result<Vec<_>>>()?;
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

fn read(file: &File<'_>) -> Result<Experiment> {
    let (path, text) = (file.path(), file.contents_utf8().unwrap_or_default());
    parse(stem(path), text).map_err(|problem| usage!("{}: {problem}", path.display()))
}

/// Reads an experiment's text.
///
/// # Errors
/// One line about the first thing that is wrong, with its field.
pub fn parse(name: &str, text: &str) -> Result<Experiment, String> {
    let table: Table = toml::from_str(text).map_err(|error| in_one_line(&error.to_string()))?;
    let file: Written = strictly(Value::Table(table))?;
    if file.blocks == 0 || file.blocks > MAX_BLOCKS {
        return Err(format!("blocks: give a number from 1 to {MAX_BLOCKS}"));
    }
    if file.question.trim().is_empty() {
        return Err("question: say what the experiment asks".into());
    }
    let factors = Factors::of(&file.factors)?;
    let scenarios = scenarios(&file)?;
    let mut used = BTreeSet::new();
    let searches = match &file.search {
        Some(search) => self::searches(search, &factors, &mut used)?,
        None => Vec::new(),
    };
    let compare = compare(file.compare, &factors)?;
    let mut workloads: Vec<Planned> = Vec::new();
    for (place, scenario) in scenarios.iter().enumerate() {
        let said = |problem: String| match scenarios.len() {
            1 => problem,
            _ => format!("scenario {}: {problem}", place + 1),
        };
        let first = workloads.len();
        // Which workload the levels came to.
        let mut came_to: Vec<(BTreeMap<String, String>, usize)> = Vec::new();
        for levels in factors.combinations(scenario, &mut used).map_err(said)? {
            let (workload, figure) = workload(scenario, &levels).map_err(said)?;
            let search = search_of(&workload, &searches).map_err(said)?;
            let levels = workload.levels.clone();
            let known = workloads[first..].iter().position(|known| known.workload.is_same(&workload));
            let index = known.map_or(workloads.len(), |index| first + index);
            came_to.push((levels.clone(), index));
            match known {
                // What differs between levels that come to the same is no level of it.
                Some(_) => {
                    let its = &mut workloads[index].workload.levels;
                    its.retain(|name, level| levels.get(name) == Some(level));
                }
                None => workloads.push(Planned { workload, base: index, search, figure }),
            }
        }
        if let Compare::Phases { baseline } = &compare {
            let has = |workload: &Workload| workload.phases.iter().any(|p| p.measured && p.name == *baseline);
            if !workloads[first..].iter().all(|planned| has(&planned.workload)) {
                return Err(said(format!("compare.phase: no measured phase is called '{baseline}'")));
            }
        }
        let Compare::Factor { name, baseline } = &compare else { continue };
        for (levels, index) in &came_to {
            if !levels.contains_key(name) {
                return Err(format!("compare: scenario {} does not use the factor '{name}'", place + 1));
            }
            let mut wanted = levels.clone();
            wanted.insert(name.clone(), baseline.clone());
            let base = came_to.iter().find(|(levels, _)| *levels == wanted);
            workloads[*index].base = base.map_or(*index, |(_, base)| *base);
        }
    }
    if let Some(name) = factors.names().find(|name| !used.contains(*name)) {
        return Err(format!("factors.{name}: no field uses it: write {{{name}}} where it stands"));
    }
    Ok(Experiment {
        name: name.to_owned(),
        question: file.question,
        asked_in: file.asked_in,
        prediction: file.prediction,
        blocks: file.blocks,
        placement: file.placement,
        factors: factors.names().map(str::to_owned).collect(),
        figures: file.figures,
        without: file.without,
        compare,
        workloads,
        searches,
    })
}

/// The search whose result a workload uses, if it uses any.
fn search_of(workload: &Workload, searches: &[SearchSpec]) -> Result<Option<usize>, String> {
    if workload.needs("trial") {
        return Err("'trial' is the rate that a [search] tries; give it there".into());
    }
    if !workload.needs("knee") {
        return Ok(None);
    }
    let search = searches.iter().position(|search| search.fits(&workload.levels));
    search.map(Some).ok_or_else(|| "'knee' is what a [search] finds, and there is none for it".into())
}

/// The tables of the scenarios: those of `[[scenario]]`, or the file's own loads.
fn scenarios(file: &Written) -> Result<Vec<Table>, String> {
    let mut own = Table::new();
    let given = [
        ("server", &file.server),
        ("load", &file.load),
        ("phase", &file.phase),
        ("rounds", &file.rounds),
        ("figure", &file.figure),
    ];
    for (field, value) in given {
        own.extend(value.clone().map(|value| (field.to_owned(), value)));
    }
    match (own.is_empty(), file.scenarios.is_empty()) {
        (false, true) => Ok(vec![own]),
        (true, false) => Ok(file.scenarios.clone()),
        (false, false) => Err("give either [[scenario]] or loads of the file's own, not both".into()),
        (true, true) => Err("there is nothing to measure: give a [[load]]".into()),
    }
}

fn compare(given: Option<FileCompare>, factors: &Factors) -> Result<Compare, String> {
    let (factor, baseline) = match given {
        None => return Ok(Compare::Servers),
        Some(FileCompare { factor: Some(factor), phase: None, baseline: Some(baseline) }) => {
            (factor, shown(&baseline))
        }
        Some(FileCompare { factor: None, phase: Some(baseline), baseline: None }) => {
            return Ok(Compare::Phases { baseline });
        }
        Some(_) => return Err("compare: give a factor and its baseline, or a phase".into()),
    };
    let levels =
        factors.levels(&factor).ok_or_else(|| format!("compare.factor: there is no factor '{factor}'"))?;
    if !levels.contains(&baseline) {
        return Err(format!("compare.baseline: '{factor}' has the levels {}", levels.join(", ")));
    }
    Ok(Compare::Factor { name: factor, baseline })
}

/// The workload of a scenario at these levels, and the figure that it is for.
fn workload(
    scenario: &Table,
    levels: &BTreeMap<String, Value>,
) -> Result<(Workload, Option<String>), String> {
    let FileScenario { server, mut load, phase, rounds, figure } =
        strictly(filled(&Value::Table(scenario.clone()), levels))?;
    // A load of nobody is none.
    let zero = Some(Quantity::from(0.0));
    load.retain(|load| !(load.background && load.concurrency == zero));
    let levels = levels.iter().map(|(name, level)| (name.clone(), shown(level))).collect();
    let phases = phases(&load, phase, if rounds.is_some() { lead_in() } else { Quantity::from(WARMUP_S) })?;
    let workload = Workload { phases, server, loads: loads(load)?, rounds, levels };
    workload.check().map(|()| (workload, figure))
}

fn loads(given: Vec<FileLoad>) -> Result<Vec<LoadSpec>, String> {
    let mut loads: Vec<LoadSpec> = Vec::new();
    for load in given {
        let name = load.named();
        if loads.iter().any(|other| other.name == name) {
            return Err(format!("two loads are called '{name}': give each a name of its own"));
        }
        if load.arrival.is_some() && load.rate.is_none() {
            return Err(format!("load '{name}': an arrival has no effect without a rate"));
        }
        let route = contract::route::target(&load.route).unwrap_or(load.route);
        loads.push(LoadSpec {
            name,
            strategy: load.strategy,
            route,
            requests: load.requests,
            concurrency: load.concurrency,
            rate: load.rate,
            arrival: load.arrival.unwrap_or_default(),
            background: load.background,
        });
    }
    Ok(loads)
}

/// What goes before a slice where nothing is said: as long as the servers turn out to need.
fn lead_in() -> Quantity {
    Quantity::parse("lead_in").unwrap_or(Quantity::from(WARMUP_S))
}

/// The phases as given, or a warm-up, of that length where nothing is said, and a measured phase as the measured
/// loads say.
fn phases(loads: &[FileLoad], given: Vec<FilePhase>, warmup: Quantity) -> Result<Vec<PhaseSpec>, String> {
    if !given.is_empty() {
        if let Some(load) = loads.iter().find(|load| load.duration_s.is_some() || load.warmup_s.is_some()) {
            return Err(format!("load '{}': its time has no effect beside phases", load.named()));
        }
        return given.into_iter().map(|phase| phase_of(phase, loads)).collect();
    }
    let mut phases: Vec<PhaseSpec> = Vec::new();
    for load in loads {
        let Some(duration_s) = &load.duration_s else {
            if load.warmup_s.is_some() {
                return Err(format!("load '{}': warmup_s has no effect without duration_s", load.named()));
            }
            continue;
        };
        if load.background {
            return Err(format!(
                "load '{}': a load in the background goes on as long as the others",
                load.named()
            ));
        }
        let warmup_s = load.warmup_s.clone().unwrap_or_else(|| warmup.clone());
        let its = timed(warmup_s, duration_s.clone());
        if !phases.is_empty() && phases != its {
            return Err("measured loads of one scenario take the same time: give phases instead".into());
        }
        phases = its;
    }
    Ok(phases)
}

/// A warm-up and a measured phase without a name.
pub fn timed(warmup_s: Quantity, duration_s: Quantity) -> Vec<PhaseSpec> {
    let phase = |duration_s, measured| PhaseSpec {
        name: String::new(),
        duration_s,
        scale: Vec::new(),
        measured,
        pause: false,
    };
    vec![phase(warmup_s, false), phase(duration_s, true)]
}

fn phase_of(phase: FilePhase, loads: &[FileLoad]) -> Result<PhaseSpec, String> {
    let names: Vec<String> = loads.iter().map(FileLoad::named).collect();
    let one = Quantity::from(1.0);
    let scale = match phase.scale {
        None => Vec::new(),
        // What is in the background, or has no schedule, is as it is.
        Some(Scale::All(scale)) => {
            let scaled = |load: &FileLoad| !load.background && load.rate.is_some();
            if !loads.iter().any(scaled) {
                return Err(format!(
                    "phase '{}': scale has no effect: no measured load has a rate",
                    phase.name
                ));
            }
            loads.iter().map(|load| if scaled(load) { scale.clone() } else { one.clone() }).collect()
        }
        Some(Scale::Each(each)) => {
            if let Some(name) = each.keys().find(|name| !names.contains(name)) {
                return Err(format!("phase '{}': scale: there is no load '{name}'", phase.name));
            }
            names.iter().map(|name| each.get(name).cloned().unwrap_or(one.clone())).collect()
        }
    };
    // All ones are none.
    let scale = if scale.iter().all(|scale| *scale == one) { Vec::new() } else { scale };
    if phase.pause && (phase.measured == Some(true) || !scale.is_empty()) {
        return Err(format!(
            "phase '{}': in a pause nothing is asked, so it has no scale and no rows",
            phase.name
        ));
    }
    let measured = phase.measured.unwrap_or(!phase.pause);
    Ok(PhaseSpec { name: phase.name, duration_s: phase.duration_s, scale, measured, pause: phase.pause })
}

fn searches(
    table: &Table,
    factors: &Factors,
    used: &mut BTreeSet<String>,
) -> Result<Vec<SearchSpec>, String> {
    let mut searches = Vec::new();
    for levels in factors.combinations(table, used)? {
        let file: FileSearch = strictly(filled(&Value::Table(table.clone()), &levels))
            .map_err(|problem| format!("search: {problem}"))?;
        if file.over != "rate" {
            return Err(format!("search.over: '{}' cannot be searched: give rate", file.over));
        }
        let (mut load, server) = (file.load, file.server);
        match load.iter_mut().filter(|load| !load.background).collect::<Vec<_>>()[..] {
            [ref mut measured] if measured.rate.is_none() => measured.rate = Some(Quantity::parse("trial")?),
            _ => return Err("search: give one measured load, without a rate: the search sets it".into()),
        }
        let levels = levels.iter().map(|(name, level)| (name.clone(), shown(level))).collect();
        let phases = phases(&load, Vec::new(), Quantity::from(WARMUP_S))?;
        let workload = Workload { phases, server, loads: loads(load)?, rounds: None, levels };
        workload.check().map_err(|problem| format!("search: {problem}"))?;
        let (from, to, precision, trials) = (file.from, file.to, file.precision, file.trials);
        searches.push(SearchSpec { workload, keep: file.keep, from, to, precision, trials });
    }
    searches.iter().try_for_each(SearchSpec::check).map_err(|problem| format!("search.{problem}"))?;
    Ok(searches)
}

/// Reads a table whose fields are all known. The error names the field.
fn strictly<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let problem = in_one_line(&error.inner().to_string());
        if path == "." { problem } else { format!("{path}: {problem}") }
    })
}

/// Joins the lines of an error, without the field that the path names already.
fn in_one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("in `"))
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
