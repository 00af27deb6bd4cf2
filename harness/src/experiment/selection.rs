//! From a command line, a profile and the catalogue to what will be run.

use crate::exit::usage;
use crate::experiment::catalog::{Catalog, Role, ServerDef};
use crate::experiment::cell::{self, Amount, Condition, MAX_PROCESSES, Placement, PlannedWork, Work};
use crate::experiment::file::{self, Profile, WARMUP};
use crate::experiment::request::Request;
use crate::experiment::suggest;
use crate::host::cpus::Cpus;
use anyhow::Result;
use load::Strategy;
use load::protocol::Driver;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one request may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// More blocks than that are a slip of the finger.
const MAX_BLOCKS: usize = 1000;
/// The requests of a strategy that the profile does not have, where none are given.
const DEFAULT_REQUESTS: u64 = 100;
/// The measured time of one of the load engine's strategies that the profile does not have.
const DEFAULT_DURATION: Duration = Duration::from_secs(5);

/// What a run covers, names resolved and numbers checked.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The profile's name.
    pub profile: String,
    /// The servers, as far as they are set up; empty for `--url`.
    pub servers: Vec<ServerDef>,
    /// Why servers that were not asked for by name are left out.
    pub left_out: Vec<String>,
    /// The server that shows what the client can do at the most; none where there is nothing else.
    pub ceiling: Option<ServerDef>,
    /// What each client does, and where; where does not matter for `--url`.
    pub work: Vec<PlannedWork>,
    /// What else goes on.
    pub conditions: Vec<Condition>,
    /// How often every cell is run.
    pub blocks: usize,
    /// What decides the order.
    pub seed: u64,
    /// The same for all cells.
    pub options: Options,
}

/// What holds for every replicate of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// A server that is already running, in place of the catalogue's.
    pub url: Option<String>,
    /// The user's own manifests, absolute.
    pub manifest: Vec<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Threads that run tasks, where given.
    pub workers: Option<usize>,
    /// Threads that may block, where given.
    pub blocking_threads: Option<usize>,
    /// How the load engine talks to the kernel.
    pub driver: Driver,
    /// Which CPUs the server and the client get.
    pub placement: Placement,
    /// The server's CPUs, where given.
    pub server_cpus: Option<Vec<usize>>,
    /// The client's CPUs, where given.
    pub client_cpus: Option<Vec<usize>>,
}

impl Options {
    fn of(request: &Request) -> Options {
        let cpus = |cpus: &Option<Cpus>| Some(cpus.as_ref()?.list().to_vec());
        Options {
            url: request.url.clone(),
            manifest: request.manifest.iter().map(|path| absolute(path)).collect(),
            timeout: request.timeout.unwrap_or(TIMEOUT),
            workers: request.workers,
            blocking_threads: request.blocking_threads,
            driver: request.driver.unwrap_or_default(),
            placement: request.placement,
            server_cpus: cpus(&request.server_cpus),
            client_cpus: cpus(&request.client_cpus),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Resolves a command line.
///
/// # Errors
/// One line about the first thing that is wrong; nothing has been started.
pub fn select(root: &Path, request: &Request) -> Result<Selection> {
    let profile = file::find(root, request.profile.as_deref().unwrap_or(file::DEFAULT))?;
    let catalog = Catalog::read(root, &request.manifest)?;
    let (servers, left_out) = match &request.url {
        Some(_) => {
            no_effect_with_url(request)?;
            (Vec::new(), Vec::new())
        }
        None => servers(&catalog, request)?,
    };
    for manifest in &request.manifest {
        if !servers.iter().any(|server| server.manifest == absolute(manifest)) {
            return Err(usage!(
                "--manifest has no effect: none of the servers of {} is selected",
                manifest.display()
            ));
        }
    }
    let work = work(&profile, request)?;
    let conditions = conditions(&profile, request)?;
    let blocks = match request.blocks {
        Some(blocks) if !(1..=MAX_BLOCKS).contains(&blocks) => {
            return Err(usage!("--blocks {blocks}: give a number from 1 to {MAX_BLOCKS}"));
        }
        blocks => blocks.unwrap_or(profile.blocks),
    };
    for (flag, value) in [("--workers", request.workers), ("--blocking-threads", request.blocking_threads)] {
        if let Some(value) = value
            && !(1..=10_000).contains(&value)
        {
            return Err(usage!("{flag} {value}: give a number from 1 to 10000"));
        }
    }
    if request.url.is_none() {
        check_routes(&servers, &work, &conditions, request)?;
    }
    Ok(Selection {
        profile: profile.name,
        ceiling: ceiling(&catalog, &servers, request),
        servers,
        left_out,
        work,
        conditions,
        blocks,
        seed: request.seed.unwrap_or_else(cell::fresh_seed),
        options: Options::of(request),
    })
}

/// A ceiling of the user's own stands for the project's: it comes later. Where nothing but ceilings is
/// measured they need no other.
fn ceiling(catalog: &Catalog, servers: &[ServerDef], request: &Request) -> Option<ServerDef> {
    if request.url.is_none() && servers.iter().all(|server| server.role == Role::Ceiling) {
        return None;
    }
    let mut servers = catalog.servers.iter();
    servers.rfind(|server| server.role == Role::Ceiling && server.missing().is_none()).cloned()
}

/// A flag about starting servers means nothing for one that is already running.
fn no_effect_with_url(request: &Request) -> Result<()> {
    let given = [
        ("--server", !request.server.is_empty()),
        ("--route", !request.route.is_empty()),
        ("--processes", request.processes.is_some()),
        ("--workers", request.workers.is_some()),
        ("--blocking-threads", request.blocking_threads.is_some()),
        ("--manifest", !request.manifest.is_empty()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(usage!("{flag} has no effect with --url, whose server is already running")),
        None => Ok(()),
    }
}

fn servers(catalog: &Catalog, request: &Request) -> Result<(Vec<ServerDef>, Vec<String>)> {
    let mut servers: Vec<ServerDef> = Vec::new();
    for name in &request.server {
        let server = catalog.find(name)?;
        if let Some(missing) = server.missing() {
            return Err(usage!("{name} is {missing}"));
        }
        if !servers.iter().any(|s| s.name == server.name) {
            servers.push(server.clone());
        }
    }
    if !servers.is_empty() {
        return Ok((servers, Vec::new()));
    }
    let mut left_out = Vec::new();
    // A ceiling is measured with whatever is selected, and an oracle only where it is named.
    for server in catalog.servers.iter().filter(|server| server.role == Role::Contestant) {
        match server.missing() {
            Some(missing) => left_out.push(format!("{} is left out: {missing}", server.name)),
            None => servers.push(server.clone()),
        }
    }
    Ok((servers, left_out))
}

fn work(profile: &Profile, request: &Request) -> Result<Vec<PlannedWork>> {
    let asked = strategies(&request.strategy)?;
    let mut work: Vec<PlannedWork> = if asked.is_empty() {
        profile.work.clone()
    } else {
        profile.work.iter().filter(|planned| asked.contains(&planned.work.strategy)).cloned().collect()
    };
    for strategy in asked {
        if !work.iter().any(|planned| planned.work.strategy == strategy) {
            let amount = match strategy.is_engine() {
                true => Amount::Time { warmup: WARMUP, duration: DEFAULT_DURATION },
                false => Amount::Requests(DEFAULT_REQUESTS),
            };
            let (work_of, targets) = (Work::of(strategy, amount), profile.targets.clone());
            work.push(PlannedWork { work: work_of, targets, alone: false });
        }
    }
    no_effect_on_work(&work, request)?;
    let routes = request.route.iter().map(|given| contract::route::target(given)).collect::<Result<_, _>>();
    let routes: Vec<String> = dedup(routes)?;
    for planned in &mut work {
        if !routes.is_empty() {
            planned.targets = routes.clone();
        }
        // Conditions that were asked for are for everything that was.
        planned.alone &= request.processes.is_none() && request.interfere.is_none() && request.url.is_none();
        let work = &mut planned.work;
        match &mut work.amount {
            Amount::Requests(requests) => *requests = request.requests.unwrap_or(*requests),
            Amount::Time { warmup, duration } => {
                *warmup = request.warmup.unwrap_or(*warmup);
                *duration = request.duration.unwrap_or(*duration);
            }
        }
        if work.strategy != Strategy::Sequential {
            work.concurrency = request.concurrency.or(work.concurrency);
        }
        if has_rate(work.strategy) {
            work.rate = request.rate.or(work.rate);
            work.arrival = request.arrival.unwrap_or(work.arrival);
        }
        work.check().map_err(|problem| usage!("{problem}"))?;
    }
    dedup(Ok(work))
}

/// The strategies of these names.
///
/// # Errors
/// A usage error with the nearest names.
pub fn strategies(names: &[String]) -> Result<Vec<Strategy>> {
    names.iter().map(|name| suggest::find("strategy", name, &Strategy::ALL, |s| s.name()).copied()).collect()
}

/// Whether a schedule can be given to it.
fn has_rate(strategy: Strategy) -> bool {
    matches!(strategy, Strategy::OpenLoop | Strategy::Churn)
}

/// A flag that none of the selected strategies looks at is a mistake.
fn no_effect_on_work(work: &[PlannedWork], request: &Request) -> Result<()> {
    type Affected = fn(&Work) -> bool;
    let engine: Affected = |work| work.strategy.is_engine();
    let scheduled: Affected = |work| has_rate(work.strategy);
    let flags: [(&str, bool, Affected); 7] = [
        ("--concurrency", request.concurrency.is_some(), |work| work.strategy != Strategy::Sequential),
        ("--requests", request.requests.is_some(), |work| !work.strategy.is_engine()),
        ("--duration", request.duration.is_some(), engine),
        ("--warmup", request.warmup.is_some(), engine),
        ("--driver", request.driver.is_some(), engine),
        ("--rate", request.rate.is_some(), scheduled),
        ("--arrival", request.arrival.is_some(), scheduled),
    ];
    for (flag, given, affected) in flags {
        if given && !work.iter().any(|planned| affected(&planned.work)) {
            let names: Vec<&str> = work.iter().map(|planned| planned.work.strategy.name()).collect();
            return Err(usage!("{flag} has no effect on {}", dedup(Ok(names))?.join(", ")));
        }
    }
    Ok(())
}

fn conditions(profile: &Profile, request: &Request) -> Result<Vec<Condition>> {
    if let Some(processes) = request.processes
        && !(1..=MAX_PROCESSES).contains(&processes)
    {
        return Err(usage!("--processes {processes}: give a number from 1 to {MAX_PROCESSES}"));
    }
    if let (Some(interference), None) = (&request.interfere, &request.url) {
        interference.check().map_err(|problem| usage!("{problem}"))?;
    }
    let given = request.processes.is_some() || request.interfere.is_some();
    if given || request.url.is_some() {
        let processes = request.processes.unwrap_or(1);
        return Ok(vec![Condition { processes, interference: request.interfere.clone() }]);
    }
    Ok(profile.conditions.clone())
}

/// A selection without a single cell, or a server named in vain, is a mistake.
fn check_routes(
    servers: &[ServerDef],
    work: &[PlannedWork],
    conditions: &[Condition],
    request: &Request,
) -> Result<()> {
    let cells = cell::cells(servers, work, conditions);
    let targets = dedup(Ok(work.iter().flat_map(|planned| planned.targets.clone()).collect()))?;
    let idle = servers.iter().enumerate().find(|(index, _)| !cells.iter().any(|cell| cell.server == *index));
    match idle {
        Some((_, server)) if !request.server.is_empty() => Err(usage!(
            "{} has nothing to do: it lacks {}{}",
            server.name,
            targets.join(" and "),
            if request.processes.is_some_and(|n| n > 1) {
                ", or cannot run as several processes"
            } else {
                ""
            }
        )),
        _ if cells.is_empty() => Err(usage!("no server has what was asked for")),
        _ => Ok(()),
    }
}

fn dedup<T: PartialEq>(items: Result<Vec<T>, String>) -> Result<Vec<T>> {
    let mut unique = Vec::new();
    for item in items.map_err(|problem| usage!("{problem}"))? {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    Ok(unique)
}

#[cfg(test)]
mod tests;
