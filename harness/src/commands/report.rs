//! `harness report`: the tables of a run, again, from its stored rows.

use crate::cli::ReportArgs;
use crate::exit::Exit;
use crate::outcome::directory::read_cells;
use crate::outcome::rows::counting;
use crate::outcome::summary::summarise;
use crate::report::tables;
use anyhow::Result;
use std::io::Write as _;

/// Prints them.
///
/// # Errors
/// The directory is none of ours.
pub fn run(args: &ReportArgs) -> Result<Exit> {
    let rows = read_cells(&args.dir)?;
    let text = tables::render(&summarise(&counting(&rows)), args.by, args.format);
    // Whoever closed stdout has read enough.
    _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Done)
}
