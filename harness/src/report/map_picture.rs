//! The map of a run as a picture: servers down, workloads across, each cell coloured by how many times the best of its
//! column its figure is.

use super::answer::{DEVIATES, labels, number, unit};
use super::image::{Area, Drawn, dotted, fitting, svg, text, width};
use super::theme::{BIN_NAMES, Theme, bin};
use crate::analysis::map::{Against, Map, MapCell, MapColumn, Standing};
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// Pixels: the column of names, a cell with the gap to the next, a line of a header, and a line of the legend.
const NAMES: i32 = 116;
const CELL: (i32, i32) = (98, 34);
const HEADER: i32 = 16;
const LEGEND: i32 = 24;
/// The gap between cells, and the least width of a picture, for its legend.
const GAP: i32 = 3;
const LEAST: i32 = 620;
/// The heights of text in pixels.
const FIGURE: f64 = 15.0;
const LABEL: f64 = 12.0;

/// Draws the map.
///
/// # Errors
/// The run has no figure.
pub fn draw(map: &Map, theme: &Theme) -> Result<String> {
    if map.workloads.is_empty() {
        return Err(anyhow!("no row has a figure"));
    }
    let labels = labels(map);
    let across = (NAMES + CELL.0 * map.workloads.len() as i32).max(LEAST);
    let header = HEADER * labels.iter().map(Vec::len).max().unwrap_or(0) as i32 + 8;
    let keys = placed(keys(map), across);
    let below = header + CELL.1 * map.servers.len() as i32 + 10;
    let height = below + LEGEND * (1 + keys.last().map_or(0, |key| key.2));
    let alt = format!("{} servers on {} workloads", map.servers.len(), map.workloads.len());
    svg(&alt, (across as u32, height as u32), |area| {
        let left = |column: usize| NAMES + CELL.0 * column as i32;
        for (column, lines) in labels.iter().enumerate() {
            let middle = left(column) + (CELL.0 - GAP) / 2;
            // From the top, but for the figure, which stands over its cells.
            let (figure, above) = lines.split_last().ok_or("no label")?;
            let last = header / HEADER - 1;
            let lines = above.iter().enumerate().map(|(n, line)| (n as i32, line, theme.text));
            for (n, line, colour) in lines.chain([(last, figure, theme.soft)]) {
                let pixels = fitting(line, LABEL, f64::from(CELL.0));
                area.draw_text(line, &text(pixels, HPos::Center, colour), (middle, HEADER * n + 10))?;
            }
        }
        for (row, server) in map.servers.iter().enumerate() {
            let top = header + CELL.1 * row as i32;
            let shown = map.name(server);
            let pixels = fitting(&shown, 14.0, f64::from(NAMES) - 8.0);
            let name = text(pixels, HPos::Left, theme.text);
            area.draw_text(&shown, &name, (2, top + (CELL.1 - GAP) / 2))?;
            for (column, of) in map.workloads.iter().enumerate() {
                cell(area, theme, (left(column), top), of, of.cells.get(server))?;
            }
        }
        for (key, x, line) in &keys {
            draw_key(area, theme, key, (*x, below + LEGEND * line))?;
        }
        Ok(())
    })
}

/// Draws the ground of a cell; `None` is one without a figure.
fn ground(area: &Area<'_>, theme: &Theme, ends: [(i32, i32); 2], bin: Option<usize>) -> Drawn {
    let colour = bin.map_or(theme.without, |bin| theme.bins[bin]);
    area.draw(&Rectangle::new(ends, colour.filled()))?;
    area.draw(&Rectangle::new(ends, theme.line.stroke_width(1)))?;
    Ok(())
}

/// Draws the dotted frame of a cell that was not told apart.
fn frame(area: &Area<'_>, theme: &Theme, [from, to]: [(i32, i32); 2]) -> Drawn {
    let (left, top, right, bottom) = (from.0 + 3, from.1 + 3, to.0 - 3, to.1 - 3);
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    area.draw(&PathElement::new(corners, dotted(theme.text)))?;
    Ok(())
}

fn cell(
    area: &Area<'_>,
    theme: &Theme,
    (x, y): (i32, i32),
    column: &MapColumn,
    cell: Option<&MapCell>,
) -> Drawn {
    let ends = [(x, y), (x + CELL.0 - GAP, y + CELL.1 - GAP)];
    let middle = ((ends[0].0 + ends[1].0) / 2, (ends[0].1 + ends[1].1) / 2);
    let Some((cell, value)) = cell.and_then(|cell| Some((cell, cell.value?))) else {
        ground(area, theme, ends, None)?;
        area.draw_text("–", &text(FIGURE, HPos::Center, theme.soft), middle)?;
        return Ok(());
    };
    let bin = bin(column.times_best(value).unwrap_or(1.0));
    ground(area, theme, ends, Some(bin))?;
    let colour = if bin + 1 == theme.bins.len() { theme.on_last_bin } else { theme.text };
    let mut style = text(FIGURE, HPos::Center, colour);
    let mark = match cell.standing {
        Standing::NotTold(_) => {
            frame(area, theme, ends)?;
            "·"
        }
        Standing::Alike(_) => "=",
        Standing::Reference => {
            style.font = style.font.style(FontStyle::Bold);
            ""
        }
        Standing::Apart(_) | Standing::Alone | Standing::Without(_) => "",
    };
    let shown = number(value, unit(column).1, column.metric);
    area.draw_text(&shown, &style, middle)?;
    style.font = style.font.style(FontStyle::Bold);
    area.draw_text(mark, &style, (ends[1].0 - 14, middle.1))?;
    Ok(())
}

/// A part of the legend.
enum Key {
    Words(&'static str),
    Bin(usize),
    NotTold(&'static str),
    Alike(&'static str),
    Without,
}

impl Key {
    fn words(&self) -> &'static str {
        match self {
            Key::Words(words) | Key::NotTold(words) | Key::Alike(words) => words,
            Key::Bin(bin) => BIN_NAMES[*bin],
            Key::Without => "no valid figure",
        }
    }

    /// The room for its sign, in pixels.
    fn sign(&self) -> i32 {
        if let Key::Words(_) = self { 0 } else { 30 }
    }
}

/// The legend, as far as the map needs it.
fn keys(map: &Map) -> Vec<Key> {
    let has =
        |is: &dyn Fn(&MapCell) -> bool| map.workloads.iter().any(|column| column.cells.values().any(is));
    let of_levels = map.workloads.iter().any(|column| column.against == Against::Baseline);
    let (not_told, alike) = match of_levels {
        true => ("not told apart from the baseline", "equivalent to the baseline"),
        false => ("not told apart from the best", "equivalent to the best"),
    };
    let mut keys = vec![Key::Words("Distance from the best of the column:")];
    keys.extend((0..BIN_NAMES.len()).map(Key::Bin));
    keys.extend(has(&|cell| matches!(cell.standing, Standing::NotTold(_))).then_some(Key::NotTold(not_told)));
    keys.extend(has(&|cell| matches!(cell.standing, Standing::Alike(_))).then_some(Key::Alike(alike)));
    let is_missing = |column: &MapColumn| {
        map.servers.iter().any(|server| column.cells.get(server).is_none_or(|cell| cell.value.is_none()))
    };
    keys.extend(map.workloads.iter().any(is_missing).then_some(Key::Without));
    keys.extend((!map.deviating.is_empty()).then_some(Key::Words(DEVIATES)));
    keys
}

/// Places the parts of the legend in lines: each with its left end in pixels and its line.
fn placed(keys: Vec<Key>, across: i32) -> Vec<(Key, i32, i32)> {
    let (mut x, mut line) = (2, 0);
    let place = |key: Key| {
        let its = key.sign() + width(key.words(), LABEL) as i32 + 8;
        if x + its > across {
            (x, line) = (2, line + 1);
        }
        let at = x;
        x += its;
        (key, at, line)
    };
    keys.into_iter().map(place).collect()
}

fn draw_key(area: &Area<'_>, theme: &Theme, key: &Key, (x, y): (i32, i32)) -> Drawn {
    let ends = [(x, y), (x + key.sign() - 6, y + 16)];
    let sign = match key {
        Key::Words(_) => "",
        Key::Bin(bin) => {
            ground(area, theme, ends, Some(*bin))?;
            ""
        }
        Key::NotTold(_) => {
            frame(area, theme, [(x - 3, y - 3), (ends[1].0 + 3, ends[1].1 + 3)])?;
            "·"
        }
        Key::Alike(_) => "=",
        Key::Without => {
            ground(area, theme, ends, None)?;
            "–"
        }
    };
    let middle = (ends[0].0 + ends[1].0) / 2;
    let mut style = text(LABEL, HPos::Center, theme.text);
    style.font = style.font.style(FontStyle::Bold);
    area.draw_text(sign, &style, (middle, y + 8))?;
    area.draw_text(key.words(), &text(LABEL, HPos::Left, theme.soft), (x + key.sign(), y + 8))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::record::row::Row;
    use crate::report::theme::{DARK, LIGHT};

    /// Twelve blocks of each server, whose CPU time per request is `level` microseconds and moves by 5%.
    fn map(servers: &[(&str, f64)]) -> Map {
        let row = |server: &str, block: usize, level: f64, place: usize| Row {
            server: server.into(),
            role: "contestant".into(),
            block,
            attempt: 1,
            workload_no: 1,
            workload_id: "w".into(),
            group_id: "w".into(),
            route: "/<b>".into(),
            strategy: "closed-loop".into(),
            loop_kind: "closed".into(),
            verdict: "ok".into(),
            server_cpu_us_per_request: Some(level * (1.0 + 0.05 * ((block * (place + 3)) % 5) as f64)),
            ..Row::default()
        };
        let rows: Vec<Row> = servers
            .iter()
            .enumerate()
            .flat_map(|(place, (server, level))| (1..=12).map(move |block| row(server, block, *level, place)))
            .collect();
        Map::of(&rows, &Analysis::of(&rows), None)
    }

    #[test]
    fn a_map_names_every_server_and_what_is_measured_of_it() {
        let map = map(&[("smol", 10.0), ("<may>", 25.0)]);
        let light = draw(&map, &LIGHT).expect("drawn");
        for said in ["smol", "&lt;may&gt;", "/&lt;b&gt;", "CPU µs/request", "#DCEFE4", "#E58657"] {
            assert!(light.contains(said), "{said}: {light}");
        }
        assert_eq!(draw(&map, &LIGHT).expect("drawn"), light, "the same bytes");
        assert!(!draw(&map, &DARK).expect("drawn").contains("#DCEFE4"));
        assert!(draw(&Map::default(), &LIGHT).is_err());
    }

    #[test]
    fn what_was_not_told_apart_has_a_mark_and_a_dotted_frame() {
        let marks = |servers: &[(&str, f64)]| {
            let svg = draw(&map(servers), &LIGHT).expect("drawn");
            (svg.matches("stroke-dasharray").count(), svg.lines().filter(|line| *line == "·").count())
        };
        // With one for the legend.
        assert_eq!(marks(&[("a", 10.0), ("b", 10.2), ("c", 30.0)]), (2, 2));
        assert_eq!(marks(&[("a", 10.0), ("c", 30.0)]), (0, 0));
    }

    #[test]
    fn a_cell_without_a_figure_is_grey_and_has_a_dash() {
        let mut map = map(&[("a", 10.0), ("b", 30.0)]);
        map.servers.push("lost".into());
        let svg = draw(&map, &LIGHT).expect("drawn");
        assert!(svg.contains("#E4E4E8") && svg.lines().any(|line| line == "–"), "{svg}");
    }
}
