//! `harness [run]`: build, verify, measure, write down, show. Or go on where a run ended early.

mod measure;
mod prepare;
mod record;

use crate::cli::RunArgs;
use crate::exit::{Exit, usage};
use crate::interrupt::Interrupt;
use crate::load::Strategy;
use crate::outcome::directory::{Directory, read_run};
use crate::outcome::machine;
use crate::process::cpus::Cpus;
use crate::process::placement::{Asked, Placing};
use crate::root;
use crate::selection::{self, Selection};
use crate::subject::parse_url;
use anyhow::{Context as _, Result};
use jiff::Timestamp;
use measure::Run;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use prepare::prepare;
use record::Record;
use std::path::Path;

/// Files a client needs besides its connections.
const SPARE_FILES: u64 = 64;

/// Runs it.
///
/// # Errors
/// The command line is wrong, or the environment failed before anything could be measured.
pub fn run(args: &RunArgs) -> Result<Exit> {
    let root = root::find()?;
    let (interrupt, run) = match &args.resume {
        Some(directory) => resume(&root, args, directory)?,
        None => begin(&root, args)?,
    };
    run.complete(&interrupt)
}

fn begin(root: &Path, args: &RunArgs) -> Result<(Interrupt, Run)> {
    let selection = selection::select(root, args)?;
    if let Some(url) = &args.url {
        parse_url(url)?;
    }
    // What is wrong with the CPUs is said before anything is built.
    let placing = placing(&selection)?;
    let path = match &args.out {
        Some(out) if out.exists() => {
            return Err(usage!("{} exists already: results are never overwritten", out.display()));
        }
        Some(out) => out.clone(),
        None => root.join("results").join(format!(
            "{}-{}-{}",
            Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
            machine::host(),
            selection.profile
        )),
    };
    raise_file_limit(&selection)?;
    let interrupt = Interrupt::listen()?;
    let run_id = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let prepared = prepare(root, &selection, placing, run_id, None, args.quiet)?;
    let directory = Directory::create(&path)?;
    // Before the first row: whatever ends the run, it can be continued.
    directory.write_run(&prepared.record)?;
    interrupt.measuring();
    Ok((interrupt, Run::new(prepared, directory, args.quiet)))
}

fn resume(root: &Path, args: &RunArgs, path: &Path) -> Result<(Interrupt, Run)> {
    selection::no_effect_with_resume(args)?;
    let mut record: Record = read_run(path)?;
    if record.ended_at.is_some() && !record.interrupted {
        return Err(usage!("{} is complete: there is nothing to resume", path.display()));
    }
    let selection = record.selection(root)?;
    let placing = placing(&selection)?;
    raise_file_limit(&selection)?;
    let interrupt = Interrupt::listen()?;
    // Before anything is built: nobody else may be writing there.
    let (directory, rows) = Directory::reopen(path)?;
    let mut prepared = prepare(root, &selection, placing, record.run_id.clone(), Some(&record), args.quiet)?;
    record.check_same(&prepared.record)?;
    record.resumed_at.push(Timestamp::now().to_string());
    (record.ended_at, record.interrupted) = (None, false);
    prepared.record = record;
    let mut run = Run::new(prepared, directory, args.quiet);
    run.replay(rows)?;
    run.write_record()?;
    interrupt.measuring();
    Ok((interrupt, run))
}

/// Which CPUs everybody gets.
fn placing(selection: &Selection) -> Result<Placing> {
    let options = &selection.options;
    let cpus = |cpus: &Option<Vec<usize>>| cpus.clone().map(Cpus::new);
    let asked = Asked {
        placement: options.placement,
        server: cpus(&options.server_cpus),
        client: cpus(&options.client_cpus),
        running: options.url.is_some(),
    };
    let strategies: Vec<Strategy> = selection.work.iter().map(|planned| planned.work.strategy).collect();
    Placing::new(asked, &strategies).map_err(|problem| usage!("{problem}"))
}

/// A connection is a file: lets this process and its children open as many as the selection needs.
fn raise_file_limit(selection: &Selection) -> Result<()> {
    let connections = selection.work.iter().map(|planned| planned.work.in_flight()).max().unwrap_or(0) as u64;
    let needed = connections + SPARE_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if needed > hard {
        return Err(usage!(
            "{connections} connections need {needed} open files, and the limit is {hard}: \
             raise it (ulimit -Hn) or give a lower --concurrency"
        ));
    }
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")?;
    }
    Ok(())
}
