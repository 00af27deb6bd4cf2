//! `harness count`: instructions, allocations and system calls per request.

use crate::agent::handles::Agent;
use crate::analysis::history::histories;
use crate::cli::args::CountArgs;
use crate::count::instrument::{self, SyscallCounter};
use crate::count::rows::Counted;
use crate::count::{Cells, table};
use crate::exit::{Exit, usage};
use crate::experiment::catalog::Catalog;
use crate::experiment::root;
use crate::experiment::server::{Role, ServerDef};
use crate::host::machine::{self, Build};
use crate::record::counts::{CountRow, write_counts};
use crate::report::drawing::Format;
use crate::report::history;
use crate::run::build::program;
use crate::run::interrupt::Interrupt;
use crate::run::releases;
use crate::run::target::Managed;
use anyhow::{Result, anyhow};
use contract::route::ROUTES;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

/// Of so many cells at the most the crates and functions are shown.
const FEW: usize = 4;

/// Counts, writes, and shows.
///
/// # Errors
/// The command line is wrong, or a server does not build.
pub(super) fn run(args: &CountArgs) -> Result<Exit> {
    let root = root::of(args.place.root.as_deref())?;
    let catalog = Catalog::read(root.as_deref(), &args.manifest)?;
    let defs = selected(root.as_deref(), &catalog, args)?;
    let wanted = wanted(&defs, args)?;
    if let Some(missing) = instrument::missing() {
        eprintln!("error: {missing}");
        return Ok(Exit::Failed);
    }
    let out = match &args.out {
        Some(out) => out.clone(),
        None => {
            let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
            root::results().join(format!("{time}-{}-count", machine::host()))
        }
    };
    if out.exists() {
        return Err(usage!("{} exists already: results are never overwritten", out.display()));
    }
    let interrupt = Interrupt::listen()?;
    let agent = Agent::local().map_err(|problem| anyhow!("{problem}"))?;
    let (cells, differs) = built(root.as_deref(), &agent, wanted, &args.connections)?;
    std::fs::create_dir_all(&out)?;
    interrupt.measuring();
    let counter = SyscallCounter::find();
    let circumstances = serde_json::json!({
        "arguments": std::env::args().skip(1).collect::<Vec<_>>(),
        "machine": agent.hello().machine,
        "build": Build::read(root.as_deref()),
        "differs": differs,
    });
    let mut counted: Vec<Counted> = Vec::new();
    let total = cells.iter().map(|cells| cells.connections.len()).sum::<usize>();
    // One at a time: beside a second one smol's instructions were seen to differ by a quarter between repeats.
    for mut cells in cells {
        if interrupt.is_requested() {
            break;
        }
        for done in cells.count(counter, args.repeats) {
            let CountRow { server, route, connections, error, .. } = &done.row;
            let problem = if error.is_empty() { String::new() } else { format!(": {error}") };
            eprintln!("{}/{total} {server} {route}, {connections} connections{problem}", counted.len() + 1);
            counted.push(done);
        }
        // Whatever happens next: what was counted is there.
        let rows: Vec<_> = counted.iter().map(|one| one.row.clone()).collect();
        let crates: Vec<_> = counted.iter().flat_map(|one| one.crates.clone()).collect();
        let functions: Vec<_> = counted.iter().flat_map(|one| one.functions.clone()).collect();
        write_counts(&out, &rows, &crates, &functions, &circumstances)?;
    }
    show(args, &counted, &out);
    Ok(match counted.len() {
        done if done < total => Exit::Interrupted,
        _ if counted.iter().any(|one| one.row.has_failed()) => Exit::Failed,
        _ => Exit::Done,
    })
}

fn show(args: &CountArgs, counted: &[Counted], out: &Path) {
    let rows: Vec<_> = counted.iter().map(|one| one.row.clone()).filter(|row| row.error.is_empty()).collect();
    let mut text = table::counts(&rows);
    let there = || counted.iter().filter(|one| one.row.error.is_empty());
    match args.explain.as_slice() {
        [a, b] => {
            for one in there().filter(|one| one.row.server == *a) {
                let is_same = |other: &&Counted| {
                    (&other.row.server, &other.row.workload_id) == (b, &one.row.workload_id)
                };
                text.extend(there().find(is_same).map(|other| table::explanation(one, other)));
            }
        }
        _ if rows.len() <= FEW => text.extend(there().map(table::parts)),
        _ => {}
    }
    let functions: Vec<_> = counted.iter().flat_map(|one| one.functions.clone()).collect();
    text += &history::render(&histories(&rows, &functions), Format::Table);
    text += &format!("\ninstructions in user space per request, one worker; written to {}\n", out.display());
    // A closed stdout is not an error.
    _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The servers: those that are named or explained, or all that are compared and the ceiling.
fn selected(root: Option<&Path>, catalog: &Catalog, args: &CountArgs) -> Result<Vec<ServerDef>> {
    let named: Vec<String> = args.server.iter().chain(&args.explain).cloned().collect();
    let named = releases::written_out(root, &args.manifest, &named)?;
    let chosen = catalog.choose(&named, |def| def.role != Role::Oracle)?;
    chosen.left_out.iter().for_each(|line| eprintln!("note: {line}"));
    Ok(chosen.servers)
}

/// What is counted: each server on each of its routes, or on those that are given and it has.
fn wanted<'a>(defs: &'a [ServerDef], args: &CountArgs) -> Result<Vec<(&'a ServerDef, String)>> {
    let is_declared = |name: &String| defs.iter().any(|def| def.declared(name).is_some());
    let mut given = Vec::new();
    for name in &args.route {
        given.push(match contract::route::named(name) {
            Some(route) => route.small.to_owned(),
            None if is_declared(name) => name.clone(),
            None => contract::route::target(name).map_err(|problem| usage!("--route {name}: {problem}"))?,
        });
    }
    let mut wanted = Vec::new();
    for def in defs {
        let own = def.routes.iter().map(|route| route.name.clone());
        let all = ROUTES.iter().filter(|r| def.has_route(r.name)).map(|r| r.small.to_owned()).chain(own);
        let routes: Vec<String> = match given.is_empty() {
            true => all.collect(),
            false => given.iter().filter(|route| def.has_target(route)).cloned().collect(),
        };
        wanted.extend(routes.into_iter().map(|route| (def, route)));
    }
    if wanted.is_empty() {
        return Err(usage!("no server has what was asked for"));
    }
    Ok(wanted)
}

/// By server, the crates that are not the checkout's.
type Differs = BTreeMap<String, Vec<String>>;

/// Builds each server once, and says which crates of each are not the checkout's. A server that does not build is
/// left out, and said.
///
/// # Errors
/// None builds.
fn built(
    root: Option<&Path>,
    agent: &Agent,
    wanted: Vec<(&ServerDef, String)>,
    connections: &[usize],
) -> Result<(Vec<Cells>, Differs)> {
    let mut cells: Vec<Cells> = Vec::new();
    let mut differs = BTreeMap::new();
    let mut last: Option<(&str, Result<Managed>)> = None;
    for (def, route) in wanted {
        if last.as_ref().is_none_or(|(name, _)| *name != def.name) {
            eprintln!("building {}", def.name);
            let managed = program(root, def).map(|built| {
                let (program, its) = built.map(|built| (built.program, built.differs)).unzip();
                differs.extend(its.filter(|its| !its.is_empty()).map(|its| (def.name.clone(), its)));
                Managed { def: def.clone(), program, refused: None, probed: BTreeMap::new() }
            });
            if let Err(problem) = &managed {
                eprintln!("note: {} is left out: {problem:#}", def.name);
            }
            last = Some((&def.name, managed));
        }
        if let Some((_, Ok(managed))) = &last {
            // From few to many whatever the order on the command line: they share a process.
            let connections = BTreeSet::from_iter(connections).into_iter().copied().collect();
            let (agent, managed) = (agent.clone(), managed.clone());
            cells.push(Cells { agent, managed, route, connections });
        }
    }
    match last {
        Some((_, Err(problem))) if cells.is_empty() => Err(problem),
        _ => Ok((cells, differs)),
    }
}
