//! `run.json`: the circumstances of a run, and all that is needed to continue it.

use super::hosts::HostRecord;
use crate::analysis::until::Until;
use crate::exit::usage;
use crate::experiment::blocks_of::BlocksOf;
use crate::experiment::catalog::Catalog;
use crate::experiment::model::Experiment;
use crate::experiment::request::Request;
use crate::experiment::selection::Selection;
use crate::experiment::server::{Origin, Processes, ServerDef};
use crate::host::machine::{self, Build, Machine};
use anyhow::{Result, anyhow};
use contract::ready::ReadyLine;
use serde::{Deserialize, Serialize};
use stats::difference::ALPHA;
use std::collections::BTreeMap;
use std::path::Path;

/// `run.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunFile {
    pub(super) schema_version: u32,
    pub(super) run_id: String,
    pub(super) experiment: String,
    pub(super) arguments: Vec<String>,
    pub(super) seed: u64,
    /// Of a run that goes on until it has decided: those up to its next look.
    pub(super) blocks: usize,
    /// For `--until`: how long it goes on, and what it has looked at.
    #[serde(default)]
    pub(super) until: Option<Until>,
    /// Rows in a block that nothing disturbs: ceilings, and everything else.
    pub(super) ceilings: usize,
    pub(super) cells: usize,
    /// When the servers were built and checked, and measuring began.
    pub(super) started_at: String,
    pub(super) resumed_at: Vec<String>,
    pub(super) ended_at: Option<String>,
    pub(super) interrupted: bool,
    /// Attempts of a group or a ceiling that were run again because the host was noisy.
    pub(super) voided_attempts: usize,
    /// One line for each control that differs from its server: there should be none.
    #[serde(default)]
    pub(super) alarms: Vec<String>,
    /// Time that went into judging, recording and summing up, in seconds.
    #[serde(default)]
    pub(super) bookkeeping_s: f64,
    /// How long servers that take turns were found to need before each slice, in seconds, by what took turns.
    #[serde(default)]
    pub(super) lead_ins_s: BTreeMap<String, f64>,
    /// The server that also runs as the control.
    pub(super) control: Option<String>,
    /// The server that shows what the client can do at the most.
    pub(super) ceiling: Option<String>,
    /// The servers that were selected, in the order that the seed shuffles.
    pub(super) selected: Vec<String>,
    /// What was asked for.
    pub(super) request: Request,
    /// The experiment as it was run: whoever changes its file does not change the run.
    pub(super) measured: Experiment,
    /// The machine; of several hosts that of the server.
    pub(super) machine: Machine,
    /// Of a run over several hosts: each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) hosts: Vec<HostRecord>,
    /// Of a run that `harness merge` has joined: its parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<PartRecord>,
    pub(super) build: Build,
    pub(super) servers: BTreeMap<String, ServerRecord>,
}

/// A part of a run that was joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PartRecord {
    pub(super) run_id: String,
    pub(super) blocks_of: BlocksOf,
    pub(super) started_at: String,
    pub(super) ended_at: Option<String>,
    pub(super) machine: Machine,
}

impl PartRecord {
    pub(super) fn of(file: &RunFile) -> PartRecord {
        PartRecord {
            run_id: file.run_id.clone(),
            blocks_of: file.request.blocks_of.unwrap_or_default(),
            started_at: file.started_at.clone(),
            ended_at: file.ended_at.clone(),
            machine: file.machine.clone(),
        }
    }
}

/// A server in `run.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ServerRecord {
    pub(super) status: Option<String>,
    /// The package or the command line, and the server's own arguments.
    pub(super) started_as: Vec<String>,
    pub(super) binary_sha256: Option<String>,
    /// The crates whose version differs from the checkout's, as `async-io 2.6.0 -> 2.4.0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) differs: Vec<String>,
    pub(super) ready_line: Option<ReadyLine>,
    /// How many declared deviations it has, which `harness verify` has checked the short form of.
    pub(super) declared_deviations: usize,
    pub(super) has: Vec<String>,
    pub(super) can_be_several_processes: bool,
    pub(super) refused: Option<String>,
    /// For `--url`: what was taken for a right answer.
    pub(super) expected: Option<String>,
}

impl ServerRecord {
    pub(super) fn of(def: &ServerDef) -> ServerRecord {
        let mut started_as = match &def.origin {
            Origin::Package(package) => vec![package.name.clone()],
            Origin::Command(words) => words.clone(),
        };
        started_as.extend(def.args.iter().cloned());
        ServerRecord {
            status: Some(def.status.name().to_owned()),
            started_as,
            declared_deviations: def.deviations.len(),
            has: def.has.clone(),
            can_be_several_processes: def.processes != Processes::One,
            ..ServerRecord::default()
        }
    }

    /// In what it differs from what it is now, if in anything that a figure depends on.
    fn difference(&self, is: &ServerRecord) -> Option<&'static str> {
        let ready = |record: &ServerRecord| {
            let line = record.ready_line.as_ref()?;
            // Where it listens and which process it is differs every time.
            Some(ReadyLine { addr: ([0, 0, 0, 0], 0).into(), pid: 0, ..line.clone() })
        };
        let set_up = |record: &ServerRecord| {
            (record.started_as.clone(), record.has.clone(), record.can_be_several_processes)
        };
        [
            ("program", self.binary_sha256 != is.binary_sha256),
            ("manifest", set_up(self) != set_up(is)),
            ("ready line", ready(self) != ready(is)),
            ("answer", self.expected != is.expected),
            ("being refused", self.refused.is_some() != is.refused.is_some()),
        ]
        .into_iter()
        .find_map(|(what, differs)| differs.then_some(what))
    }

    /// The same for a server on another machine, whose threads are that machine's business.
    fn difference_in_build(&self, is: &ServerRecord) -> Option<&'static str> {
        let without_threads = |record: &ServerRecord| {
            let mut record = record.clone();
            if let Some(line) = &mut record.ready_line {
                (line.worker_threads, line.blocking_threads) = (None, None);
            }
            record
        };
        without_threads(self).difference(&without_threads(is))
    }
}

impl RunFile {
    /// The error rate that statements on the run keep.
    pub(super) fn alpha(&self) -> f64 {
        self.until.as_ref().map_or(ALPHA, |until| until.alpha)
    }

    /// What was selected.
    ///
    /// # Errors
    /// A server is no longer there.
    pub(super) fn selection(&self, root: Option<&Path>) -> Result<Selection> {
        let catalog = Catalog::read(root, &self.request.manifest)?;
        let find = |name: &String| -> Result<ServerDef> {
            let server = catalog.find(name)?;
            match server.missing() {
                Some(missing) => Err(usage!("{name} is {missing}")),
                None => Ok(server),
            }
        };
        Ok(Selection {
            request: self.request.clone(),
            experiment: self.measured.clone(),
            servers: self.selected.iter().map(find).collect::<Result<_>>()?,
            left_out: Vec::new(),
            ceiling: self.ceiling.as_ref().map(find).transpose()?,
            seed: self.seed,
        })
    }

    /// In what another part of the same run differs that must be the same in all parts, if in anything.
    pub(super) fn difference(&self, other: &RunFile) -> Option<String> {
        let parts = |file: &RunFile| file.request.blocks_of.map(|part| part.of);
        // The parts may have been asked for with other words, and the experiment is what came of them.
        let measured = |file: &RunFile| serde_json::to_value(&file.measured).ok();
        let asked = |file: &RunFile| {
            let Request { workers, blocking_threads, timeout, driver, .. } = file.request.clone();
            (workers, blocking_threads, timeout, driver)
        };
        let what = [
            ("the seed", self.seed != other.seed),
            ("the number of parts", parts(self) != parts(other)),
            ("the experiment", measured(self) != measured(other)),
            ("the options of servers and clients", asked(self) != asked(other)),
            ("the harness", self.build.is_another(&other.build)),
            ("the control", self.control != other.control),
            ("the ceiling", self.ceiling != other.ceiling),
            ("the servers", self.selected != other.selected),
        ];
        let what = what.into_iter().find_map(|(what, differs)| differs.then(|| what.to_owned()));
        what.or_else(|| {
            self.servers.iter().find_map(|(name, was)| {
                Some(format!("the {} of {name}", was.difference_in_build(other.servers.get(name)?)?))
            })
        })
    }

    /// Refuses to go on where the figures would not be of the same things.
    ///
    /// # Errors
    /// One line that says in what they differ.
    pub(super) fn check_same(&self, now: &RunFile) -> Result<()> {
        if self.build.is_another(&now.build) {
            return Err(usage!(
                "cannot continue {}: the harness is another build, and results of two builds do not mix",
                self.run_id
            ));
        }
        if let Some(difference) = machine::differing(&self.machine, &now.machine) {
            return Err(usage!("cannot continue {} on another machine: {difference}", self.run_id));
        }
        if self.hosts != now.hosts {
            return Err(usage!("cannot continue {}: its hosts are others", self.run_id));
        }
        for (name, was) in &self.servers {
            // A ceiling that could not be built has no rows.
            let Some(is) = now.servers.get(name) else { continue };
            if let (None, Some(reason)) = (&was.refused, &is.refused) {
                return Err(anyhow!("cannot continue {}: {name} is not measured now: {reason}", self.run_id));
            }
            if let Some(what) = was.difference(is) {
                return Err(usage!(
                    "cannot continue {}: {name} differs in its {what}, and results of two builds do not mix",
                    self.run_id
                ));
            }
        }
        Ok(())
    }
}
