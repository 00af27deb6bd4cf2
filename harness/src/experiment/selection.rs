//! From a request, an experiment and the catalogue to what will be run.

use crate::exit::usage;
use crate::experiment::catalog::Catalog;
use crate::experiment::file;
use crate::experiment::hosts::SLURM;
use crate::experiment::model::Experiment;
use crate::experiment::plan::{self, Cell};
use crate::experiment::request::Request;
use crate::experiment::server::{Role, ServerDef};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// What a run covers, names resolved and numbers checked.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What was asked for.
    pub request: Request,
    /// The experiment, narrowed and overridden by the request.
    pub experiment: Experiment,
    /// The servers, as far as they are set up; empty for `--url`.
    pub servers: Vec<ServerDef>,
    /// Why servers that were not asked for by name are left out.
    pub left_out: Vec<String>,
    /// The server that shows what the client can do at the most; none where there is nothing else.
    pub ceiling: Option<ServerDef>,
    /// What decides the order.
    pub seed: u64,
}

/// The blocks of one server alone, where nothing is said.
const BLOCKS_ALONE: usize = 3;

/// Resolves a request.
///
/// # Errors
/// One line about the first thing that is wrong; nothing has been started.
pub fn select(root: Option<&Path>, request: &Request) -> Result<Selection> {
    let experiment = file::find(request.experiment())?;
    let catalog = Catalog::read(root, &request.manifest)?;
    let (servers, left_out) = match &request.url {
        Some(_) => (Vec::new(), Vec::new()),
        None => servers(&catalog, request, &experiment)?,
    };
    for manifest in &request.manifest {
        if !servers.iter().any(|server| server.manifest == absolute(manifest)) {
            return Err(usage!(
                "--manifest has no effect: none of the servers of {} is selected",
                manifest.display()
            ));
        }
    }
    let mut experiment = request.apply(experiment)?;
    // Nobody named the experiment, and there is nobody to be told apart from: a few blocks show the figures.
    if experiment.name == file::DEFAULT && request.experiment.is_none() && servers.len() == 1 {
        experiment.blocks = request.blocks.unwrap_or(BLOCKS_ALONE);
    }
    if let Some(part) = request.blocks_of
        && part.of > experiment.blocks
    {
        let blocks = experiment.blocks;
        return Err(usage!("--blocks-of {part}: of {blocks} blocks a part would have none"));
    }
    if request.url.is_none() {
        check_cells(&servers, &experiment, request)?;
    }
    Ok(Selection {
        ceiling: ceiling(&catalog, &servers, request),
        experiment,
        servers,
        left_out,
        seed: request.seed.unwrap_or_else(plan::fresh_seed),
        // A run may be continued from another folder.
        request: Request {
            manifest: request.manifest.iter().map(|path| absolute(path)).collect(),
            hosts: request.hosts.as_ref().map(|path| match path == Path::new(SLURM) {
                true => path.clone(),
                false => absolute(path),
            }),
            ..request.clone()
        },
    })
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
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

fn servers(
    catalog: &Catalog,
    request: &Request,
    experiment: &Experiment,
) -> Result<(Vec<ServerDef>, Vec<String>)> {
    let checked = catalog.check_names(experiment.without.keys());
    checked.map_err(|problem| usage!("{}: without: {problem}", experiment.name))?;
    let without =
        |server: &ServerDef| experiment.without.get(&server.name).filter(|_| request.server.is_empty());
    // A ceiling is measured with whatever is selected, and an oracle only where it is named.
    let fits = |server: &ServerDef| server.role == Role::Contestant && without(server).is_none();
    let mut chosen = catalog.choose(&request.server, fits)?;
    let reasons = catalog.servers.iter().filter_map(|server| Some((&server.name, without(server)?)));
    chosen.left_out.extend(reasons.map(|(name, why)| format!("{name} is left out: {why}")));
    Ok((chosen.servers, chosen.left_out))
}

/// Refuses a selection without a single cell, and a server that was named in vain.
fn check_cells(servers: &[ServerDef], experiment: &Experiment, request: &Request) -> Result<()> {
    let (cells, _) = plan::cells(servers, &experiment.workloads);
    let is_idle = |index: &usize| !cells.iter().any(|cell: &Cell| cell.server == *index);
    match (0..servers.len()).find(is_idle) {
        Some(index) if !request.server.is_empty() => {
            let first = experiment.workloads.first();
            let why = first.and_then(|planned| plan::obstacle(&servers[index], &planned.workload));
            Err(usage!(
                "{} has nothing to do: {}",
                servers[index].name,
                why.unwrap_or_else(|| "there is no workload".into())
            ))
        }
        _ if cells.is_empty() => Err(usage!("no server has what was asked for")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
