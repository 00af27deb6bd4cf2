//! `harness selftest`: the harness against known answers.

use crate::cli::args::SelftestArgs;
use crate::exit::{Exit, usage};
use crate::experiment::root;
use crate::run::interrupt::Interrupt;
use crate::selftest::{self, Options, table};
use anyhow::Result;
use std::io::Write as _;
use std::time::Instant;

/// Runs the cases and prints their figures on stdout, and what did not pass on stderr.
///
/// # Errors
/// The command line is wrong, or the environment failed.
pub(super) fn run(args: &SelftestArgs) -> Result<Exit> {
    if !(args.tolerance_factor > 0.0 && args.tolerance_factor.is_finite()) {
        return Err(usage!("--tolerance-factor {}: give a number above 0", args.tolerance_factor));
    }
    let root = root::of(args.place.root.as_deref())?.ok_or_else(|| {
        usage!("no checkout of the project is here to build the oracle in: give --root DIR")
    })?;
    // A signal ends it at once: there is nothing to keep.
    Interrupt::listen()?;
    let start = Instant::now();
    let options = Options {
        only: args.only.clone(),
        strategies: args.strategy.clone(),
        full: args.full,
        driver: args.driver,
        mutation: args.mutate,
        tolerance_factor: args.tolerance_factor,
        hosts: args.hosts.clone(),
    };
    let figures = selftest::run(&root, &options)?;
    let text = table::render(&figures, args.format)?;
    // Whoever closed stdout does not want to read on.
    _ = std::io::stdout().lock().write_all(text.as_bytes());
    eprint!("{}", table::conclusion(&figures, start.elapsed()));
    Ok(match &figures {
        figures if figures.iter().any(selftest::has_failed) => Exit::Difference,
        figures if figures.iter().any(|figure| figure.cannot_tell) => Exit::Invalid,
        _ => Exit::Done,
    })
}
