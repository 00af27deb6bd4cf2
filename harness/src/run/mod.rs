//! One run, from its plan to its rows: build, verify, measure, write down, show. Or go on where a run ended
//! early.

pub mod accounts;
pub mod build;
mod cargo;
mod clock;
pub mod facts;
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

use crate::agent::handles::Agent;
use crate::agent::placement::{Asked, Placing};
use crate::analysis::map::check_figures;
use crate::exit::{Exit, usage};
use crate::experiment::model::Placement;
use crate::experiment::request::Request;
use crate::experiment::root;
use crate::experiment::selection::{self, Selection};
use crate::host::machine;
use crate::record::directory::{Directory, RUN, read_run};
use crate::report::progress::Shown;
use anyhow::{Result, anyhow};
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
    let selection = selection::select(root, &Request { server, ..request.clone() })?;
    until::check(&selection)?;
    check_figures(&selection.experiment)?;
    // What is wrong with the host is said before anything is built.
    let host = host(&selection)?;
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
    let interrupt = Interrupt::listen()?;
    let run_id = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let prepared = prepare(root, &selection, host, run_id, None, shown)?;
    let directory = Directory::create(&path, &selection.experiment.factors)?;
    // Before the first row: whatever ends the run, it can be continued.
    directory.write_run(&prepared.file)?;
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
    let host = host(&selection)?;
    let interrupt = Interrupt::listen()?;
    // Before anything is built: nobody else may be writing there.
    let (directory, rows) = Directory::reopen(path, &selection.experiment.factors)?;
    let mut prepared = prepare(root, &selection, host, file.run_id.clone(), Some(&file), shown)?;
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

/// Starts the agent, and says which CPUs everybody gets.
fn host(selection: &Selection) -> Result<(Agent, Placing)> {
    let agent = Agent::local().map_err(|problem| anyhow!("{problem}"))?;
    let placing = placing(selection, &agent)?;
    check_file_limit(selection, agent.hello().open_files)?;
    Ok((agent, placing))
}

fn placing(selection: &Selection, agent: &Agent) -> Result<Placing> {
    let request = &selection.request;
    let asked = Asked {
        placement: match request.placement {
            Placement::Auto => selection.experiment.placement,
            given => given,
        },
        server: request.server_cpus.clone(),
        client: request.client_cpus.clone(),
        running: request.url.is_some(),
    };
    let has_engine = selection.experiment.workloads.iter().any(|planned| planned.workload.is_engine());
    Placing::new(agent.hello().cores.clone(), asked, has_engine).map_err(|problem| usage!("{problem}"))
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
