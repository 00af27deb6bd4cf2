//! The first figure of an experiment as a picture: a line for each server over the levels or phases that are compared,
//! and a panel for each group of them.

use super::drawing::Format;
use super::figures;
use super::page::{Figure, contestants, label, values, varying};
use crate::experiment::model::Experiment;
use crate::record::row::Row;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use stats::median;
use std::collections::BTreeMap;

/// Pixels: the width of a picture, the height of a panel, and the room for names at the right.
const WIDTH: u32 = 820;
const PANEL: u32 = 260;
const NAMES: u32 = 130;

/// Colours that people who see colours differently can tell apart (Okabe & Ito 2008), and black.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(120, 120, 120),
];

/// A panel: its columns in their order, and for each server the median in each.
struct Panel<'a> {
    title: String,
    columns: Vec<String>,
    lines: BTreeMap<&'a str, Vec<Option<f64>>>,
}

/// Draws the experiment's first figure, the medians over the blocks.
///
/// # Errors
/// The experiment has no figure, or none of the rows has it.
pub fn svg(experiment: &Experiment, rows: &[Row]) -> Result<String> {
    let name = experiment.figures.first().ok_or_else(|| anyhow!("the experiment has no figures"))?;
    let figure = Figure::find(name)?;
    let rows = contestants(rows);
    let rows: Vec<&Row> = rows.iter().filter(|row| figure.is_of(row)).collect();
    let panels = panels(&figure, &rows);
    if panels.is_empty() {
        return Err(anyhow!("no row has a value of {name}"));
    }
    let mut picture = String::new();
    draw(&mut picture, &panels, figure.column.name, figure.column.unit)
        .map_err(|error| anyhow!("cannot draw: {error}"))?;
    Ok(picture)
}

fn panels<'a>(figure: &Figure<'_>, rows: &[&'a Row]) -> Vec<Panel<'a>> {
    let mut groups: BTreeMap<(usize, &str), Vec<&'a Row>> = BTreeMap::new();
    let first = |id: &str| rows.iter().filter(|row| row.group_id == id).map(|row| row.workload_no).min();
    for row in rows {
        groups.entry((first(&row.group_id).unwrap_or(0), &row.group_id)).or_default().push(row);
    }
    let all: Vec<&Row> = groups.values().filter_map(|rows| rows.first().copied()).collect();
    let of_groups = varying(&all);
    let panel = |rows: Vec<&'a Row>| {
        let mut columns: BTreeMap<(usize, u64, &str), &Row> = BTreeMap::new();
        let mut servers: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            let before_ms = (row.warmup_s.unwrap_or(0.0) * 1e3) as u64;
            columns.entry((row.workload_no, before_ms, &row.phase)).or_insert(row);
            servers.entry(&row.server).or_default().push(row);
        }
        let columns: Vec<&Row> = columns.into_values().collect();
        let levels = varying(&columns);
        let medians = |rows: &Vec<&Row>| {
            let of = |column: &&Row| {
                let its: Vec<&Row> =
                    rows.iter().copied().filter(|row| row.workload_id == column.workload_id).collect();
                median(&values(figure, &its))
            };
            columns.iter().map(of).collect()
        };
        let level = |name: &&str| columns[0].factors.get(*name).map(|level| format!("{name} = {level}"));
        Panel {
            title: of_groups.iter().filter_map(level).collect::<Vec<_>>().join(", "),
            columns: columns
                .iter()
                .map(|row| label(row, &levels, Format::Table).replace('\n', ", "))
                .collect(),
            lines: servers.iter().map(|(server, rows)| (*server, medians(rows))).collect(),
        }
    };
    groups.into_values().map(panel).collect()
}

fn draw(
    picture: &mut String,
    panels: &[Panel<'_>],
    name: &str,
    unit: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let height = PANEL * u32::try_from(panels.len())? + 30;
    let area = SVGBackend::with_string(picture, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.titled(name, ("sans-serif", 18))?;
    let known = || panels.iter().flat_map(|panel| panel.lines.values()).flatten().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    let room = (high - low) * 0.08;
    let colours: BTreeMap<&str, RGBColor> = {
        let mut servers: Vec<&str> = panels.iter().flat_map(|panel| panel.lines.keys().copied()).collect();
        servers.sort_unstable();
        servers.dedup();
        servers.into_iter().zip(COLOURS.into_iter().cycle()).collect()
    };
    for (panel, area) in panels.iter().zip(area.split_evenly((panels.len(), 1))) {
        let (area, names) = area.split_horizontally(WIDTH - NAMES);
        let last = panel.columns.len() as f64 - 1.0;
        let mut chart = ChartBuilder::on(&area)
            .caption(&panel.title, ("sans-serif", 15))
            .margin(6)
            .set_label_area_size(LabelAreaPosition::Left, 60)
            .set_label_area_size(LabelAreaPosition::Bottom, 24)
            .build_cartesian_2d(-0.3..last + 0.3, low - room..high + room)?;
        let column = |x: &f64| {
            let at = x.round();
            let is_there = (x - at).abs() < 1e-6 && at >= 0.0;
            is_there.then(|| panel.columns.get(at as usize).cloned()).flatten().unwrap_or_default()
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(panel.columns.len() * 2 + 1)
            .x_label_formatter(&column)
            .y_label_formatter(&|value| figures::in_unit(unit, *value, None))
            .label_style(("sans-serif", 12))
            .draw()?;
        let mut ends: Vec<(&str, f64)> = Vec::new();
        for (server, medians) in &panel.lines {
            let points: Vec<(f64, f64)> = medians
                .iter()
                .enumerate()
                .filter_map(|(place, value)| Some((place as f64, (*value)?)))
                .collect();
            let colour = colours[server];
            chart.draw_series([PathElement::new(points.clone(), colour.stroke_width(2))])?;
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
            ends.extend(points.last().map(|(_, y)| (*server, *y)));
        }
        // At the right, from the dearest down, a line each.
        ends.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (place, (server, _)) in ends.iter().enumerate() {
            let style = ("sans-serif", 14).into_font().color(&colours[server]);
            names.draw_text(server, &style, (4, 40 + 18 * i32::try_from(place)?))?;
        }
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::file;

    const PHASES: &str = "
question = 'q'
blocks = 2
rounds = 2
figures = ['server_cpu_us_per_request']
compare = { phase = 'late' }
[factors]
pause = [0.05, 0.25]
[[load]]
strategy = 'closed-loop'
route = 'plaintext'
[[phase]]
duration_s = '{pause}'
pause = true
[[phase]]
name = 'early'
duration_s = 0.02
[[phase]]
name = 'late'
duration_s = 0.2
";

    #[test]
    fn a_picture_has_a_panel_for_each_group_and_a_line_for_each_server() {
        let experiment = file::parse("x", PHASES).expect("valid");
        let row = |server: &str, pause: &str, phase: &str, cpu: f64| Row {
            server: server.into(),
            role: "contestant".into(),
            block: 1,
            attempt: 1,
            workload_no: if pause == "0.05" { 1 } else { 2 },
            workload_id: format!("{pause}{phase}"),
            group_id: format!("{pause}late"),
            warmup_s: Some(if phase == "early" { 0.25 } else { 0.27 }),
            phase: phase.into(),
            factors: [("pause".to_owned(), pause.to_owned())].into(),
            server_cpu_us_per_request: Some(cpu),
            ..Row::default()
        };
        let rows: Vec<Row> = [("smol", 15.0), ("<may>", 8.0)]
            .iter()
            .flat_map(|(server, cpu)| {
                ["0.05", "0.25"].into_iter().flat_map(move |pause| {
                    [row(server, pause, "early", *cpu), row(server, pause, "late", cpu - 2.0)]
                })
            })
            .collect();
        let figure = Figure::find("server_cpu_us_per_request").expect("known");
        let panels = panels(&figure, &rows.iter().collect::<Vec<_>>());
        assert_eq!(panels.iter().map(|p| &*p.title).collect::<Vec<_>>(), ["pause = 0.05", "pause = 0.25"]);
        assert_eq!(panels[0].columns, ["early", "late"]);
        assert_eq!(panels[1].lines["smol"], [Some(15.0), Some(13.0)]);
        let text = svg(&experiment, &rows).expect("drawn");
        for said in ["<svg", "pause = 0.25", "early", "smol", "&lt;may&gt;"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(svg(&experiment, &[]).is_err());
    }
}
