//! `harness [run]`: measures, or goes on where a run ended early.

use crate::cli::args::RunArgs;
use crate::exit::Exit;
use crate::experiment::root;
use crate::run;
use anyhow::Result;

/// Runs it.
///
/// # Errors
/// The command line is wrong, or the environment failed before anything could be measured.
pub(super) fn run(args: &RunArgs) -> Result<Exit> {
    let root = root::find()?;
    args.no_effect()?;
    let run = match &args.resume {
        Some(directory) => run::resume(&root, directory, args.quiet)?,
        None => run::begin(&root, &args.request, args.out.as_deref(), args.quiet)?,
    };
    run.complete()
}
