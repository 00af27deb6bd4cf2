//! Before the first row: the servers built and checked, and the plan made.

use super::record::{Record, ServerRecord};
use crate::agent::placement::Placing;
use crate::agent::server::{Server, StartOptions};
use crate::exit::usage;
use crate::experiment::catalog::{CONTROL_SUFFIX, Role, ServerDef};
use crate::experiment::cell::{self, Cell, Condition};
use crate::experiment::selection::Selection;
use crate::host::machine::{self, Build, Machine};
use crate::record::row::SCHEMA_VERSION;
use crate::report::progress::Progress;
use crate::run::build::program;
use crate::run::replicate::Setting;
use crate::run::scheduler::{self, Plan};
use crate::run::target::{Managed, Subject, probe_running};
use crate::verify::{self, Level};
use anyhow::Result;
use contract::ready::ReadyLine;
use contract::route;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a ceiling's server is asked for.
const CEILING_ROUTE: &str = "plaintext";

/// Something that has rows of its own.
#[derive(Debug)]
pub(super) struct Entrant {
    /// Its name in the results.
    pub(super) name: String,
    pub(super) role: &'static str,
    pub(super) subject: Subject,
}

/// A run, ready to begin.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) entrants: Vec<Entrant>,
    pub(super) plan: Plan,
    pub(super) setting: Setting,
    pub(super) record: Record,
}

/// Builds and verifies the servers and makes the plan of the run `run_id`. Which server is the control, and
/// whether there are ceilings, is as in `before` for a run that is continued.
///
/// # Errors
/// The selection is of no use with these servers.
pub(super) fn prepare(
    root: &Path,
    selection: &Selection,
    placing: Placing,
    run_id: String,
    before: Option<&Record>,
    quiet: bool,
) -> Result<Prepared> {
    let started = Timestamp::now();
    let options = &selection.options;
    let start = StartOptions {
        workers: options.workers,
        blocking_threads: options.blocking_threads,
        ..StartOptions::default()
    };
    let progress = Progress::new(selection.servers.len() + 1, quiet);
    for line in &selection.left_out {
        progress.warn(&format!("note: {line}"));
    }
    let mut servers = BTreeMap::new();
    let mut entrants = Vec::new();
    let mut cells = match &options.url {
        Some(url) => {
            let running = probe_running(url, options.timeout)?;
            let expected = Some(format!("{:?}", running.expect));
            servers.insert(running.name.clone(), ServerRecord { expected, ..ServerRecord::default() });
            let cells = running_cells(selection, &running.target);
            let name = running.name.clone();
            entrants.push(Entrant { name, role: "contestant", subject: Subject::Running(running) });
            cells
        }
        None => {
            for def in &selection.servers {
                let (managed, record) = prepare_server(root, def, &start, &progress);
                if let Some(reason) = &managed.refused {
                    progress.warn(&format!("error: {} is not measured: {reason}", def.name));
                }
                servers.insert(def.name.clone(), record);
                entrants.push(entrant(managed));
                progress.step();
            }
            no_effect_on_any(selection, &servers)?;
            cell::cells(&selection.servers, &selection.work, &selection.conditions)
        }
    };
    let control = match before {
        Some(before) => before.control.clone(),
        None => choose_control(&entrants, &cells, selection.seed),
    };
    if let Some(control) = &control {
        add_control(control, &mut entrants, &mut cells);
    }
    let ceiling = prepare_ceiling(root, selection, &start, &mut entrants, &mut servers, &progress);
    let ceilings = ceiling.map_or_else(Vec::new, |ceiling| ceiling_cells(ceiling, selection, &mut cells));
    progress.finish();
    let record = Record {
        schema_version: SCHEMA_VERSION,
        run_id: run_id.clone(),
        profile: selection.profile.clone(),
        arguments: std::env::args().skip(1).collect(),
        seed: selection.seed,
        blocks: selection.blocks,
        ceilings: ceilings.len(),
        cells: cells.len(),
        started_at: started.to_string(),
        resumed_at: Vec::new(),
        ended_at: None,
        interrupted: false,
        alarms: Vec::new(),
        voided_attempts: 0,
        bookkeeping_s: 0.0,
        control,
        ceiling: ceiling.map(|ceiling| entrants[ceiling].name.clone()),
        selected: selection.servers.iter().map(|server| server.name.clone()).collect(),
        work: selection.work.clone(),
        conditions: selection.conditions.clone(),
        options: options.clone(),
        machine: Machine::read(),
        build: Build::read(root),
        servers,
    };
    let setting = Setting {
        run_id,
        seed: selection.seed,
        timeout: options.timeout,
        start,
        driver: options.driver,
        placing,
        mutation: None,
    };
    let plan = Plan { ceilings, cells, blocks: selection.blocks, seed: selection.seed };
    Ok(Prepared { entrants, plan, setting, record })
}

fn entrant(managed: Managed) -> Entrant {
    let role = match managed.def.role {
        Role::Contestant => "contestant",
        Role::Ceiling => "ceiling",
        Role::Oracle => "oracle",
    };
    Entrant { name: managed.def.name.clone(), role, subject: Subject::Managed(Box::new(managed)) }
}

/// The cells of a server that is already running: each work once, on its one path.
fn running_cells(selection: &Selection, target: &str) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for planned in &selection.work {
        for condition in &selection.conditions {
            let cell = Cell {
                server: 0,
                target: target.to_owned(),
                work: planned.work.clone(),
                condition: condition.clone(),
            };
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
    }
    cells
}

/// The contestant that runs a second time, chosen by the seed among those that can be measured.
fn choose_control(entrants: &[Entrant], cells: &[Cell], seed: u64) -> Option<String> {
    let contestants: Vec<&Entrant> = entrants
        .iter()
        .enumerate()
        .filter(|(index, entrant)| {
            entrant.role == "contestant"
                && cells.iter().any(|cell| cell.server == *index)
                && matches!(&entrant.subject, Subject::Managed(managed) if managed.refused.is_none())
        })
        .map(|(_, entrant)| entrant)
        .collect();
    cell::control(contestants.len(), seed).map(|chosen| contestants[chosen].name.clone())
}

fn add_control(control: &str, entrants: &mut Vec<Entrant>, cells: &mut Vec<Cell>) {
    let Some(index) = entrants.iter().position(|entrant| entrant.name == control) else { return };
    let second = entrants.len();
    let its: Vec<Cell> = cells.iter().filter(|cell| cell.server == index).cloned().collect();
    cells.extend(its.into_iter().map(|cell| Cell { server: second, ..cell }));
    let subject = entrants[index].subject.clone();
    entrants.push(Entrant { name: format!("{control}{CONTROL_SUFFIX}"), role: "control", subject });
}

/// Which entrant shows what the client can do at the most; built here unless it was selected.
fn prepare_ceiling(
    root: &Path,
    selection: &Selection,
    start: &StartOptions,
    entrants: &mut Vec<Entrant>,
    servers: &mut BTreeMap<String, ServerRecord>,
    progress: &Progress,
) -> Option<usize> {
    let def = selection.ceiling.as_ref()?;
    let index = entrants.iter().position(|entrant| entrant.name == def.name).unwrap_or_else(|| {
        let (managed, record) = prepare_server(root, def, start, progress);
        servers.insert(def.name.clone(), record);
        entrants.push(entrant(managed));
        progress.step();
        entrants.len() - 1
    });
    match &entrants[index].subject {
        Subject::Managed(managed) => match &managed.refused {
            Some(reason) => {
                progress.warn(&format!("note: no client ceilings, without {}: {reason}", def.name));
                None
            }
            None => Some(index),
        },
        Subject::Running(_) => None,
    }
}

/// What the ceiling's server does at the beginning of a block. Where it was selected for just that, it does
/// it there for as long as was asked, and not a second time among `cells`.
fn ceiling_cells(ceiling: usize, selection: &Selection, cells: &mut Vec<Cell>) -> Vec<Cell> {
    let Ok(target) = route::target(CEILING_ROUTE) else { return Vec::new() };
    let works = scheduler::ceilings(selection.work.iter().map(|planned| &planned.work));
    let mut ceilings = Vec::new();
    for work in works {
        let wanted = Cell { server: ceiling, target: target.clone(), work, condition: Condition::plain() };
        let asked = cells.iter().position(|cell| {
            let place = (cell.server, &cell.target, &cell.condition);
            place == (wanted.server, &wanted.target, &wanted.condition)
                && scheduler::does_the_same(&cell.work, &wanted.work)
        });
        ceilings.push(match asked {
            Some(index) => cells.remove(index),
            None => Cell { work: scheduler::shortened(&wanted.work), ..wanted },
        });
    }
    ceilings
}

/// Builds a server, starts it once and checks the contract's short form. What is wrong refuses it.
fn prepare_server(
    root: &Path,
    def: &ServerDef,
    start: &StartOptions,
    progress: &Progress,
) -> (Managed, ServerRecord) {
    let mut managed = Managed { def: def.clone(), program: None, refused: None };
    let mut record = ServerRecord::of(def);
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
    let replayed = verify::verify(server.addr, &def.verify_options(level));
    // How it stops is a matter of every row's, and no reason not to measure it.
    _ = server.stop(false);
    match replayed {
        Err(error) => Err(format!("verify failed: {error:#}")),
        Ok(replayed) if replayed.is_ok() => Ok(()),
        Ok(replayed) => {
            let first = replayed.to_string().lines().next().unwrap_or_default().to_owned();
            Err(format!("verify failed: {first} (harness verify --server {} shows all)", def.name))
        }
    }
}

/// A number that no selected server runs with was given in vain.
fn no_effect_on_any(selection: &Selection, servers: &BTreeMap<String, ServerRecord>) -> Result<()> {
    let ready: Vec<&ReadyLine> = servers.values().filter_map(|server| server.ready_line.as_ref()).collect();
    let in_vain = |given: Option<usize>, of: fn(&ReadyLine) -> Option<usize>| {
        given.is_some() && !ready.is_empty() && ready.iter().all(|line| of(line) != given)
    };
    if in_vain(selection.options.workers, |line| line.worker_threads) {
        return Err(usage!("--workers has no effect on any of the selected servers"));
    }
    if in_vain(selection.options.blocking_threads, |line| line.blocking_threads) {
        return Err(usage!("--blocking-threads has no effect on any of the selected servers"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::cell::{Amount, Work};
    use crate::run::target::Running;
    use load::Strategy;

    fn selection() -> Selection {
        let args = crate::experiment::request::Request {
            server: vec!["null".into(), "smol".into()],
            route: vec!["plaintext".into()],
            strategy: vec!["async".into(), "closed-loop".into()],
            ..Default::default()
        };
        crate::experiment::selection::select(&crate::experiment::root::find().expect("a clone"), &args)
            .expect("valid")
    }

    #[test]
    fn a_ceiling_that_was_selected_is_not_measured_twice() {
        let selection = selection();
        let mut cells = cell::cells(&selection.servers, &selection.work, &[Condition::plain()]);
        let before = cells.len();
        let ceilings = ceiling_cells(0, &selection, &mut cells);
        assert_eq!(ceilings.len() + cells.len(), before);
        // For as long as was asked.
        assert!(ceilings.iter().any(|cell| {
            let asked = selection.work.iter().find(|planned| planned.work.strategy == Strategy::ClosedLoop);
            Some(&cell.work) == asked.map(|planned| &planned.work)
        }));
        assert!(cells.iter().all(|cell| cell.server == 1));
    }

    #[test]
    fn a_ceiling_that_was_not_selected_is_measured_besides_and_briefly() {
        let selection = selection();
        let mut cells = Vec::new();
        let ceilings = ceiling_cells(2, &selection, &mut cells);
        assert_eq!(ceilings.len(), selection.work.len());
        assert!(ceilings.iter().all(|cell| (cell.server, cell.target.as_str()) == (2, "/plaintext")));
        let times = ceilings.iter().filter_map(|cell| match cell.work.amount {
            Amount::Time { duration, .. } => Some(duration.as_secs()),
            Amount::Requests(_) => None,
        });
        assert!(times.into_iter().all(|seconds| seconds <= 2));
    }

    #[test]
    fn the_control_does_all_that_its_server_does() {
        let running = |name: &str| Entrant {
            name: name.into(),
            role: "contestant",
            subject: Subject::Running(Running {
                name: name.into(),
                addr: ([127, 0, 0, 1], 1).into(),
                target: "/".into(),
                expect: crate::run::target::expected("/"),
            }),
        };
        let mut entrants = vec![running("x"), running("y")];
        let cell = |server, target: &str| Cell {
            server,
            target: target.into(),
            work: Work::of(Strategy::Async, Amount::Requests(1)),
            condition: Condition::plain(),
        };
        let mut cells = vec![cell(0, "/a"), cell(1, "/a"), cell(1, "/b")];
        add_control("y", &mut entrants, &mut cells);
        assert_eq!((entrants[2].name.as_str(), entrants[2].role), ("y.control", "control"));
        assert_eq!(cells[3..], [cell(2, "/a"), cell(2, "/b")]);
    }
}
