//! `harness merge`: joins the parts of a run that were measured with `--blocks-of`.

use crate::cli::args::MergeArgs;
use crate::exit::Exit;
use crate::run::merge::merge;
use anyhow::Result;
use std::io::Write as _;

/// Joins them and names the files.
///
/// # Errors
/// They are not all the parts of one run.
pub(super) fn run(args: &MergeArgs) -> Result<Exit> {
    for file in merge(&args.dirs, args.out.as_deref())? {
        // A closed stdout is not an error.
        _ = writeln!(std::io::stdout(), "wrote {}", file.display());
    }
    Ok(Exit::Done)
}
