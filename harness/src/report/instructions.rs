//! Where the instructions of a request go, by whose source they are of: as a picture with a bar for each server, and as
//! a table.

use super::drawing::{Format, drawn};
use super::image::{Area, Drawn, fitting, svg, text, width};
use super::theme::Theme;
use crate::exit::usage;
use crate::record::counts::{CountRow, CrateRow};
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use std::collections::{BTreeMap, BTreeSet};

/// Pixels: the width of a picture, the column of names, the room for totals, a bar with the gap to the next.
const WIDTH: i32 = 900;
const NAMES: i32 = 116;
const TOTALS: i32 = 56;
const BAR: i32 = 34;
const GAP: i32 = 8;
/// Pixels: what is above the bars (the title and the legend), the axis below them.
const ABOVE: i32 = 62;
const AXIS: i32 = 46;
/// The heights of text in pixels.
const FIGURE: f64 = 14.0;
const LABEL: f64 = 12.0;

/// The parts of a bar, from the left.
const PARTS: [&str; 7] =
    ["executor, reactor, glue", "hyper", "http, httparse, bytes", "std", "libc", "this project", "others"];

/// The colour of each part, as its place in [`Theme::series`].
const COLOURS: [usize; 7] = [1, 0, 7, 5, 3, 4, 8];

/// Returns the part that a crate belongs to. A server without a runtime says which crates are no runtime's.
fn part(name: &str, without_runtime: &BTreeSet<&str>) -> usize {
    match name {
        "hyper" => 1,
        "http" | "httparse" | "bytes" => 2,
        "std" => 3,
        "libc" => 4,
        "ours" => 5,
        _ if without_runtime.contains(name) => 6,
        _ => 0,
    }
}

/// A server's bar.
#[derive(Debug, PartialEq)]
struct Bar<'a> {
    server: &'a str,
    /// Instructions per request of each of [`PARTS`].
    parts: [f64; 7],
    total: f64,
}

/// Returns the bars of the contestants on the first workload's route with the most connections, the least total first,
/// and a row of that workload.
fn bars<'a>(counts: &'a [CountRow], crates: &'a [CrateRow]) -> Option<(&'a CountRow, Vec<Bar<'a>>)> {
    let route = &counts.first()?.route;
    let shown = counts.iter().filter(|row| row.route == *route).max_by_key(|row| row.connections)?;
    let its = || crates.iter().filter(|row| row.workload_id == shown.workload_id);
    let is_without: BTreeSet<&str> =
        counts.iter().filter(|row| row.runtime_version.is_empty()).map(|row| &*row.server).collect();
    let without_runtime: BTreeSet<&str> =
        its().filter(|row| is_without.contains(&*row.server)).map(|row| &*row.crate_name).collect();
    let mut bars: BTreeMap<&str, [f64; 7]> = BTreeMap::new();
    for row in its() {
        let parts = bars.entry(&row.server).or_default();
        parts[part(&row.crate_name, &without_runtime)] += row.instructions_per_request;
    }
    let total = |server: &str| {
        let is = |row: &&CountRow| row.server == server && row.workload_id == shown.workload_id;
        let row = counts.iter().find(is).filter(|row| row.role == "contestant");
        row.and_then(|row| row.instructions_per_request)
    };
    let mut bars: Vec<Bar<'_>> = bars
        .into_iter()
        .filter_map(|(server, parts)| Some(Bar { server, parts, total: total(server)? }))
        .collect();
    bars.sort_by(|a, b| a.total.total_cmp(&b.total));
    (!bars.is_empty()).then_some((shown, bars))
}

/// Draws the bars of the route that was counted first, over the most connections.
///
/// # Errors
/// There is no count.
pub fn draw(counts: &[CountRow], crates: &[CrateRow], theme: &Theme) -> Result<String> {
    let (shown, bars) = bars(counts, crates).ok_or_else(|| usage!("there is no count to draw"))?;
    let title = format!("{}, in user space", title(shown));
    let bottom = ABOVE + BAR * bars.len() as i32;
    let alt = format!("Instructions per request of {} servers by crate: {title}", bars.len());
    svg(&alt, (WIDTH as u32, (bottom + AXIS) as u32), |area| {
        legend(area, theme, &title, &bars)?;
        let largest = bars.last().map_or(1.0, |bar| bar.total);
        let scale = f64::from(WIDTH - NAMES - TOTALS) / largest;
        axis(area, theme, largest, scale, bottom)?;
        for (n, bar) in bars.iter().enumerate() {
            draw_bar(area, theme, bar, scale, ABOVE + BAR * n as i32)?;
        }
        Ok(())
    })
}

/// Draws the same as a table in Markdown; nothing if there is no count.
pub fn table(counts: &[CountRow], crates: &[CrateRow]) -> String {
    let Some((shown, bars)) = bars(counts, crates) else { return String::new() };
    let header = ["server", "all"].into_iter().chain(PARTS).map(str::to_owned).collect();
    let line = |bar: &Bar<'_>| {
        let numbers = std::iter::once(bar.total).chain(bar.parts).map(|number| format!("{number:.0}"));
        std::iter::once(bar.server.to_owned()).chain(numbers).collect()
    };
    Format::Markdown.heading(&title(shown), ", by whose source they are of")
        + &drawn(header, bars.iter().map(line).collect(), 1..PARTS.len() + 2, Format::Markdown)
        + "\n"
}

fn title(shown: &CountRow) -> String {
    let s = if shown.connections == 1 { "" } else { "s" };
    format!("{}, {} connection{s}", shown.route, shown.connections)
}

fn legend(area: &Area<'_>, theme: &Theme, title: &str, bars: &[Bar<'_>]) -> Drawn {
    area.draw_text(title, &text(FIGURE, HPos::Left, theme.text), (2, 12))?;
    let mut x = 2;
    for (part, name) in PARTS.iter().enumerate().filter(|(part, _)| bars.iter().any(|b| b.parts[*part] > 0.0))
    {
        let colour = theme.series[COLOURS[part]];
        area.draw(&Rectangle::new([(x, 30), (x + 20, 44)], colour.filled()))?;
        area.draw_text(name, &text(LABEL, HPos::Left, theme.text), (x + 26, 37))?;
        x += 40 + width(name, LABEL) as i32;
    }
    Ok(())
}

/// Draws a line from top to bottom at each of a few round numbers, and the title of the axis.
fn axis(area: &Area<'_>, theme: &Theme, largest: f64, scale: f64, bottom: i32) -> Drawn {
    let rough = largest / 5.0;
    let ten = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|n| n * ten).into_iter().find(|step| *step >= rough).unwrap_or(rough);
    for n in 0..=(largest / step) as i32 {
        let x = NAMES + (f64::from(n) * step * scale).round() as i32;
        area.draw(&PathElement::new([(x, ABOVE - 4), (x, bottom)], theme.line.stroke_width(1)))?;
        let number = format!("{}", f64::from(n) * step);
        area.draw_text(&number, &text(LABEL, HPos::Center, theme.soft), (x, bottom + 11))?;
    }
    let middle = NAMES + (WIDTH - NAMES - TOTALS) / 2;
    area.draw_text(
        "instructions per request",
        &text(LABEL, HPos::Center, theme.soft),
        (middle, bottom + 32),
    )?;
    Ok(())
}

fn draw_bar(area: &Area<'_>, theme: &Theme, bar: &Bar<'_>, scale: f64, top: i32) -> Drawn {
    let (from, to) = (top + GAP / 2, top + BAR - GAP / 2);
    let middle = top + BAR / 2;
    let pixels = fitting(bar.server, FIGURE, f64::from(NAMES) - 8.0);
    area.draw_text(bar.server, &text(pixels, HPos::Left, theme.text), (2, middle))?;
    let place = |value: f64| NAMES + (value * scale).round() as i32;
    let mut before = 0.0;
    for (part, value) in bar.parts.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let (left, right) = (place(before), place(before + value));
        before += value;
        let colour = theme.series[COLOURS[part]];
        // A pixel of the ground between parts, where there is one to spare.
        let end = if right > left + 1 { right - 1 } else { right };
        area.draw(&Rectangle::new([(left, from), (end, to)], colour.filled()))?;
        let number = format!("{value:.0}");
        if width(&number, LABEL) + 2.0 < f64::from(end - left) {
            let style = text(LABEL, HPos::Center, theme.on_series);
            area.draw_text(&number, &style, ((left + end) / 2, middle))?;
        }
    }
    let total = format!("{:.0}", bar.total);
    area.draw_text(&total, &text(FIGURE, HPos::Left, theme.text), (place(bar.total) + 6, middle))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::theme::{DARK, LIGHT};

    fn counted() -> (Vec<CountRow>, Vec<CrateRow>) {
        let count = |server: &str, connections: usize, runtime: &str, role: &str, total: f64| CountRow {
            server: server.into(),
            role: role.into(),
            workload_id: format!("w{connections}"),
            route: "/<b>".into(),
            connections,
            runtime_version: runtime.into(),
            instructions_per_request: Some(total),
            ..CountRow::default()
        };
        let counts = vec![
            count("dear", 1, "1.0", "contestant", 4560.0),
            count("dear", 64, "1.0", "contestant", 4560.0),
            count("<plain>", 64, "", "contestant", 1280.0),
            count("constant", 64, "", "ceiling", 300.0),
        ];
        let of = |server: &str, connections: usize, name: &str, instructions: f64| CrateRow {
            server: server.into(),
            workload_id: format!("w{connections}"),
            crate_name: name.into(),
            instructions_per_request: instructions,
            ..CrateRow::default()
        };
        let crates = vec![
            of("dear", 1, "std", 7777.0),
            of("dear", 64, "std", 3000.0),
            of("dear", 64, "reactor", 1000.0),
            of("dear", 64, "itoa", 60.0),
            of("dear", 64, "http", 500.0),
            of("<plain>", 64, "std", 1200.0),
            of("<plain>", 64, "itoa", 80.0),
            of("constant", 64, "ours", 300.0),
        ];
        (counts, crates)
    }

    #[test]
    fn only_crates_that_a_server_without_a_runtime_lacks_are_the_executor_s() {
        let (counts, crates) = counted();
        let (shown, bars) = bars(&counts, &crates).expect("counted");
        assert_eq!(shown.connections, 64, "the most");
        let plain = Bar { server: "<plain>", parts: [0., 0., 0., 1200., 0., 0., 80.], total: 1280. };
        let dear = Bar { server: "dear", parts: [1000., 0., 500., 3000., 0., 0., 60.], total: 4560. };
        assert_eq!(bars, [plain, dear], "the least first, and no ceiling");
    }

    #[test]
    fn a_table_has_what_the_picture_has() {
        let (counts, crates) = counted();
        let text = table(&counts, &crates);
        let line = text.lines().find(|line| line.contains("dear")).expect(&text);
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(cells, ["", "dear", "4560", "1000", "0", "500", "3000", "0", "0", "60", ""]);
        assert_eq!(table(&[], &[]), "");
    }

    #[test]
    fn a_picture_names_every_server_its_total_and_the_parts_that_there_are() {
        let (counts, crates) = counted();
        let light = draw(&counts, &crates, &LIGHT).expect("drawn");
        for said in ["&lt;plain&gt;", "dear", "1280", "4560", "/&lt;b&gt;, 64", "executor", "others", "http,"]
        {
            assert!(light.contains(said), "{said}: {light}");
        }
        assert!(!light.contains("libc") && !light.contains("7777") && !light.contains("constant"));
        assert_eq!(draw(&counts, &crates, &LIGHT).expect("drawn"), light, "the same bytes");
        assert_ne!(draw(&counts, &crates, &DARK).expect("drawn"), light);
        assert!(draw(&[], &[], &LIGHT).is_err());
    }
}
