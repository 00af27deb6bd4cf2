//! Replays the contract's byte transcripts over a socket and says where a server differs; so do the clients that only
//! hold on.
//!
//! Nothing here knows a route or a runtime: what is sent and what must come back is in the contract's
//! transcripts, and in a server's manifest, which also says where the server may differ.

mod ask;
mod check;
mod client;
mod declared;
mod deviation;
mod findings;
mod held;
mod hostile;
mod options;
mod replay;
mod session;
mod wire;

#[cfg(test)]
mod tests;

pub use declared::{Answer, DeclaredRoute, is_name};
pub use deviation::Deviation;
pub use findings::{Aspect, Gone, Mismatch, Mode, Replayed, Skipped};
pub use held::IDLE_CONNECTIONS;
pub use options::{Level, Options};

use anyhow::{Result, ensure};
use contract::route::ROUTES;
use contract::transcript::{self, Case, Probe, Then, Transcripts};
use options::Replay;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Replays the contract's transcripts to the server at `addr`, which must have been started with
/// [`contract::transcript::ARGUMENTS`], and asks for the routes that the server declares.
///
/// # Errors
/// Nobody listens there, or the options name a case or a route that does not exist.
pub fn verify(addr: SocketAddr, options: &Options) -> Result<Replayed> {
    let mut replayed = match options.has.is_empty() {
        true => Replayed::default(),
        false => replay(addr, options, &hostile::load()?)?,
    };
    for route in &options.routes {
        match ask::route(addr, route, options.patience)? {
            None => replayed.passed += 1,
            Some(mismatch) => {
                replayed.failed += 1;
                replayed.undeclared.push(mismatch);
            }
        }
    }
    Ok(replayed)
}

/// Holds on to the server at `addr`: asks and never reads, and opens `connections` connections on which nothing is said.
/// The server must have been started without [`contract::transcript::ARGUMENTS`], which end idle connections early.
///
/// # Errors
/// Those of [`verify`].
pub fn hold(addr: SocketAddr, options: &Options, connections: usize) -> Result<Replayed> {
    let transcripts = hostile::load()?;
    check_names(&options.has, &options.deviations, &transcripts)?;
    hold_with(addr, options, connections, &transcripts.probes)
}

fn hold_with(addr: SocketAddr, options: &Options, connections: usize, probes: &[Probe]) -> Result<Replayed> {
    let replay = Replay::new(addr, options, probes)?;
    client::Connection::open(addr, options.patience)?;
    let found = replay.hold(connections);
    Ok(judged(found, held::CASES.len(), &deviation::about(&options.deviations, &held::CASES)))
}

/// Asks for one route: the first mismatch, if there is one.
///
/// # Errors
/// The server cannot be reached.
pub fn ask(addr: SocketAddr, route: &DeclaredRoute, patience: Duration) -> Result<Option<Mismatch>> {
    ask::route(addr, route, patience)
}

/// Checks that `has` and `deviations` name routes and cases that exist.
fn check_names(has: &[String], deviations: &[Deviation], transcripts: &Transcripts) -> Result<()> {
    for name in has {
        let known = ROUTES.iter().any(|route| route.name == name);
        ensure!(known, "has: no such route: {name}");
    }
    let replayed = transcripts.cases.iter().map(|case| case.name.as_str());
    let known: BTreeSet<&str> = replayed.chain(held::CASES).collect();
    deviations.iter().try_for_each(|deviation| deviation.check(&known))
}

/// Replays any transcripts.
///
/// # Errors
/// Those of [`verify`].
pub fn replay(addr: SocketAddr, options: &Options, transcripts: &Transcripts) -> Result<Replayed> {
    check_names(&options.has, &options.deviations, transcripts)?;
    let lacked = |uses: &[String]| uses.iter().find(|used| !options.has.contains(used)).cloned();
    let mut skipped = Vec::new();
    let mut cases: Vec<&Case> = Vec::new();
    for case in &transcripts.cases {
        let selected = match options.level {
            Level::Full => true,
            Level::Short => case.short,
            Level::Replies => case.plain,
        };
        match lacked(&case.uses) {
            _ if !selected => {}
            Some(lacks) => skipped.push(Skipped { case: case.name.clone(), lacks }),
            None => cases.push(case),
        }
    }
    // Those that last long for what they are first, so that none of them is last.
    cases.sort_by_key(|case| std::cmp::Reverse(least_duration(case)));
    let replay = Replay::new(addr, options, &transcripts.probes)?;

    // From here on a server that cannot be reached is one that died: a mismatch, and not an error.
    client::Connection::open(addr, options.patience)?;
    let found = each(&cases, options.threads, |case| replay.case(case));
    let mut replayed = judged(found, cases.len(), &deviation::not_about(&options.deviations, &held::CASES));
    // A short check does not see everything that is declared.
    if options.level == Level::Short {
        replayed.gone.clear();
    }
    Ok(Replayed { skipped, ..replayed })
}

/// What the mismatches found in so many cases mean, given the deviations that are declared.
fn judged(found: Vec<Mismatch>, cases: usize, deviations: &[Deviation]) -> Replayed {
    let gone = deviation::gone(&found, deviations);
    let (undeclared, declared) = deviation::part(found, deviations);
    let failed: BTreeSet<&str> = undeclared.iter().map(|mismatch| mismatch.case.as_str()).collect();
    let failed = failed.len();
    Replayed { passed: cases - failed, failed, undeclared, declared, gone, skipped: Vec::new() }
}

/// How long a case takes at the least.
fn least_duration(case: &Case) -> Duration {
    let pauses = case.steps.iter().map(|step| match step {
        transcript::Step::Pause(pause) => *pause,
        _ => Duration::ZERO,
    });
    let delays = case.replies.iter().map(|reply| reply.delay);
    let close = if case.then == Then::Closed { case.after.unwrap_or_default() } else { Duration::ZERO };
    pauses.sum::<Duration>() + delays.sum::<Duration>() + close
}

/// Replays the cases on a few threads, and sorts what they found by case and aspect.
fn each(cases: &[&Case], threads: usize, replay: impl Fn(&Case) -> Vec<Mismatch> + Sync) -> Vec<Mismatch> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, cases.len().max(1)) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mismatches = replay(case);
                    found.lock().unwrap_or_else(PoisonError::into_inner).extend(mismatches);
                }
            });
        }
    });
    let mut found: Vec<Mismatch> = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by(|a, b| (&a.case, &a.aspect).cmp(&(&b.case, &b.aspect)));
    found
}
