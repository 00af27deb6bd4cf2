//! The instructions of a request over the releases of a crate: a table, the releases that changed them, and a chart.

use super::drawing::{Format, drawn};
use super::image::{Area, Drawn, svg, text, width};
use super::theme::Theme;
use crate::analysis::history::{Course, History};
use crate::exit::usage;
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// Pixels: a chart's size, the room of its numbers, its legend and its releases.
const WIDTH: i32 = 900;
const HEIGHT: i32 = 360;
const NUMBERS: i32 = 62;
const ABOVE: i32 = 40;
const BELOW: i32 = 34;
/// The heights of text in pixels.
const TITLE: f64 = 14.0;
const LABEL: f64 = 12.0;

/// Draws tables and changes of all histories; empty where there is none.
pub fn render(histories: &[History], format: Format) -> String {
    histories.iter().map(|history| table(history, format) + &changes(history, format)).collect()
}

fn table(history: &History, format: Format) -> String {
    let mut header = vec!["release".to_owned()];
    header.extend(history.courses.iter().map(named));
    let rows: Vec<Vec<String>> = (0..history.releases.len())
        .map(|n| {
            let cell = |course: &Course| match course.instructions[n] {
                None => "-".to_owned(),
                Some(now) => {
                    let release = &history.releases[n];
                    let change = course.changes.iter().find(|change| change.release == *release);
                    let by = change.map_or(String::new(), |change| format!(" ({})", percent(change.ratio)));
                    format!("{now:.0}{by}")
                }
            };
            let cells = history.courses.iter().map(cell);
            std::iter::once(history.releases[n].to_string()).chain(cells).collect()
        })
        .collect();
    let numbers = 1..header.len();
    let title = format!("Instructions per request of {}", history.name.trim_end_matches(['@', '=']));
    format.heading(&title, ", release by release") + &drawn(header, rows, numbers, format) + "\n"
}

/// Names the releases that changed something by more than 1%, and the functions in which.
fn changes(history: &History, format: Format) -> String {
    let mut lines = Vec::new();
    for course in &history.courses {
        for change in &course.changes {
            let functions = change.functions.iter().map(|(name, by)| match format {
                Format::Markdown => format!("`{name}` {by:+.0}"),
                _ => format!("{name} {by:+.0}"),
            });
            lines.push(format!(
                "{}, {}: {} from {}. Most of it: {}.",
                change.release,
                named(course),
                percent(change.ratio),
                change.before,
                functions.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    if lines.is_empty() {
        lines.push("No release changed them by more than 1%.".to_owned());
    }
    format.list(&lines) + "\n"
}

fn named(course: &Course) -> String {
    format!("{} @{}", course.route, course.connections)
}

fn percent(ratio: f64) -> String {
    format!("{:+.1}%", 100.0 * (ratio - 1.0)).replace('-', "−")
}

/// Draws the first history: a line for each workload, as a part of what it was at the first release.
///
/// # Errors
/// There is no history to draw.
pub fn draw(histories: &[History], theme: &Theme) -> Result<String> {
    let none = || usage!("there is no history to draw: it takes three releases, as in --server NAME@1.40..");
    let history = histories.first().ok_or_else(none)?;
    let lines: Vec<(String, Vec<(usize, f64)>)> = history.courses.iter().filter_map(relative).collect();
    let all = || lines.iter().flat_map(|(_, points)| points.iter().map(|(_, y)| *y));
    let (low, high) = (all().fold(1.0, f64::min), all().fold(1.0, f64::max));
    let (low, high) = ((low * 20.0 - 0.2).floor() / 20.0, (high * 20.0 + 0.2).ceil() / 20.0);
    let name = history.name.trim_end_matches(['@', '=']);
    let alt = format!("Instructions per request of {name}, release by release, against the first");
    svg(&alt, (WIDTH as u32, HEIGHT as u32), |area| {
        let releases = history.releases.len();
        let x = |n: usize| {
            NUMBERS + (f64::from(WIDTH - NUMBERS - 20) * n as f64 / (releases - 1).max(1) as f64) as i32
        };
        let y = |value: f64| {
            HEIGHT - BELOW - (f64::from(HEIGHT - ABOVE - BELOW) * (value - low) / (high - low)) as i32
        };
        frame(area, theme, (low, high), &y)?;
        let widest = history.releases.iter().map(|r| width(&r.to_string(), LABEL)).fold(1.0, f64::max);
        let every = (widest * releases as f64 / f64::from(WIDTH - NUMBERS)).ceil().max(1.0) as usize;
        for (n, release) in history.releases.iter().enumerate().filter(|(n, _)| n % every == 0) {
            let style = text(LABEL, HPos::Center, theme.soft);
            area.draw_text(&release.to_string(), &style, (x(n).min(WIDTH - 24), HEIGHT - BELOW + 14))?;
        }
        let mut at = NUMBERS;
        for (place, (label, points)) in lines.iter().enumerate() {
            let colour = theme.series[place % theme.series.len()];
            let points: Vec<(i32, i32)> = points.iter().map(|(n, value)| (x(*n), y(*value))).collect();
            area.draw(&PathElement::new(points.clone(), colour.stroke_width(3)))?;
            for point in points {
                area.draw(&Circle::new(point, 3, colour.filled()))?;
            }
            area.draw(&Rectangle::new([(at, 8), (at + 20, 22)], colour.filled()))?;
            area.draw_text(label, &text(TITLE, HPos::Left, theme.text), (at + 26, 15))?;
            at += 44 + width(label, TITLE) as i32;
        }
        Ok(())
    })
}

/// The points of a line: the place of a release, and instructions / those of the first that was counted.
fn relative(course: &Course) -> Option<(String, Vec<(usize, f64)>)> {
    let first = course.instructions.iter().flatten().next()?;
    let points = course.instructions.iter().enumerate();
    let points = points.filter_map(|(n, instructions)| Some((n, (*instructions)? / first)));
    Some((named(course), points.collect()))
}

/// Draws a line from side to side every 5%, or every 10% of a longer scale.
fn frame(area: &Area<'_>, theme: &Theme, (low, high): (f64, f64), y: &impl Fn(f64) -> i32) -> Drawn {
    let step = if high - low > 0.5 { 10 } else { 5 };
    let (from, to) = ((low * 100.0).round() as i32, (high * 100.0).round() as i32);
    for percent in (from..=to).filter(|percent| percent % step == 0) {
        let at = y(f64::from(percent) / 100.0);
        let line = if percent == 100 { theme.text.stroke_width(1) } else { theme.line.stroke_width(1) };
        area.draw(&PathElement::new([(NUMBERS - 6, at), (WIDTH - 10, at)], line))?;
        area.draw_text(&format!("{percent}%"), &text(LABEL, HPos::Right, theme.soft), (NUMBERS - 10, at))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::history::Change;
    use crate::report::theme::LIGHT;

    fn history() -> History {
        let releases: Vec<semver::Version> =
            ["1.0.0", "1.1.0", "1.2.0"].map(|v| v.parse().expect("a version")).to_vec();
        let change = Change {
            release: releases[2].clone(),
            before: releases[0].clone(),
            ratio: 0.9,
            functions: vec![("poll".into(), -110.0), ("wake".into(), 10.0)],
        };
        let course = Course {
            route: "/plaintext".into(),
            connections: 64,
            instructions: vec![Some(1000.0), None, Some(900.0)],
            changes: vec![change],
        };
        History { name: "t@".into(), releases, courses: vec![course] }
    }

    #[test]
    fn a_history_is_a_table_and_its_changes() {
        let text = render(&[history()], Format::Markdown);
        assert!(text.contains("| 1.2.0   | 900 (−10.0%)") || text.contains("900 (−10.0%)"), "{text}");
        let change = "- 1.2.0, /plaintext @64: −10.0% from 1.0.0. Most of it: `poll` -110, `wake` +10.";
        assert!(text.contains(change), "{text}");
        let unchanged = Course { changes: Vec::new(), ..history().courses.remove(0) };
        let text = render(&[History { courses: vec![unchanged], ..history() }], Format::Markdown);
        assert!(text.contains("- No release changed them"), "{text}");
        assert_eq!(render(&[], Format::Table), "");
    }

    #[test]
    fn a_chart_has_a_point_for_each_count() {
        let svg = draw(&[history()], &LIGHT).expect("drawn");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("1.1.0") && svg.contains("/plaintext @64") && svg.contains("90%"));
        assert!(draw(&[], &LIGHT).is_err());
    }
}
