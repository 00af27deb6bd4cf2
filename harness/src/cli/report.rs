//! `harness report`: the tables of a run, again, from its stored rows.

use crate::analysis::Analysis;
use crate::analysis::history::histories;
use crate::analysis::map::Map;
use crate::analysis::until::alpha_of;
use crate::cli::args::{self, ReportArgs};
use crate::count::table;
use crate::exit::Exit;
use crate::record::counts::{COUNTS, read_counts, read_crates, read_functions};
use crate::record::directory::read_cells;
use crate::record::slices;
use crate::report::about::About;
use crate::report::cells::By;
use crate::report::drawing::Format;
use crate::report::{
    answer, history, html, image, instructions, map_picture, page, picture, tables, workbook,
};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::Write as _;

/// Prints them.
///
/// # Errors
/// The directory is none of ours.
pub(super) fn run(args: &ReportArgs) -> Result<Exit> {
    if args.instructions.is_some() || args.history.is_some() || args.dir.join(COUNTS).is_file() {
        return count(args);
    }
    let rows = read_cells(&args.dir)?;
    let analysis = Analysis::at(&rows, &slices::read(&args.dir)?, alpha_of(&args.dir));
    if args.rewrite {
        analysis.write(&args.dir)?;
        html::write(&args.dir, &rows, &analysis)?;
    }
    if let Some(path) = &args.xlsx {
        workbook::write(path, &rows, &analysis)?;
    }
    let text = match args.format {
        _ if args.figures => page::render(&page::experiment_of(&args.dir)?, &rows, &analysis, args.format)?,
        _ if args.findings => {
            let map = Map::of(&rows, &analysis, About::read(&args.dir)?.experiment.as_ref());
            Format::Markdown.list(&answer::findings(&map))
        }
        Format::Html => html::page(&args.dir, &rows, &analysis)?,
        Format::Table if !args.details && args.by.is_none() => {
            args::color(args.color);
            let about = About::read(&args.dir)?;
            let map = Map::of(&rows, &analysis, about.experiment.as_ref());
            match &args.splice {
                None => answer::render(&map, &about, answer::width()),
                Some(_) => {
                    console::set_colors_enabled(false);
                    format!("```text\n{}```", answer::render(&map, &about, answer::WIDTH))
                }
            }
        }
        format => tables::render(&analysis, args.by.unwrap_or(By::Server), format),
    };
    for alarm in analysis.alarms().iter().filter(|_| !args.quiet) {
        eprintln!("{alarm}");
    }
    if let Some(stem) = &args.map {
        let map = Map::of(&rows, &analysis, About::read(&args.dir)?.experiment.as_ref());
        image::write(stem, |theme| map_picture::draw(&map, theme))?;
        return Ok(Exit::Done);
    }
    if let Some(path) = &args.picture {
        let picture = picture::svg(&page::experiment_of(&args.dir)?, &rows)?;
        fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(args, &text)
}

/// Prints or draws a count: release by release where it is of several, and otherwise its rows.
fn count(args: &ReportArgs) -> Result<Exit> {
    let counts = read_counts(&args.dir)?;
    if let Some(stem) = &args.instructions {
        let crates = read_crates(&args.dir)?;
        image::write(stem, |theme| instructions::draw(&counts, &crates, theme))?;
        return Ok(Exit::Done);
    }
    let histories = histories(&counts, &read_functions(&args.dir)?);
    if let Some(stem) = &args.history {
        image::write(stem, |theme| history::draw(&histories, theme))?;
        return Ok(Exit::Done);
    }
    let format = if args.splice.is_some() { Format::Markdown } else { args.format };
    let text = match histories.as_slice() {
        [] => table::counts(&counts),
        histories => history::render(histories, format),
    };
    print(args, &text)
}

/// Prints a text, or puts it where the arguments say.
fn print(args: &ReportArgs, text: &str) -> Result<Exit> {
    match &args.splice {
        Some(path) => {
            let made_by = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
            page::splice(path, &format!("harness {made_by}"), text)?;
        }
        // A closed stdout is not an error.
        None => _ = std::io::stdout().lock().write_all(text.as_bytes()),
    }
    Ok(Exit::Done)
}
