//! The map of a run as a picture: servers down, workloads across, each cell coloured by how many times the best of its
//! column it is.

use super::answer::{cell_text, labels, unit};
use super::figures::BINS;
use super::theme::{Area, Drawn, Theme, write, write_both};
use crate::analysis::map::{Map, MapCell, MapColumn, Standing};
use anyhow::Result;
use plotters::prelude::*;

/// Pixels: the room for names, a cell's width and height, a line of a heading.
const NAMES: i32 = 118;
const WIDTH: i32 = 112;
const HEIGHT: i32 = 30;
const LINE: i32 = 17;
/// The size of texts, in pixels.
const TEXT: u32 = 14;

/// Writes the map into `STEM-light.svg` and `STEM-dark.svg`.
///
/// # Errors
/// A picture cannot be drawn, or a file cannot be written.
pub fn write_map(map: &Map, stem: &str) -> Result<()> {
    let headings = labels(map);
    let lines = headings.iter().map(Vec::len).max().unwrap_or(0);
    let top = 8 + LINE * i32::try_from(lines)?;
    let (columns, servers) = (i32::try_from(map.workloads.len())?, i32::try_from(map.servers.len())?);
    let size =
        (u32::try_from(NAMES + columns * WIDTH + 4)?, u32::try_from(top + servers * HEIGHT + LINE + 14)?);
    write_both(stem, size, |area, theme| draw(map, &headings, top, area, theme))
}

fn draw(map: &Map, headings: &[Vec<String>], top: i32, area: &Area<'_>, theme: &Theme) -> Drawn {
    for ((place, column), heading) in (0..).zip(&map.workloads).zip(headings) {
        let right = NAMES + (place + 1) * WIDTH;
        let last = heading.len() - 1;
        for (line, text) in heading.iter().enumerate() {
            // The lowest line stands on the cells.
            let at = top - 6 - LINE / 2 - LINE * i32::try_from(last - line)?;
            let colour = if line == 0 { theme.text } else { theme.soft };
            write(area, text, (right - 8, at), true, if line == 0 { TEXT } else { TEXT - 2 }, colour)?;
        }
        for (row, server) in (0..).zip(&map.servers) {
            let corner = (right - WIDTH, top + row * HEIGHT);
            match column.cells.get(server) {
                Some(cell) => draw_cell(column, cell, corner, area, theme)?,
                None => {
                    write(area, "–", (corner.0 + WIDTH - 22, corner.1 + HEIGHT / 2), true, TEXT, theme.soft)?
                }
            }
        }
    }
    for (row, server) in (0..).zip(&map.servers) {
        write(area, server, (4, top + row * HEIGHT + HEIGHT / 2), false, TEXT, theme.text)?;
    }
    let under = top + i32::try_from(map.servers.len())? * HEIGHT + 6 + LINE / 2;
    legend(under, area, theme)
}

fn draw_cell(
    column: &MapColumn,
    cell: &MapCell,
    corner: (i32, i32),
    area: &Area<'_>,
    theme: &Theme,
) -> Drawn {
    let ends = |inset: i32| {
        [(corner.0 + inset, corner.1 + inset), (corner.0 + WIDTH - inset, corner.1 + HEIGHT - inset)]
    };
    let times = cell.value.and_then(|value| column.times_best(value));
    if let Some(times) = times {
        let bin = BINS.iter().position(|end| times <= *end).unwrap_or(BINS.len());
        area.draw(&Rectangle::new(ends(1), theme.cells[bin].filled()))?;
    }
    if matches!(cell.standing, Standing::NotTold | Standing::Alike(_)) {
        dotted(ends(3), area, theme)?;
    }
    let text = cell_text(cell, unit(column).1, column.metric);
    let text = console::strip_ansi_codes(&text).into_owned();
    let light = times.is_some_and(|times| times > BINS[BINS.len() - 1]);
    let colour = if light { RGBColor(255, 255, 255) } else { theme.text };
    let (number, mark) = text.split_once(' ').unwrap_or((&text, ""));
    let middle = corner.1 + HEIGHT / 2;
    write(area, number, (corner.0 + WIDTH - 22, middle), true, TEXT, colour)?;
    write(area, mark.trim(), (corner.0 + WIDTH - 16, middle), false, TEXT, colour)
}

/// A frame of dots.
fn dotted(ends: [(i32, i32); 2], area: &Area<'_>, theme: &Theme) -> Drawn {
    let [(left, top), (right, bottom)] = ends;
    let across = (left..=right).step_by(4).flat_map(|x| [(x, top), (x, bottom)]);
    let down = (top..=bottom).step_by(4).flat_map(|y| [(left, y), (right, y)]);
    for (x, y) in across.chain(down) {
        area.draw(&Rectangle::new([(x, y), (x + 1, y + 1)], theme.soft.filled()))?;
    }
    Ok(())
}

/// What the colours and the frame mean.
fn legend(middle: i32, area: &Area<'_>, theme: &Theme) -> Drawn {
    let names = ["best, or within 2%", "to 1.1 times", "to 1.25", "to 1.5", "to 2", "to 4", "more"];
    let mut left = 4;
    for (name, colour) in names.iter().zip(theme.cells) {
        area.draw(&Rectangle::new([(left, middle - 7), (left + 16, middle + 7)], colour.filled()))?;
        write(area, name, (left + 21, middle), false, TEXT - 2, theme.soft)?;
        left += 38 + 7 * i32::try_from(name.len())?;
    }
    dotted([(left, middle - 7), (left + 16, middle + 7)], area, theme)?;
    write(area, "· not told from the best", (left + 21, middle), false, TEXT - 2, theme.soft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::report::answer::tests::cell;
    use std::fs;

    #[test]
    fn a_map_names_all_and_marks_what_was_not_told() {
        let rows =
            [cell("may", "plaintext", 6.0), cell("smol", "plaintext", 9.0), cell("tokio", "plaintext", 6.0)];
        let rows = rows.concat();
        let map = Map::of(&rows, &Analysis::of(&rows), None);
        let folder = tempfile::tempdir().expect("a folder");
        let stem = folder.path().join("map").to_str().expect("UTF-8").to_owned();
        let read = || {
            write_map(&map, &stem).expect("drawn");
            ["light", "dark"].map(|theme| fs::read_to_string(format!("{stem}-{theme}.svg")).expect("there"))
        };
        let pictures = read();
        assert_eq!(pictures, read(), "the same bytes twice");
        for picture in &pictures {
            for text in ["may", "smol", "tokio", "/plaintext", "CPU µs/request", "9.04", "·"] {
                assert!(picture.contains(text), "{text}");
            }
        }
        assert_ne!(pictures[0], pictures[1]);
    }
}
