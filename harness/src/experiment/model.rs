//! An experiment: a question, and the workloads that answer it.

use super::quantity::Known;
use super::search::SearchSpec;
use super::workload::{Part, Workload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// More blocks than that are a slip of the finger.
pub const MAX_BLOCKS: usize = 1000;

/// A question, and the workloads that answer it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Experiment {
    /// The file's name without `.toml`.
    pub name: String,
    /// What is asked.
    pub question: String,
    /// Where people ask it.
    pub asked_in: Vec<String>,
    /// What was expected before anything was measured.
    pub prediction: String,
    /// How often every cell is run.
    pub blocks: usize,
    /// Which CPUs the server and the client get, unless the command line says else.
    #[serde(default)]
    pub placement: Placement,
    /// The names of its factors, in the order of the file.
    pub factors: Vec<String>,
    /// The figures that answer the question: columns of `cells.csv`, each with its load before a point where
    /// there are several, as in `probe.response_p50_us`.
    pub figures: Vec<String>,
    /// The servers that it is not about, each with the reason. Whoever names one gets it.
    #[serde(default)]
    pub without: BTreeMap<String, String>,
    /// What is compared within a group.
    pub compare: Compare,
    /// Every scenario at every level of its factors.
    pub workloads: Vec<Planned>,
    /// The searches whose results the workloads use.
    pub searches: Vec<SearchSpec>,
}

impl Experiment {
    /// Refuses an experiment that comes of no file: one that somebody has changed where a run keeps it.
    ///
    /// # Errors
    /// One line about the first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_BLOCKS).contains(&self.blocks) {
            return Err(format!("blocks: give a number from 1 to {MAX_BLOCKS}"));
        }
        if self.workloads.is_empty() {
            return Err("there is nothing to measure".into());
        }
        for (place, planned) in self.workloads.iter().enumerate() {
            let wrong = |what: String| format!("workload {}: {what}", place + 1);
            planned.workload.check().map_err(wrong)?;
            if planned.base >= self.workloads.len() {
                return Err(wrong(format!("there is no workload {} to compare it with", planned.base)));
            }
            if let Some(search) = planned.search.filter(|search| *search >= self.searches.len()) {
                return Err(wrong(format!("there is no search {search}")));
            }
        }
        for search in &self.searches {
            search.check().and_then(|()| search.workload.check()).map_err(|what| format!("search.{what}"))?;
        }
        Ok(())
    }

    /// The most connections that the clients of one workload open, as far as that is known before a server
    /// runs.
    pub fn most_connections(&self) -> usize {
        let of = |workload: &Workload| -> usize {
            let loads = 0..workload.loads.len();
            let known = loads.filter_map(|load| workload.load(load, &Known::SAMPLE).ok().flatten());
            known.map(|load| load.in_flight()).sum()
        };
        self.workloads.iter().map(|planned| of(&planned.workload)).max().unwrap_or(0)
    }
}

/// Which CPUs the server and the client get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// Split for the load engine's strategies where there are two CPUs or more, shared otherwise.
    #[default]
    Auto,
    /// The server and the client on CPUs of their own.
    Split,
    /// Both on all CPUs.
    Shared,
}

/// A workload of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// What happens to the server.
    pub workload: Workload,
    /// The same at the baseline of the compared factor, by its place in the experiment; its own place
    /// where servers are compared.
    pub base: usize,
    /// The search, by its place, whose result is its `knee`.
    pub search: Option<usize>,
    /// The one figure that it is for: a column that servers are compared by. `None` for the usual one.
    #[serde(default)]
    pub figure: Option<String>,
}

/// The axis in which the cells of a group differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// Servers on the same workload.
    #[default]
    Servers,
    /// Levels of a factor on the same server, each against the baseline.
    Factor {
        /// Its name.
        name: String,
        /// The level that the others are compared with, as written.
        baseline: String,
    },
    /// Phases of the same server, each against one of them.
    Phases {
        /// The name of the phase that the others are compared with.
        baseline: String,
    },
}

impl Compare {
    /// The part of its group's `base` that a part is compared with.
    pub fn base_part(&self, base: &Workload, part: Part) -> Part {
        let phases = |name: &str| base.phases.iter().filter(|p| p.measured).position(|p| p.name == name);
        match self {
            Compare::Servers | Compare::Factor { .. } => part,
            Compare::Phases { baseline } => Part { phase: phases(baseline).unwrap_or(part.phase), ..part },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    /// An experiment of the project, changed where a run keeps it.
    fn changed(name: &str, change: impl FnOnce(&mut Experiment)) -> Result<(), String> {
        let mut experiment = file::find(name).expect("one of the project's");
        change(&mut experiment);
        experiment.check()
    }

    #[test]
    fn every_experiment_of_the_project_is_whole() {
        for experiment in file::all().expect("valid") {
            assert_eq!(experiment.check(), Ok(()), "{}", experiment.name);
        }
    }

    #[test]
    fn what_no_file_can_have_said_is_refused() {
        let refused = |change: fn(&mut Experiment)| changed("cost", change).expect_err("no file says so");
        assert!(refused(|e| e.blocks = 0).contains("blocks"));
        assert!(refused(|e| e.blocks = usize::MAX).contains("blocks"));
        assert!(refused(|e| e.workloads.clear()).contains("nothing to measure"));
        assert!(refused(|e| e.workloads[0].base = 1000).contains("workload 1: there is no workload 1000"));
        assert!(refused(|e| e.workloads[0].search = Some(9)).contains("there is no search 9"));
        assert!(refused(|e| e.workloads[0].workload.loads.clear()).contains("no load is measured"));
        let none = |e: &mut Experiment| e.searches.iter_mut().for_each(|search| search.trials = 2);
        assert!(changed("burst", none).expect_err("no majority").contains("trials"));
    }
}
