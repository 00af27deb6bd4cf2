//! Where the instructions of a request go, as a picture: a bar for each server, in parts by whose source they are of.

use super::theme::{Area, Drawn, Theme, write, write_both};
use crate::exit::usage;
use crate::record::counts::{CrateRow, read_counts, read_crates};
use anyhow::Result;
use plotters::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The route that is drawn: what the set-up itself costs.
const ROUTE: &str = "/plaintext";

/// Pixels: the room for names and for totals, the longest bar, a bar's height and that of its line.
const NAMES: i32 = 118;
const TOTALS: i32 = 70;
const LONGEST: i32 = 820;
const BAR: i32 = 22;
const HEIGHT: i32 = 30;
/// The size of texts, in pixels.
const TEXT: u32 = 14;

/// The parts of a bar, from the left, with their colours (Okabe & Ito 2008). What is no other part's is the last one's.
const PARTS: [(&str, RGBColor); 6] = [
    ("std", RGBColor(120, 120, 125)),
    ("libc", RGBColor(165, 165, 170)),
    ("hyper", RGBColor(0, 114, 178)),
    ("http, httparse, bytes", RGBColor(86, 180, 233)),
    ("our handlers", RGBColor(0, 158, 115)),
    ("runtime and adapters", RGBColor(213, 94, 0)),
];

/// The place of a crate among [`PARTS`].
fn part(name: &str) -> usize {
    match name {
        "std" => 0,
        "libc" | "libm" | "ld-linux-x86-64" => 1,
        "hyper" => 2,
        "http" | "httparse" | "bytes" | "http-body-util" | "httpdate" | "itoa" => 3,
        // A server's own program, as far as it has no line tables.
        name if name == "ours" || name.starts_with("rt-") => 4,
        _ => 5,
    }
}

/// A server's bar.
#[derive(Debug, PartialEq)]
struct Bar {
    server: String,
    /// Instructions per request, by the place of the part.
    parts: [f64; PARTS.len()],
}

impl Bar {
    fn total(&self) -> f64 {
        self.parts.iter().sum()
    }
}

/// Writes the picture of the count in `directory` into `STEM-light.svg` and `STEM-dark.svg`.
///
/// # Errors
/// The directory holds no count of `/plaintext`, or a file cannot be written.
pub fn write_instructions(directory: &Path, stem: &str) -> Result<()> {
    let ceilings = read_counts(directory)?.into_iter().filter(|row| row.role == "ceiling");
    let ceilings: Vec<String> = ceilings.map(|row| row.server).collect();
    let mut rows = read_crates(directory)?;
    rows.retain(|row| row.route == ROUTE && !ceilings.contains(&row.server));
    let most = rows.iter().map(|row| row.connections).max();
    let most = most.ok_or_else(|| usage!("{}: {ROUTE} was not counted", directory.display()))?;
    rows.retain(|row| row.connections == most);
    let bars = bars(&rows);
    let size =
        (u32::try_from(NAMES + LONGEST + TOTALS)?, u32::try_from(HEIGHT * i32::try_from(bars.len() + 2)?)?);
    let title = format!("instructions per {ROUTE}, {most} connections, in user space");
    write_both(stem, size, |area, theme| draw(&bars, &title, area, theme))
}

/// The bars of these rows, the shortest first.
fn bars(rows: &[CrateRow]) -> Vec<Bar> {
    let mut all: BTreeMap<&str, [f64; PARTS.len()]> = BTreeMap::new();
    for row in rows {
        all.entry(&row.server).or_default()[part(&row.crate_name)] += row.instructions_per_request;
    }
    let mut bars: Vec<Bar> =
        all.into_iter().map(|(server, parts)| Bar { server: server.to_owned(), parts }).collect();
    bars.sort_by(|a, b| a.total().total_cmp(&b.total()));
    bars
}

fn draw(bars: &[Bar], title: &str, area: &Area<'_>, theme: &Theme) -> Drawn {
    let longest = bars.iter().map(Bar::total).fold(1.0, f64::max);
    write(area, title, (NAMES, HEIGHT / 2), false, TEXT, theme.soft)?;
    for (place, bar) in (1..).zip(bars) {
        let top = place * HEIGHT + (HEIGHT - BAR) / 2;
        let middle = top + BAR / 2;
        write(area, &bar.server, (4, middle), false, TEXT, theme.text)?;
        let mut sum = 0.0;
        let at = |sum: f64| NAMES + (f64::from(LONGEST) * sum / longest).round() as i32;
        for (instructions, (_, colour)) in bar.parts.iter().zip(PARTS) {
            let ends = [(at(sum), top), (at(sum + instructions), top + BAR)];
            sum += instructions;
            area.draw(&Rectangle::new(ends, colour.filled()))?;
        }
        write(area, &format!("{sum:.0}"), (at(sum) + 8, middle), false, TEXT, theme.text)?;
    }
    let middle = (i32::try_from(bars.len())? + 1) * HEIGHT + HEIGHT / 2;
    let mut left = NAMES;
    for (name, colour) in PARTS {
        area.draw(&Rectangle::new([(left, middle - 7), (left + 14, middle + 7)], colour.filled()))?;
        write(area, name, (left + 20, middle), false, TEXT - 1, theme.soft)?;
        left += 44 + 7 * i32::try_from(name.len())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_all_instructions_of_its_server() {
        let row = |server: &str, name: &str, n: f64| CrateRow {
            server: server.into(),
            crate_name: name.into(),
            instructions_per_request: n,
            ..CrateRow::default()
        };
        let rows = [
            row("b", "std", 5.0),
            row("b", "mio", 2.0),
            row("b", "some-executor", 1.0),
            row("a", "ours", 3.0),
        ];
        let bars = bars(&rows);
        let said: Vec<(&str, f64)> = bars.iter().map(|bar| (&*bar.server, bar.total())).collect();
        assert_eq!(said, [("a", 3.0), ("b", 8.0)]);
        assert_eq!(bars[1].parts[5], 3.0);
    }
}
