//! `harness verify`: the contract, over a socket.

use crate::agent::equal_work::{self, Verdict};
use crate::agent::handles::{Agent, ServerHandle};
use crate::agent::server::StartOptions;
use crate::cli::args::VerifyArgs;
use crate::cli::in_order::in_order;
use crate::exit::{Exit, usage};
use crate::experiment::catalog::Catalog;
use crate::experiment::root;
use crate::experiment::server::{Role, ServerDef};
use crate::experiment::url::askable;
use crate::run::build::program;
use crate::run::releases;
use crate::verify::{self, IDLE_CONNECTIONS, Level, Options, Replayed};
use anyhow::{Result, anyhow};
use contract::transcript;
use std::path::PathBuf;

/// Files that the harness and a server need besides idle connections.
const SPARE_FILES: u64 = 500;

/// How many servers are checked at a time, with an agent each: most of a check is waiting.
const AT_A_TIME: usize = 2;

/// Verifies the servers, a few at a time.
///
/// # Errors
/// The command line is wrong.
pub(super) fn run(args: &VerifyArgs) -> Result<Exit> {
    if let Some(url) = &args.url {
        let (name, addr, target) = askable(url, args.yes_it_is_mine)?;
        if target != "/" {
            return Err(usage!("--url {url}: the path {target} has no effect: all routes are asked for"));
        }
        let outcome = verify::verify(addr, &Options::new(Level::Replies));
        return Ok(show(&name, outcome));
    }
    let root = root::of(args.place.root.as_deref())?;
    let catalog = Catalog::read(root.as_deref(), &args.manifest)?;
    let agents: Result<Vec<Agent>, _> = (0..AT_A_TIME).map(|_| Agent::local()).collect();
    let agents = agents.map_err(|problem| anyhow!("{problem}"))?;
    let names = releases::written_out(root.as_deref(), &args.manifest, &args.server)?;
    let chosen = catalog.choose(&names, |def| def.role != Role::Oracle)?;
    chosen.left_out.iter().for_each(|line| eprintln!("note: {line}"));
    let connections = idle_connections(agents[0].hello().open_files);
    // All of them first: a build beside a check would take its time away.
    let build = |def| Ok((def, program(root.as_deref(), def)?.map(|built| built.program)));
    let built: Vec<_> = chosen.servers.iter().map(|def| (def.name.as_str(), build(def))).collect();
    let running: Vec<Built<'_>> =
        built.iter().filter_map(|(_, built)| built.as_ref().ok()).cloned().collect();
    let mut worst = Exit::Done;
    let check = |agent: &Agent, (name, built): (_, Result<Built<'_>>)| {
        (name, built.and_then(|server| started(agent, &server, connections)))
    };
    in_order(&agents, built, check, |(name, outcome)| worst = worst.max(show(name, outcome)));
    Ok(worst.max(show_equal_work(&agents[0], &running)))
}

/// A server and its program, if it has one.
type Built<'a> = (&'a ServerDef, Option<PathBuf>);

/// How many connections are idle: fewer than there should be where the limit of open files is low, which is said.
fn idle_connections(limit: u64) -> usize {
    let room = usize::try_from(limit.saturating_sub(SPARE_FILES)).unwrap_or(usize::MAX);
    if room < IDLE_CONNECTIONS {
        eprintln!(
            "note: {room} idle connections and not {IDLE_CONNECTIONS}: the limit of open files is {limit}"
        );
    }
    room.min(IDLE_CONNECTIONS)
}

/// Starts a server, replays everything to it, and holds on to it.
fn started(agent: &Agent, (def, program): &Built<'_>, connections: usize) -> Result<Replayed> {
    let with = |extra: &[&str], check: &dyn Fn(&ServerHandle) -> Result<Replayed, String>| {
        let extra = extra.iter().map(|&argument| argument.to_owned()).collect();
        let options = StartOptions { extra, ..StartOptions::default() };
        let replayed = agent.start_server(def, program.as_deref(), 1, &options).and_then(|server| {
            let replayed = check(&server);
            server.stop(false)?;
            replayed
        });
        replayed.map_err(|problem| anyhow!("{problem}"))
    };
    if !def.answers_byte_for_byte() {
        return with(&[], &|server| server.verify(Level::Replies));
    }
    let replayed = with(&transcript::ARGUMENTS, &|server| server.verify(Level::Full))?;
    // Of the transcripts' server idle connections are closed within two seconds.
    let held = with(&[], &|server| server.hold(connections))?;
    Ok(replayed.and(held))
}

/// Whether equal work takes equal CPU on the servers that are built here.
fn show_equal_work(agent: &Agent, built: &[Built<'_>]) -> Exit {
    let (mut servers, mut names) = (Vec::new(), Vec::new());
    let works = |def: &ServerDef| def.answers_byte_for_byte() && def.has_target(equal_work::WORK);
    for (def, program) in built.iter().filter(|(def, _)| works(def)) {
        // Why one does not start was said already.
        if let Ok(server) = agent.start_server(def, program.as_deref(), 1, &StartOptions::default()) {
            servers.push(server);
            names.push(def.name.as_str());
        }
    }
    if servers.len() < 2 {
        return Exit::Done;
    }
    let running: Vec<_> = names.into_iter().zip(&servers).collect();
    match agent.equal_work(&running) {
        Ok(equal) => {
            let (word, exit) = match equal.verdict() {
                Verdict::Equal => ("ok", Exit::Done),
                Verdict::Unlike => ("FAILED", Exit::Difference),
                // No server's fault.
                Verdict::NotTold => ("not told", Exit::Done),
            };
            println!("equal work: {word}");
            equal.to_string().lines().for_each(|line| println!("  {line}"));
            exit
        }
        Err(error) => {
            println!("equal work: FAILED\n  {error}");
            Exit::Failed
        }
    }
}

fn show(name: &str, outcome: Result<Replayed>) -> Exit {
    match outcome {
        Ok(replayed) => {
            let (word, exit) =
                if replayed.is_ok() { ("ok", Exit::Done) } else { ("FAILED", Exit::Difference) };
            println!("{name}: {word}");
            for line in replayed.to_string().lines() {
                println!("  {line}");
            }
            exit
        }
        Err(error) => {
            println!("{name}: FAILED\n  {error:#}");
            Exit::Failed
        }
    }
}
