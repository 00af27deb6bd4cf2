//! `harness report`: the tables of a run, again, from its stored rows.

use crate::analysis::Analysis;
use crate::analysis::history::histories;
use crate::analysis::role::{controlled, role};
use crate::analysis::until::alpha_of;
use crate::cli::args::{self, ReportArgs};
use crate::count::table;
use crate::exit::Exit;
use crate::experiment::server::Role;
use crate::experiment::suggest;
use crate::record::counts::{COUNTS, read_counts, read_crates, read_functions};
use crate::record::directory::read_cells;
use crate::record::row::Row;
use crate::record::slices;
use crate::report::about::About;
use crate::report::cells::By;
use crate::report::drawing::Format;
use crate::report::{
    answer, choices, history, html, image, instructions, map_picture, page, picture, tables, workbook,
};
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
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
    let mut rows = read_cells(&args.dir)?;
    let is_ceiling = |row: &Row| role(row) == Role::Ceiling;
    choose(&mut rows, &args.server, |row| controlled(&row.server), is_ceiling)?;
    let analysis = Analysis::at(&rows, &slices::read(&args.dir)?, alpha_of(&args.dir));
    if args.rewrite {
        analysis.write(&args.dir)?;
        html::write(&args.dir, &rows, &analysis)?;
    }
    if let Some(path) = &args.xlsx {
        workbook::write(path, &rows, &analysis)?;
    }
    let map = || anyhow::Ok(About::read(&args.dir)?.map(&rows, &analysis));
    let text = match args.format {
        _ if args.figures => page::render(&page::experiment_of(&args.dir)?, &rows, &analysis, args.format)?,
        _ if args.findings => Format::Markdown.list(&answer::findings(&map()?)),
        _ if args.choices => choices::table(&map()?, Format::Markdown),
        Format::Html => html::page(&args.dir, &rows, &analysis)?,
        Format::Table if !args.details && args.by.is_none() => {
            args::color(args.color);
            let about = About::read(&args.dir)?;
            let map = about.map(&rows, &analysis);
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
        let map = map()?;
        image::write(stem, |theme| map_picture::draw(&map, theme))?;
        return Ok(Exit::Done);
    }
    if let Some(path) = &args.picture {
        let picture = picture::svg(&page::experiment_of(&args.dir)?, &rows)?;
        fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(args, &text)
}

/// Leaves the rows of `servers`, all if there are none, and those that stay `always`. Pairs, and what their test allows
/// for, are then of these alone.
///
/// # Errors
/// One of them has no row.
fn choose<T>(
    rows: &mut Vec<T>,
    servers: &[String],
    name: impl Fn(&T) -> &str,
    always: impl Fn(&T) -> bool,
) -> Result<()> {
    let names: BTreeSet<&str> = rows.iter().filter(|row| !always(row)).map(&name).collect();
    let names: Vec<&str> = names.into_iter().collect();
    for given in servers {
        suggest::find("server", given, &names, |name| name)?;
    }
    if !servers.is_empty() {
        rows.retain(|row| always(row) || servers.iter().any(|server| server == name(row)));
    }
    Ok(())
}

/// Prints or draws a count: release by release where it is of several, and otherwise its rows.
fn count(args: &ReportArgs) -> Result<Exit> {
    let mut counts = read_counts(&args.dir)?;
    choose(&mut counts, &args.server, |row| &row.server, |_| false)?;
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
        [] if format == Format::Markdown => {
            table::by_route(&counts) + &instructions::table(&counts, &read_crates(&args.dir)?)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_servers_stay_with_their_controls_and_the_ceiling() {
        let all = ["smol", "smol.control", "may", "ceiling"];
        let row = |server: &&str| Row { server: (*server).into(), ..Row::default() };
        let left = |chosen: &[String]| -> Result<Vec<String>> {
            let mut rows: Vec<Row> = all.iter().map(row).collect();
            choose(&mut rows, chosen, |row| controlled(&row.server), |row| row.server == "ceiling")?;
            Ok(rows.into_iter().map(|row| row.server).collect())
        };
        assert_eq!(left(&[]).expect("all"), all);
        assert_eq!(left(&["smol".into()]).expect("known"), ["smol", "smol.control", "ceiling"]);
        let said = left(&["smoll".into()]).expect_err("unknown").to_string();
        assert_eq!(said, "unknown server 'smoll': did you mean smol?");
    }
}
