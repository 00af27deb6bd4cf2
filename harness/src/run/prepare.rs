//! Before the first row: the servers built and checked, and the plan made.

use super::build::program;
use super::hosts::Hosts;
use super::replicate::Setting;
use super::run_file::{RunFile, ServerRecord};
use super::target::{Managed, RunServer, Target, probe_running};
use crate::agent::placement::Placing;
use crate::agent::server::StartOptions;
use crate::agent::spawn::was_killed;
use crate::analysis::until::Until;
use crate::exit::usage;
use crate::experiment::model::{Experiment, Planned};
use crate::experiment::plan::{self, Cell, Plan};
use crate::experiment::search::SearchSpec;
use crate::experiment::selection::Selection;
use crate::experiment::server::{CONTROL_SUFFIX, Role, ServerDef};
use crate::host::machine::{self, Build};
use crate::record::row::SCHEMA_VERSION;
use crate::report::progress::{Progress, Shown};
use crate::verify::Level;
use anyhow::Result;
use contract::ready::ReadyLine;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What is said where nothing shows what the client can do.
const NO_CEILING: &str = "no client ceilings, so nothing says where the client is the limit: the server that shows \
                          them is built in a checkout of the project (--root DIR), or is one of --manifest";

/// A run, ready to begin.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) servers: Vec<RunServer>,
    pub(super) plan: Plan,
    pub(super) searches: Vec<SearchSpec>,
    pub(super) setting: Setting,
    pub(super) file: RunFile,
}

/// Builds and verifies the servers and makes the plan of the run `run_id`. Which server is the control, and
/// whether there are ceilings, is as in `before` for a run that is continued.
///
/// # Errors
/// The selection is of no use with these servers.
pub(super) fn prepare(
    root: Option<&Path>,
    selection: &Selection,
    (mut hosts, placing): (Hosts, Placing),
    run_id: String,
    before: Option<&RunFile>,
    shown: Shown,
) -> Result<Prepared> {
    let (request, experiment) = (&selection.request, &selection.experiment);
    let start = StartOptions {
        workers: request.workers,
        blocking_threads: request.blocking_threads,
        ip: hosts.address(),
        ..StartOptions::default()
    };
    let mut checks = Checks { root, hosts: &mut hosts, start: &start, timeout: request.timeout() };
    let progress = Progress::new(selection.servers.len() + 1, shown);
    for line in &selection.left_out {
        progress.warn(&format!("note: {line}"));
    }
    let mut records = BTreeMap::new();
    let mut servers = Vec::new();
    let mut cells = match &request.url {
        Some(url) => {
            let running =
                probe_running(&checks.hosts.server().agent, url, request.yes_it_is_mine, request.timeout())?;
            let expected = Some(format!("{:?}", running.expect));
            records.insert(running.name.clone(), ServerRecord { expected, ..ServerRecord::default() });
            let name = running.name.clone();
            servers.push(RunServer { name, role: Role::Contestant, target: Target::Running(running) });
            (0..experiment.workloads.len()).map(|workload| Cell { server: 0, workload }).collect()
        }
        None => {
            for def in &selection.servers {
                let (managed, record) = checks.server(def, &progress);
                if let Some(reason) = &managed.refused {
                    progress.warn(&format!("error: {} is not measured: {reason}", def.name));
                }
                records.insert(def.name.clone(), record);
                servers.push(run_server(managed));
                progress.step();
            }
            no_effect_on_any(request.workers, request.blocking_threads, &records)?;
            let (cells, left_out) = plan::cells(&selection.servers, &experiment.workloads);
            left_out.iter().for_each(|line| progress.warn(&format!("note: {line}")));
            cells
        }
    };
    let control = match before {
        Some(before) => before.control.clone(),
        None => choose_control(&servers, &cells, selection.seed),
    };
    let second = control.as_ref().and_then(|control| add_control(control, &mut servers, &mut cells));
    let ceiling = match &selection.ceiling {
        Some(def) => ceiling(&mut checks, def, &mut servers, &mut records, &progress),
        None => {
            if root.is_none() {
                progress.warn(&format!("note: {NO_CEILING}"));
            }
            None
        }
    };
    progress.finish();
    let plan = plan(selection, &servers, cells, ceiling, second);
    let file = RunFile {
        schema_version: SCHEMA_VERSION,
        run_id: run_id.clone(),
        experiment: experiment.name.clone(),
        arguments: std::env::args().skip(1).collect(),
        seed: selection.seed,
        blocks: experiment.blocks,
        until: request.until.map(|_| Until::new(request.at_most)),
        ceilings: plan.ceilings.len(),
        cells: plan.groups.iter().map(Vec::len).sum(),
        started_at: Timestamp::now().to_string(),
        resumed_at: Vec::new(),
        ended_at: None,
        interrupted: false,
        lead_ins_s: BTreeMap::new(),
        parts: Vec::new(),
        alarms: Vec::new(),
        voided_attempts: 0,
        bookkeeping_s: 0.0,
        control,
        ceiling: ceiling.map(|ceiling| servers[ceiling].name.clone()),
        selected: selection.servers.iter().map(|server| server.name.clone()).collect(),
        request: request.clone(),
        measured: experiment.clone(),
        machine: hosts.server().agent.hello().machine.clone(),
        hosts: hosts.records(),
        build: Build::read(root),
        servers: records,
    };
    let setting = Setting {
        hosts,
        network_floor_us: None,
        run_id,
        experiment: experiment.name.clone(),
        seed: selection.seed,
        timeout: request.timeout(),
        start,
        driver: request.driver.unwrap_or_default(),
        placing,
        mutation: None,
    };
    Ok(Prepared { servers, plan, searches: experiment.searches.clone(), setting, file })
}

/// The plan of these cells: their groups, the trials of the searches that they need, and the ceilings.
pub(super) fn plan(
    selection: &Selection,
    servers: &[RunServer],
    mut cells: Vec<Cell>,
    ceiling: Option<usize>,
    control: Option<(usize, usize)>,
) -> Plan {
    let experiment = &selection.experiment;
    let mut workloads = experiment.workloads.clone();
    let searches_from = workloads.len();
    let searches = searches(experiment, servers, &cells, control);
    workloads.extend(experiment.searches.iter().enumerate().map(|(place, search)| {
        let (workload, base) = (search.workload.clone(), searches_from + place);
        Planned { workload, base, search: None, figure: None }
    }));
    let mut ceilings = Vec::new();
    if let Some(server) = ceiling {
        for workload in plan::ceilings(experiment.workloads.iter().map(|planned| &planned.workload)) {
            // A ceiling that was selected for just that is measured for as long as was asked, and once.
            let asked = cells.iter().position(|cell| {
                let its = &workloads[cell.workload].workload;
                cell.server == server && plan::is_ceiling(its, &workload)
            });
            ceilings.push(match asked {
                Some(index) => cells.remove(index),
                None => {
                    workloads.push(Planned { workload, base: workloads.len(), search: None, figure: None });
                    Cell { server, workload: workloads.len() - 1 }
                }
            });
        }
    }
    let groups = plan::groups(&cells, experiment);
    let (blocks, seed) = (experiment.blocks, selection.seed);
    let part = selection.request.blocks_of.unwrap_or_default();
    Plan { workloads, searches_from, ceilings, searches, groups, control, blocks, part, seed }
}

/// The trials that cells need: a search for each server that has a workload with its knee. A control has the
/// knee of its server.
fn searches(
    experiment: &Experiment,
    servers: &[RunServer],
    cells: &[Cell],
    control: Option<(usize, usize)>,
) -> Vec<Cell> {
    let mut searches: Vec<Cell> = Vec::new();
    for cell in cells.iter().filter(|cell| control.is_none_or(|(control, _)| control != cell.server)) {
        let Some(search) = experiment.workloads[cell.workload].search else { continue };
        let trial = Cell { server: cell.server, workload: experiment.workloads.len() + search };
        let refused = matches!(&servers[cell.server].target, Target::Managed(m) if m.refused.is_some());
        if !refused && !searches.contains(&trial) {
            searches.push(trial);
        }
    }
    searches
}

fn run_server(managed: Managed) -> RunServer {
    RunServer {
        name: managed.def.name.clone(),
        role: managed.def.role,
        target: Target::Managed(Box::new(managed)),
    }
}

/// The contestant that runs a second time, chosen by the seed among those that can be measured.
fn choose_control(servers: &[RunServer], cells: &[Cell], seed: u64) -> Option<String> {
    let contestants: Vec<&RunServer> = servers
        .iter()
        .enumerate()
        .filter(|(index, server)| {
            server.role == Role::Contestant
                && cells.iter().any(|cell| cell.server == *index)
                && matches!(&server.target, Target::Managed(managed) if managed.refused.is_none())
        })
        .map(|(_, server)| server)
        .collect();
    plan::control(contestants.len(), seed).map(|chosen| contestants[chosen].name.clone())
}

/// Adds the control, and its cells. Returns its place and that of its server.
pub(super) fn add_control(
    control: &str,
    servers: &mut Vec<RunServer>,
    cells: &mut Vec<Cell>,
) -> Option<(usize, usize)> {
    let its = servers.iter().position(|server| server.name == control)?;
    let second = servers.len();
    let cells_of_it: Vec<Cell> = cells.iter().filter(|cell| cell.server == its).copied().collect();
    cells.extend(cells_of_it.into_iter().map(|cell| Cell { server: second, ..cell }));
    let target = servers[its].target.clone();
    servers.push(RunServer { name: format!("{control}{CONTROL_SUFFIX}"), role: Role::Control, target });
    Some((second, its))
}

/// Which server shows what the client can do at the most; built here unless it was selected.
fn ceiling(
    checks: &mut Checks<'_>,
    def: &ServerDef,
    servers: &mut Vec<RunServer>,
    records: &mut BTreeMap<String, ServerRecord>,
    progress: &Progress,
) -> Option<usize> {
    let index = servers.iter().position(|server| server.name == def.name).unwrap_or_else(|| {
        let (managed, record) = checks.server(def, progress);
        records.insert(def.name.clone(), record);
        servers.push(run_server(managed));
        progress.step();
        servers.len() - 1
    });
    match &servers[index].target {
        Target::Managed(managed) => match &managed.refused {
            Some(reason) => {
                progress.warn(&format!("note: no client ceilings, without {}: {reason}", def.name));
                None
            }
            None => Some(index),
        },
        Target::Running(_) => None,
    }
}

/// What servers are built, started and checked with before the run.
struct Checks<'a> {
    root: Option<&'a Path>,
    hosts: &'a mut Hosts,
    start: &'a StartOptions,
    timeout: Duration,
}

impl Checks<'_> {
    /// Builds a server, starts it once and checks the contract's short form. What is wrong refuses it; but that somebody
    /// killed it meanwhile, or its agent, says nothing of the server, which then is checked again.
    fn server(&mut self, def: &ServerDef, progress: &Progress) -> (Managed, ServerRecord) {
        let (mut managed, record) = self.once(def, progress);
        match &managed.refused {
            Some(problem) if self.hosts.server().agent.gone().is_some() || was_killed(problem) => {
                progress.warn(&format!("note: {} is checked again: {problem}", def.name));
            }
            _ => return (managed, record),
        }
        match self.hosts.renew() {
            Ok(()) => self.once(def, progress),
            Err(problem) => {
                managed.refused = Some(problem.clone());
                (managed, ServerRecord { refused: Some(problem), ..record })
            }
        }
    }

    fn once(&self, def: &ServerDef, progress: &Progress) -> (Managed, ServerRecord) {
        let mut managed = Managed { def: def.clone(), program: None, refused: None, probed: BTreeMap::new() };
        let mut record = ServerRecord::of(def);
        progress.doing(&format!("building {}", def.name));
        match program(self.root, def) {
            Ok(Some(built)) => {
                record.binary_sha256 = machine::sha256(&built.program);
                record.differs = built.differs;
                match self.hosts.server().agent.program(&built.program) {
                    Ok(program) => managed.program = Some(program),
                    Err(problem) => managed.refused = Some(problem),
                }
            }
            Ok(None) => {}
            Err(error) => managed.refused = Some(format!("{error:#}")),
        }
        if managed.refused.is_none() {
            progress.doing(&format!("verifying {}", def.name));
            managed.refused = self.check(&mut managed, &mut record).err();
        }
        record.refused = managed.refused.clone();
        (managed, record)
    }

    fn check(&self, managed: &mut Managed, record: &mut ServerRecord) -> Result<(), String> {
        let def = &managed.def;
        let agent = &self.hosts.server().agent;
        let server = agent.start_server(def, managed.program.as_deref(), 1, self.start)?;
        record.ready_line.clone_from(&server.started().ready);
        let level = if def.answers_byte_for_byte() { Level::Short } else { Level::Replies };
        let verified = server.verify(level);
        let probed = server.probe_declared(self.timeout);
        // How it stops is a matter of every row's, and no reason not to measure it.
        let stopped = server.stop(false);
        if let Some(problem) = stopped.err().filter(|problem| was_killed(problem)) {
            return Err(problem);
        }
        match verified {
            Err(error) => return Err(format!("verify failed: {error}")),
            Ok(verified) if verified.is_ok() => {}
            Ok(verified) => {
                let first = verified.to_string().lines().next().unwrap_or_default().to_owned();
                return Err(format!(
                    "verify failed: {first} (harness verify --server {} shows all)",
                    def.name
                ));
            }
        }
        managed.probed = probed?;
        Ok(())
    }
}

/// Refuses a number that no selected server runs with.
fn no_effect_on_any(
    workers: Option<usize>,
    blocking_threads: Option<usize>,
    servers: &BTreeMap<String, ServerRecord>,
) -> Result<()> {
    let ready: Vec<&ReadyLine> = servers.values().filter_map(|server| server.ready_line.as_ref()).collect();
    let in_vain = |given: Option<usize>, of: fn(&ReadyLine) -> Option<usize>| {
        given.is_some() && !ready.is_empty() && ready.iter().all(|line| of(line) != given)
    };
    if in_vain(workers, |line| line.worker_threads) {
        return Err(usage!("--workers has no effect: none of the selected servers takes it"));
    }
    if in_vain(blocking_threads, |line| line.blocking_threads) {
        return Err(usage!("--blocking-threads has no effect: none of the selected servers takes it"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
