//! One run, from its plan to its rows: build, verify, measure, write down, show. Or go on where a run ended
//! early.

pub mod accounts;
pub mod build;
mod cargo;
mod clock;
pub mod facts;
mod floor;
pub mod hosts;
pub mod interrupt;
mod measure;
pub mod merge;
mod prepare;
pub mod rehearsal;
pub mod releases;
pub mod replicate;
mod run_file;
pub mod scheduler;
pub mod target;
mod until;
mod workspace;

use crate::agent::placement::{Asked, Placing};
use crate::analysis::map::check_figures;
use crate::exit::{Exit, usage};
use crate::experiment::model::{Placement, Planned};
use crate::experiment::request::Request;
use crate::experiment::root;
use crate::experiment::selection::{self, Selection};
use crate::host::machine;
use crate::record::directory::{Directory, RUN, read_run};
use crate::report::progress::Shown;
use anyhow::{Result, anyhow};
use hosts::Hosts;
use interrupt::Interrupt;
use jiff::Timestamp;
use measure::Run;
use prepare::prepare;
use run_file::RunFile;
use std::path::Path;

/// Files a client needs besides its connections.
const SPARE_FILES: u64 = 64;

/// A run that is ready to be measured.
pub struct Begun {
    interrupt: Interrupt,
    run: Run,
}

impl Begun {
    /// Measures what is left, and shows what came of it.
    ///
    /// # Errors
    /// A result could not be written down.
    pub fn complete(self) -> Result<Exit> {
        self.run.complete(&self.interrupt)
    }
}

/// Builds and verifies the servers of a request, and makes the run's directory: `out`, or one below [`root::results`].
///
/// # Errors
/// The request is wrong, or the environment failed before anything could be measured.
pub fn begin(root: Option<&Path>, request: &Request, out: Option<&Path>, shown: Shown) -> Result<Begun> {
    let server = releases::written_out(root, &request.manifest, &request.server)?;
    let mut selection = selection::select(root, &Request { server, ..request.clone() })?;
    until::check(&selection)?;
    check_figures(&selection.experiment)?;
    let path = match out {
        Some(out) if out.exists() => {
            return Err(usage!("{} exists already: results are never overwritten", out.display()));
        }
        Some(out) => out.to_path_buf(),
        None => root::results().join(format!(
            "{}-{}-{}",
            Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
            machine::host(),
            selection.experiment.name
        )),
    };
    // What is wrong with the hosts is said before anything is built.
    let hosts = hosts(&selection)?;
    share(&mut selection, hosts.0.clients().len())?;
    let interrupt = Interrupt::listen()?;
    let run_id = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let prepared = prepare(root, &selection, hosts, run_id, None, shown)?;
    let directory = Directory::begin(&path, &selection.experiment.factors, &prepared.file)?;
    interrupt.measuring();
    Ok(Begun { interrupt, run: Run::new(prepared, directory, shown) })
}

/// Continues the run in the directory `path`, which was interrupted or killed.
///
/// # Errors
/// There is no such run, it is complete, or what it would measure is no longer the same.
pub fn resume(root: Option<&Path>, path: &Path, shown: Shown) -> Result<Begun> {
    let mut file = unfinished(path)?;
    let selection = file.selection(root)?;
    let hosts = hosts(&selection)?;
    let interrupt = Interrupt::listen()?;
    // Before anything is built: nobody else may be writing there.
    let (directory, rows) = Directory::reopen(path, &selection.experiment.factors)?;
    let mut prepared = prepare(root, &selection, hosts, file.run_id.clone(), Some(&file), shown)?;
    file.check_same(&prepared.file)?;
    file.resumed_at.push(Timestamp::now().to_string());
    (file.ended_at, file.interrupted) = (None, false);
    prepared.file = file;
    let mut run = Run::new(prepared, directory, shown);
    run.replay(rows)?;
    run.write_run_file()?;
    interrupt.measuring();
    Ok(Begun { interrupt, run })
}

/// The `run.json` of a run that ended early.
fn unfinished(path: &Path) -> Result<RunFile> {
    let file: RunFile = read_run(path)?;
    if file.ended_at.is_some() && !file.interrupted {
        return Err(usage!("{} is complete: there is nothing to resume", path.display()));
    }
    file.measured.check().map_err(|problem| usage!("{}: {RUN}: {problem}", path.display()))?;
    Ok(file)
}

/// Starts the agents, and says which CPUs everybody gets.
fn hosts(selection: &Selection) -> Result<(Hosts, Placing)> {
    let hosts = match &selection.request.hosts {
        Some(file) => Hosts::of(file)?,
        None => Hosts::local().map_err(|problem| anyhow!("{problem}"))?,
    };
    let placing = placing(selection, &hosts)?;
    check_file_limit(selection, hosts.open_files())?;
    Ok((hosts, placing))
}

/// Lets so many clients share every load. A slice is too short for that: then each server has its time as a whole.
fn share(selection: &mut Selection, clients: usize) -> Result<()> {
    let experiment = &mut selection.experiment;
    if clients == 1 || experiment.workloads.iter().all(|planned| planned.workload.rounds.is_none()) {
        return Ok(());
    }
    for Planned { workload, .. } in &mut experiment.workloads {
        workload.take_no_turns();
        workload.check().map_err(|problem| {
            usage!(
                "{} is measured in slices, which {clients} clients cannot share: {problem}",
                experiment.name
            )
        })?;
    }
    selection.left_out.push(format!("{clients} clients share the load, so no servers take turns in slices"));
    Ok(())
}

fn placing(selection: &Selection, hosts: &Hosts) -> Result<Placing> {
    let request = &selection.request;
    let asked = Asked {
        placement: match (request.placement, hosts.is_one()) {
            // What an experiment says is of one machine.
            (Placement::Auto, true) => selection.experiment.placement,
            (given, _) => given,
        },
        server: request.server_cpus.clone(),
        client: request.client_cpus.clone(),
        running: request.url.is_some(),
    };
    let is_engine = |planned: &Planned| planned.workload.is_engine();
    let has_engine = selection.experiment.workloads.iter().any(is_engine);
    hosts.placing(asked, has_engine).map_err(|problem| usage!("{problem}"))
}

/// A connection is a file: refuses what needs more of them than a process may have open.
fn check_file_limit(selection: &Selection, limit: u64) -> Result<()> {
    let connections = selection.experiment.most_connections() as u64;
    let needed = connections + SPARE_FILES;
    if needed > limit {
        return Err(usage!(
            "{connections} connections need {needed} open files, and the limit is {limit}: \
             raise it (ulimit -Hn) or give a lower concurrency"
        ));
    }
    Ok(())
}
