//! `harness [run]`: measures, or goes on where a run ended early.

use crate::cli::args::{self, RunArgs};
use crate::exit::Exit;
use crate::experiment::root;
use crate::report::progress::Shown;
use crate::run;
use anyhow::Result;

/// Runs it.
///
/// # Errors
/// The command line is wrong, or the environment failed before anything could be measured.
pub(super) fn run(args: &RunArgs) -> Result<Exit> {
    args.no_effect()?;
    let root = root::of(args.place.root.as_deref())?;
    let root = root.as_deref();
    args::color(args.color);
    let shown = match (args.quiet, args.details) {
        (true, _) => Shown::Files,
        (false, true) => Shown::Details,
        (false, false) => Shown::Answer,
    };
    let run = match &args.resume {
        Some(directory) => run::resume(root, directory, shown)?,
        None => run::begin(root, &args.request, args.out.as_deref(), shown)?,
    };
    run.complete()
}
