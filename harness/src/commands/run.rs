//! `harness [run]`: build, verify, measure, write down, show.

use crate::catalog::ServerDef;
use crate::cli::RunArgs;
use crate::commands::program;
use crate::commands::verify::replay;
use crate::exit::{Exit, usage};
use crate::interrupt::Interrupt;
use crate::outcome::analysis::{Analysis, PAIRS};
use crate::outcome::directory::{CELLS, Directory, RUN, SUMMARY};
use crate::outcome::machine::{self, Build, Machine};
use crate::outcome::row::Row;
use crate::plan::{self, Cell};
use crate::process::server::{Server, StartOptions};
use crate::replicate::{self, Setting};
use crate::report::progress::{Progress, article_line};
use crate::report::tables::{self, By, Format};
use crate::root;
use crate::selection::{self, Selection};
use crate::subject::{Managed, Subject, parse_url, probe_running};
use crate::verify::Level;
use anyhow::{Context as _, Result};
use contract::ready::ReadyLine;
use jiff::Timestamp;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one request may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Files a client needs besides its connections.
const SPARE_FILES: u64 = 64;

/// Runs it.
///
/// # Errors
/// The command line is wrong, or the environment failed before anything could be measured.
pub fn run(args: &RunArgs) -> Result<Exit> {
    let root = root::find()?;
    let selection = selection::select(&root, args)?;
    if let Some(url) = &args.url {
        parse_url(url)?;
    }
    let started = Timestamp::now();
    let directory = match &args.out {
        Some(out) if out.exists() => {
            return Err(usage!("{} exists already: results are never overwritten", out.display()));
        }
        Some(out) => out.clone(),
        None => root.join("results").join(format!(
            "{}-{}-{}",
            started.strftime("%Y%m%dT%H%M%SZ"),
            machine::host(),
            selection.profile
        )),
    };
    raise_file_limit(&selection)?;
    let interrupt = Interrupt::listen()?;
    let mut run = Run::prepare(&root, args, selection, &directory, started)?;
    interrupt.measuring();
    let broken = run.measure(&interrupt)?;
    run.finish(broken, interrupt.is_requested())
}

/// A connection is a file: lets this process and its children open as many as the selection needs.
fn raise_file_limit(selection: &Selection) -> Result<()> {
    let connections = selection.work.iter().map(plan::Work::in_flight).max().unwrap_or(0) as u64;
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

/// A run, from its preparation to its tables.
struct Run {
    selection: Selection,
    subjects: Vec<Subject>,
    cells: Vec<Cell>,
    setting: Setting,
    directory: Directory,
    record: Record,
    progress: Progress,
    rows: Vec<Row>,
}

/// `run.json`.
#[derive(Serialize)]
struct Record {
    schema_version: u32,
    run_id: String,
    profile: String,
    arguments: Vec<String>,
    seed: u64,
    blocks: usize,
    cells: usize,
    started_at: String,
    ended_at: Option<String>,
    interrupted: bool,
    machine: Machine,
    build: Build,
    servers: BTreeMap<String, ServerRecord>,
}

/// A server in `run.json`.
#[derive(Default, Serialize)]
struct ServerRecord {
    status: Option<&'static str>,
    binary_sha256: Option<String>,
    ready_line: Option<ReadyLine>,
    /// How many declared deviations it has, which `harness verify` has checked the short form of.
    declared_deviations: usize,
    refused: Option<String>,
    /// For `--url`: what was taken for a right answer.
    expected: Option<String>,
}

impl Run {
    /// Builds and verifies the servers, and makes the run's directory.
    fn prepare(
        root: &Path,
        args: &RunArgs,
        selection: Selection,
        path: &Path,
        started: Timestamp,
    ) -> Result<Run> {
        let timeout = args.timeout.unwrap_or(TIMEOUT);
        let start = StartOptions {
            workers: args.workers,
            blocking_threads: args.blocking_threads,
            extra: Vec::new(),
        };
        let progress = Progress::new(selection.servers.len(), args.quiet);
        for line in &selection.left_out {
            progress.warn(&format!("note: {line}"));
        }
        let mut servers = BTreeMap::new();
        let (subjects, cells) = match &args.url {
            Some(url) => {
                let running = probe_running(url, timeout)?;
                servers.insert(
                    running.name.clone(),
                    ServerRecord { expected: Some(format!("{:?}", running.expect)), ..Default::default() },
                );
                let conditions = &selection.conditions;
                let cells = selection.work.iter().flat_map(|work| {
                    conditions.iter().map(|condition| Cell {
                        server: 0,
                        target: running.target.clone(),
                        work: work.clone(),
                        condition: condition.clone(),
                    })
                });
                let cells = cells.collect();
                (vec![Subject::Running(running)], cells)
            }
            None => {
                let mut subjects = Vec::new();
                for def in &selection.servers {
                    let (managed, record) = prepare_server(root, def, &start, &progress);
                    if let Some(reason) = &managed.refused {
                        progress.warn(&format!("error: {} is not measured: {reason}", def.name));
                    }
                    servers.insert(def.name.clone(), record);
                    subjects.push(Subject::Managed(Box::new(managed)));
                    progress.step();
                }
                no_effect_on_any(args, &servers)?;
                let cells = plan::cells(
                    &selection.servers,
                    &selection.targets,
                    &selection.work,
                    &selection.conditions,
                );
                (subjects, cells)
            }
        };
        progress.finish();
        let directory = Directory::create(path)?;
        let run_id = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let record = Record {
            schema_version: crate::outcome::row::SCHEMA_VERSION,
            run_id: run_id.clone(),
            profile: selection.profile.clone(),
            arguments: std::env::args().skip(1).collect(),
            seed: selection.seed,
            blocks: selection.blocks,
            cells: cells.len(),
            started_at: started.to_string(),
            ended_at: None,
            interrupted: false,
            machine: Machine::read(),
            build: Build::read(root),
            servers,
        };
        directory.write_run(&record)?;
        let driver = args.driver.unwrap_or_default();
        let setting = Setting { run_id, seed: selection.seed, timeout, start, driver };
        let progress = Progress::new(cells.len() * selection.blocks, args.quiet);
        Ok(Run { selection, subjects, cells, setting, directory, record, progress, rows: Vec::new() })
    }

    /// Runs every block. Says how bad the worst replicate was.
    fn measure(&mut self, interrupt: &Interrupt) -> Result<Exit> {
        let mut worst = Exit::Done;
        let seed = self.selection.seed;
        'run: for block in 1..=self.selection.blocks {
            for (index, cell) in plan::order(self.cells.len(), block, seed).into_iter().enumerate() {
                if interrupt.is_requested() {
                    break 'run;
                }
                let cell = &self.cells[cell];
                let subject = &self.subjects[cell.server];
                self.progress.doing(&format!("{} {} {}", subject.name(), cell.target, cell.work.strategy));
                let outcome = replicate::run(&self.setting, subject, cell, block, index + 1);
                if let Err(error) = self.directory.append(&outcome.row) {
                    self.progress.finish();
                    return Err(error);
                }
                self.progress.line(&article_line(&outcome.row, &outcome.url));
                self.progress.step();
                worst = worst.max(match (outcome.broken, outcome.row.error.is_empty()) {
                    (true, _) => Exit::Failed,
                    (false, false) => Exit::Invalid,
                    (false, true) => Exit::Done,
                });
                self.rows.push(outcome.row);
            }
        }
        self.progress.finish();
        Ok(worst)
    }

    /// Writes the summary, shows the tables and names the files.
    fn finish(mut self, worst: Exit, interrupted: bool) -> Result<Exit> {
        let analysis = Analysis::of(&self.rows);
        self.directory.write_summary(&analysis.summaries)?;
        analysis.write_pairs(self.directory.path())?;
        self.record.ended_at = Some(Timestamp::now().to_string());
        self.record.interrupted = interrupted;
        self.directory.write_run(&self.record)?;
        self.progress.line("");
        self.progress.line(&tables::render(&analysis.summaries, By::Server, Format::Table));
        for alarm in analysis.alarms() {
            self.progress.warn(&alarm);
        }
        let failed = self.rows.iter().filter(|row| !row.error.is_empty()).count();
        if failed > 0 {
            self.progress.warn(&format!(
                "error: {failed} of {} rows have an error; the column 'error' says what happened",
                self.rows.len()
            ));
        }
        for file in [CELLS, SUMMARY, PAIRS, RUN] {
            println!("wrote {}", self.directory.path().join(file).display());
        }
        Ok(if interrupted { Exit::Interrupted } else { worst })
    }
}

/// Builds a server, starts it once and checks the contract's short form. What is wrong refuses it.
fn prepare_server(
    root: &Path,
    def: &ServerDef,
    start: &StartOptions,
    progress: &Progress,
) -> (Managed, ServerRecord) {
    let mut managed = Managed { def: def.clone(), program: None, refused: None };
    let mut record = ServerRecord {
        status: Some(def.status.name()),
        declared_deviations: def.deviations.len(),
        ..ServerRecord::default()
    };
    progress.doing(&format!("building {}", def.name));
    match program(root, def) {
        Ok(program) => managed.program = program,
        Err(error) => managed.refused = Some(format!("{error:#}")),
    }
    record.binary_sha256 = managed.program.as_ref().and_then(|program| machine::sha256(program));
    if managed.refused.is_none() {
        progress.doing(&format!("verifying {}", def.name));
        managed.refused = check_server(def, managed.program.as_ref(), start, &mut record).err();
    }
    record.refused = managed.refused.clone();
    (managed, record)
}

fn check_server(
    def: &ServerDef,
    program: Option<&PathBuf>,
    start: &StartOptions,
    record: &mut ServerRecord,
) -> Result<(), String> {
    let server = Server::start(def, program, 1, start)?;
    record.ready_line = server.ready().cloned();
    let level = if def.answers_byte_for_byte() { Level::Short } else { Level::Replies };
    let verdict = replay(server.addr, level, def);
    // How it stops is a matter of every row's, and no reason not to measure it.
    _ = server.stop(false);
    match verdict {
        Err(error) => Err(format!("verify failed: {error:#}")),
        Ok(verdict) if verdict.is_ok() => Ok(()),
        Ok(verdict) => {
            let first = verdict.to_string().lines().next().unwrap_or_default().to_owned();
            Err(format!("verify failed: {first} (harness verify --server {} shows all)", def.name))
        }
    }
}

/// A number that no selected server runs with was given in vain.
fn no_effect_on_any(args: &RunArgs, servers: &BTreeMap<String, ServerRecord>) -> Result<()> {
    let ready: Vec<&ReadyLine> = servers.values().filter_map(|server| server.ready_line.as_ref()).collect();
    let in_vain = |given: Option<usize>, of: fn(&ReadyLine) -> Option<usize>| {
        given.is_some() && !ready.is_empty() && ready.iter().all(|line| of(line) != given)
    };
    if in_vain(args.workers, |line| line.worker_threads) {
        return Err(usage!("--workers has no effect on any of the selected servers"));
    }
    if in_vain(args.blocking_threads, |line| line.blocking_threads) {
        return Err(usage!("--blocking-threads has no effect on any of the selected servers"));
    }
    Ok(())
}
