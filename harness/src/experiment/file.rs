//! What a run covers: reads `harness/profiles/*.toml`.

use crate::exit::usage;
use crate::experiment::cell::{Amount, Condition, Interference, PlannedWork, Work};
use crate::experiment::suggest;
use anyhow::{Context, Result};
use load::Strategy;
use load::schedule::Arrival;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The profile of a run that names none.
pub const DEFAULT: &str = "quick";

/// The time before the measured time where nothing is said: at least a second (docs/methodology.md).
pub const WARMUP: Duration = Duration::from_secs(1);

/// A selection: work on its routes, each in each condition.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The file's name without `.toml`.
    pub name: String,
    /// One line about it.
    pub summary: String,
    /// How often every cell is run.
    pub blocks: usize,
    /// Paths with their queries, for work that names none.
    pub targets: Vec<String>,
    /// What each client does, and where.
    pub work: Vec<PlannedWork>,
    /// What else goes on.
    pub conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    summary: String,
    blocks: usize,
    routes: Vec<String>,
    work: Vec<FileWork>,
    condition: Vec<FileCondition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWork {
    strategy: Strategy,
    requests: Option<u64>,
    duration_s: Option<f64>,
    warmup_s: Option<f64>,
    concurrency: Option<usize>,
    rate: Option<f64>,
    arrival: Option<Arrival>,
    /// Its own routes, in place of the profile's.
    routes: Option<Vec<String>>,
    /// Only with one process and without interference.
    #[serde(default)]
    alone: bool,
}

impl FileWork {
    fn planned(mut self, targets: &[String]) -> Result<PlannedWork, String> {
        let targets = match self.routes.take() {
            Some(routes) if routes.is_empty() => return Err(format!("{}: give routes", self.strategy)),
            Some(routes) => resolve(&routes)?,
            None => targets.to_vec(),
        };
        Ok(PlannedWork { alone: self.alone, targets, work: self.work()? })
    }

    fn work(self) -> Result<Work, String> {
        let time = |seconds: f64| {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("{seconds}: give a time in seconds"))
        };
        let amount = match (self.requests, self.duration_s) {
            (Some(requests), None) if self.warmup_s.is_none() => Amount::Requests(requests),
            (None, Some(duration)) => {
                Amount::Time { warmup: self.warmup_s.map_or(Ok(WARMUP), time)?, duration: time(duration)? }
            }
            _ => return Err(format!("{}: give either requests or duration_s", self.strategy)),
        };
        if self.arrival.is_some() && self.rate.is_none() {
            return Err(format!("{}: an arrival has no effect without a rate", self.strategy));
        }
        let work = Work {
            strategy: self.strategy,
            amount,
            concurrency: self.concurrency,
            rate: self.rate,
            arrival: self.arrival.unwrap_or_default(),
        };
        work.check().map(|()| work)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCondition {
    #[serde(default = "one")]
    processes: usize,
    interfere: Option<String>,
}

fn resolve(routes: &[String]) -> Result<Vec<String>, String> {
    routes.iter().map(|route| contract::route::target(route)).collect()
}

fn one() -> usize {
    1
}

/// The profile of this name.
///
/// # Errors
/// An unknown name, or a file that is wrong.
pub fn find(root: &Path, name: &str) -> Result<Profile> {
    let all = all(root)?;
    suggest::find("profile", name, &all, |profile| &profile.name).cloned()
}

/// Every profile, by name.
///
/// # Errors
/// The folder or a file cannot be read, or a file is wrong.
pub fn all(root: &Path) -> Result<Vec<Profile>> {
    let folder = root.join("harness/profiles");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Profile> {
    let text = fs::read_to_string(path)?;
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    parse(name, &text).map_err(|problem| usage!("{}: {problem}", path.display()))
}

fn parse(name: &str, text: &str) -> Result<Profile, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    let targets = resolve(&file.routes)?;
    let conditions = file
        .condition
        .into_iter()
        .map(|condition| {
            let interference = condition.interfere.map(|spec| spec.parse::<Interference>()).transpose()?;
            interference.as_ref().map_or(Ok(()), Interference::check)?;
            Ok(Condition { processes: condition.processes, interference })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let work = file.work.into_iter().map(|work| work.planned(&targets)).collect::<Result<Vec<_>, _>>()?;
    if work.iter().any(|planned| planned.alone) && !conditions.contains(&Condition::plain()) {
        return Err("work that is alone needs a condition of one process without interference".into());
    }
    if file.blocks == 0 || work.is_empty() || conditions.is_empty() || file.routes.is_empty() {
        return Err("blocks, routes, work and condition must not be empty".into());
    }
    Ok(Profile {
        name: name.to_owned(),
        summary: file.summary,
        blocks: file.blocks,
        targets,
        work,
        conditions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_profile_is_the_article_s() {
        let profile = find(&crate::experiment::root::find().expect("a clone"), "seed").expect("valid");
        assert_eq!(profile.blocks, 5);
        assert_eq!(profile.conditions.len(), 3);
        assert_eq!(profile.targets.len() * profile.work.len(), 10);
    }

    #[test]
    fn every_profile_is_valid_and_the_default_exists() {
        let names: Vec<String> = all(&crate::experiment::root::find().expect("a clone"))
            .expect("valid")
            .into_iter()
            .map(|p| p.name)
            .collect();
        assert!(names.iter().any(|name| name == DEFAULT));
    }

    #[test]
    fn unknown_fields_and_wrong_routes_are_refused() {
        let good = "summary = ''\nblocks = 1\nroutes = ['wait']\n[[work]]\nstrategy = 'async'\nrequests = 1\n[[condition]]\n";
        assert!(parse("x", good).is_ok());
        assert!(parse("x", &good.replace("wait", "wiat")).expect_err("route").contains("no such path"));
        assert!(parse("x", &good.replace("blocks", "block")).expect_err("field").contains("unknown field"));
        assert!(parse("x", &good.replace("requests = 1", "requests = 0")).is_err());
        let alone = good.replace("requests = 1", "requests = 1\nalone = true\nroutes = ['plaintext']");
        let work = &parse("x", &alone).expect("valid").work[0];
        assert!(work.alone && work.targets == ["/plaintext"]);
        let disturbed = alone.replace("[[condition]]", "[[condition]]\nprocesses = 2");
        assert!(parse("x", &disturbed).expect_err("never run").contains("alone"));
        assert!(parse("x", &alone.replace("'plaintext'", "")).expect_err("none").contains("give routes"));
    }
}
