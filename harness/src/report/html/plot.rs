//! The pictures of the page, as SVG. Their colours are names: the page's style sheet says what `#0072B2` is in light,
//! in dark and on paper, and fades the servers that are not looked at.

use super::scale::Scale;
use crate::report::drawing::escaped;
use crate::report::theme::LIGHT;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

/// Pixels: the width of a picture, the height of one with lines, the room at its sides, the height of a server.
const WIDTH: u32 = 460;
const HEIGHT: u32 = 300;
const RIGHT: i32 = 104;
const LEFT: u32 = 64;
const VALUES: i32 = 76;
/// The size of text, as plotters counts it: a quarter more than a browser's pixels.
const SIZE: u32 = 17;
const ROW: u32 = 27;

/// Of text, axes, the lines behind a picture, and what is not a server's.
pub(super) const TEXT: RGBColor = RGBColor(0x1A, 0x1A, 0x1B);
pub(super) const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDE);
pub(super) const LIMIT: RGBColor = RGBColor(0x66, 0x66, 0x67);

/// Returns the colour of the server in this place.
pub(super) fn colour(place: usize) -> RGBColor {
    LIGHT.series[place % LIGHT.series.len()]
}

/// A server's line in a dot plot, in the unit of its axis.
pub(super) struct Dot<'a> {
    pub(super) name: &'a str,
    /// Its place among the colours.
    pub(super) colour: usize,
    pub(super) value: f64,
    /// The ends of its interval.
    pub(super) ends: Option<(f64, f64)>,
    /// What bounded it, which its shape says.
    pub(super) bound_by: &'a str,
    /// The value in words.
    pub(super) words: String,
}

/// A server's line over something, in the units of the axes.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) colour: usize,
    pub(super) points: Vec<(f64, f64)>,
    /// Points that are shown and not used.
    pub(super) unused: Vec<(f64, f64)>,
}

/// An axis: its title with the unit, its scale, and what it names if that is not numbers.
pub(super) struct Axis<'a> {
    pub(super) title: &'a str,
    pub(super) scale: Scale,
    pub(super) ticks: Option<Vec<(f64, String)>>,
}

/// A picture with lines.
pub(super) struct Chart<'a> {
    /// The words for who does not see it.
    pub(super) alt: String,
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
    pub(super) lines: Vec<Line<'a>>,
    /// A line that is no server's, and its name.
    pub(super) limit: Option<(Vec<(f64, f64)>, &'a str)>,
}

type Drawn = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Says what the shapes of dots mean.
pub(super) const SHAPES: &str = "What bounded it: ● server CPU, ◆ CPU of server and client together, ▲ offered rate, \
■ concurrency, connections or blocking threads, ✕ client, ○ unexplained or mixed.";

/// Draws values with their intervals, a line each, and `marks`: limits and their names. Empty where there is nothing.
pub(super) fn dots(alt: &str, title: &str, dots: &[Dot<'_>], marks: &[(f64, String)]) -> String {
    picture(alt, 68 + ROW * dots.len() as u32, |area| draw_dots(area, title, dots, marks))
}

/// Draws lines. Empty where no line has a point.
pub(super) fn lines(chart: &Chart<'_>) -> String {
    picture(&chart.alt, HEIGHT, |area| draw_lines(area, chart))
}

fn picture(alt: &str, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    let drawn = draw(&area).and_then(|()| Ok(area.present()?));
    drop(area);
    match drawn {
        Ok(()) => svg
            .replacen(
                "<svg ",
                &format!("<svg class=\"chart\" role=\"img\" aria-label=\"{}\" ", escaped(alt)),
                1,
            )
            .replace(" opacity=\"1\"", ""),
        // A picture that cannot be drawn is no reason to lose the page: the table has the figures.
        Err(_) => String::new(),
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let values = values.filter(|value| value.is_finite());
    values.fold(None, |known, value| {
        let (low, high) = known.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// Some room around values, also where all are alike.
fn roomy((low, high): (f64, f64)) -> (f64, f64) {
    let room = ((high - low) * 0.06).max(high.abs().max(low.abs()) * 0.004).max(1e-9);
    (low - room, high + room)
}

fn text(colour: RGBColor, at: HPos) -> TextStyle<'static> {
    let style = ("sans-serif", SIZE).into_font().color(&colour);
    style.pos(Pos::new(at, VPos::Center))
}

fn draw_dots(area: &Area<'_>, title: &str, dots: &[Dot<'_>], marks: &[(f64, String)]) -> Drawn {
    let of_dots = dots.iter().flat_map(|dot| {
        let (low, high) = dot.ends.unwrap_or((dot.value, dot.value));
        [low, dot.value, high]
    });
    let (low, high) = range(of_dots.chain(marks.iter().map(|mark| mark.0))).ok_or("nothing to draw")?;
    // Never from zero: what is compared are differences.
    let (low, high) = roomy((low, high));
    let rows = dots.len() as f64;
    let ticks = Scale::Linear.ticks(low, high);
    // About as wide as the longest name, which is not measured: fonts differ.
    let longest = dots.iter().map(|dot| dot.name.chars().count()).max().unwrap_or(0);
    let names = (longest as u32 * 8 + 8).clamp(60, 200);
    let mut chart = ChartBuilder::on(area)
        .margin_top(if marks.is_empty() { 6 } else { 20 })
        .margin_right(VALUES)
        .set_label_area_size(LabelAreaPosition::Left, names)
        .set_label_area_size(LabelAreaPosition::Bottom, 46)
        .build_cartesian_2d(Places { ends: (low, high), ticks }, 0.0..rows)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_desc(title)
        .label_style(text(TEXT, HPos::Center))
        .axis_desc_style(text(TEXT, HPos::Center))
        .draw()?;
    for (value, name) in marks {
        let upright = [(*value, 0.0), (*value, rows)];
        chart.draw_series(DashedLineSeries::new(upright, 5, 4, LIMIT.stroke_width(2)))?;
        let at = chart.backend_coord(&(*value, rows));
        let is_right = *value > (low + high) / 2.0;
        let side = if is_right { HPos::Right } else { HPos::Left };
        area.draw_text(name, &text(LIMIT, side), (at.0, at.1 - 10))?;
    }
    for (place, dot) in dots.iter().enumerate() {
        // The first at the top.
        let y = rows - place as f64 - 0.5;
        let colour = colour(dot.colour);
        if let Some((low, high)) = dot.ends {
            chart.draw_series([PathElement::new(vec![(low, y), (high, y)], colour.stroke_width(3))])?;
        }
        let at = chart.backend_coord(&(dot.value, y));
        shape(area, at, dot.bound_by, colour)?;
        area.draw_text(dot.name, &text(colour, HPos::Left), (4, at.1))?;
        area.draw_text(&dot.words, &text(TEXT, HPos::Right), (WIDTH as i32 - 4, at.1))?;
    }
    Ok(())
}

/// Draws the mark of a value, whose shape says what bounded it.
fn shape(area: &Area<'_>, at: (i32, i32), bound_by: &str, colour: RGBColor) -> Drawn {
    let polygon = |corners: &[(i32, i32)]| {
        let corners: Vec<(i32, i32)> = corners.iter().map(|(x, y)| (at.0 + x, at.1 + y)).collect();
        area.draw(&Polygon::new(corners, colour.filled()))
    };
    match bound_by {
        "server_cpu" => area.draw(&Circle::new(at, 6, colour.filled()))?,
        "machine_cpu" => polygon(&[(0, -7), (7, 0), (0, 7), (-7, 0)])?,
        "offered_rate" => area.draw(&TriangleMarker::new(at, 7, colour.filled()))?,
        "concurrency" | "blocking_threads" | "connections" => polygon(&[(-5, -5), (5, -5), (5, 5), (-5, 5)])?,
        "client" => area.draw(&Cross::new(at, 5, colour.stroke_width(3)))?,
        _ => area.draw(&Circle::new(at, 5, colour.stroke_width(2)))?,
    }
    Ok(())
}

/// An axis by the places of its values: where it ends, and which places have a name.
struct Places {
    ends: (f64, f64),
    ticks: Vec<(f64, String)>,
}

impl Ranged for Places {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|tick| tick.0).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.ends.0..self.ends.1
    }
}

impl ValueFormatter<f64> for Places {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *value);
        tick.map(|tick| tick.1.clone()).unwrap_or_default()
    }
}

fn placed(axis: &Axis<'_>, values: impl Iterator<Item = f64>) -> Result<Places, Box<dyn Error>> {
    let (low, high) = range(values.filter(|value| axis.scale.has(*value))).ok_or("nothing to draw")?;
    let ends = roomy((axis.scale.place(low), axis.scale.place(high)));
    let (low, high) = match axis.scale {
        Scale::Log => (10_f64.powf(ends.0), 10_f64.powf(ends.1)),
        Scale::Linear => ends,
        Scale::Nines => (low, high),
    };
    let ticks = axis.ticks.clone().unwrap_or_else(|| axis.scale.ticks(low, high));
    Ok(Places {
        ends,
        ticks: ticks.into_iter().map(|(value, name)| (axis.scale.place(value), name)).collect(),
    })
}

fn draw_lines(area: &Area<'_>, of: &Chart<'_>) -> Drawn {
    let points = || {
        let lines = of.lines.iter().flat_map(|line| line.points.iter().chain(&line.unused));
        lines.copied().filter(|(x, y)| of.x.scale.has(*x) && of.y.scale.has(*y))
    };
    let x_axis = placed(&of.x, points().map(|point| point.0))?;
    let y_axis = placed(&of.y, points().map(|point| point.1))?;
    let ends = y_axis.ends;
    let mut chart = ChartBuilder::on(area)
        .margin_top(10)
        .margin_right(RIGHT)
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, 46)
        .build_cartesian_2d(x_axis, y_axis)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_desc(of.x.title)
        .y_desc(of.y.title)
        .label_style(text(TEXT, HPos::Center))
        .axis_desc_style(text(TEXT, HPos::Center))
        .draw()?;
    let place = |(x, y): &(f64, f64)| (of.x.scale.place(*x), of.y.scale.place(*y));
    let inside = |point: &&(f64, f64)| of.x.scale.has(point.0) && of.y.scale.has(point.1);
    let mut names: Vec<(i32, &str, RGBColor)> = Vec::new();
    let (top, height) = (10, HEIGHT as i32 - 56);
    if let Some((points, name)) = &of.limit {
        let clamped = points.iter().map(place).map(|(x, y)| (x, y.clamp(ends.0, ends.1)));
        let points: Vec<(f64, f64)> = clamped.collect();
        chart.draw_series(DashedLineSeries::new(points.clone(), 5, 4, LIMIT.stroke_width(2)))?;
        names.extend(points.last().map(|point| (chart.backend_coord(point).1, *name, LIMIT)));
    }
    for line in &of.lines {
        let points: Vec<(f64, f64)> = line.points.iter().filter(inside).map(place).collect();
        let colour = colour(line.colour);
        chart.draw_series([PathElement::new(points.clone(), colour.stroke_width(2))])?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        let unused = line.unused.iter().filter(inside).map(place);
        chart.draw_series(unused.map(|point| Cross::new(point, 4, colour.stroke_width(2))))?;
        names.extend(points.last().map(|point| (chart.backend_coord(point).1, line.name, colour)));
    }
    // Each name at the end of its line, or as near as the others leave room for.
    names.sort_by_key(|name| name.0);
    let step = 16.min(height / names.len().max(1) as i32);
    let mut free = top;
    let count = names.len() as i32;
    for (place, (y, name, colour)) in names.into_iter().enumerate() {
        let last = top + height - (count - place as i32 - 1) * step;
        let y = y.max(free).min(last);
        free = y + step;
        area.draw_text(name, &text(colour, HPos::Left), (WIDTH as i32 - RIGHT + 6, y))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot<'a>(name: &'a str, value: f64, bound_by: &'a str) -> Dot<'a> {
        let ends = Some((value - 1.0, value + 1.0));
        Dot { name, colour: 0, value, ends, bound_by, words: format!("{value}") }
    }

    #[test]
    fn a_dot_plot_names_every_server_and_has_words_and_a_shape_for_what_bounded_it() {
        let all = [dot("smol", 10.0, "server_cpu"), dot("<may>", 12.0, "offered_rate")];
        let svg = dots("two \"servers\"", "CPU, µs", &all, &[(9.0, "ceiling".into())]);
        for said in
            ["<svg", "smol", "&lt;may&gt;", "CPU, µs", "ceiling", "<circle", "aria-label=\"two &quot;"]
        {
            assert!(svg.contains(said), "{said}: {svg}");
        }
        let shape = |bound_by: &str| dots("x", "y", &[dot("a", 1.0, bound_by)], &[]).replace(bound_by, "");
        let shapes =
            ["server_cpu", "machine_cpu", "offered_rate", "concurrency", "client", "unexplained"].map(shape);
        assert!((1..shapes.len()).all(|n| !shapes[..n].contains(&shapes[n])), "each has its own");
    }

    #[test]
    fn nothing_to_draw_is_nothing() {
        assert_eq!(dots("x", "y", &[], &[]), "");
    }

    #[test]
    fn names_at_the_ends_of_lines_do_not_cover_each_other() {
        let line = |name: &'static str| Line {
            name,
            colour: 0,
            points: vec![(1.0, 5.0), (2.0, 6.0)],
            unused: vec![],
        };
        let axis = |title| Axis { title, scale: Scale::Linear, ticks: None };
        let (x, y) = (axis("block"), axis("µs"));
        let chart =
            Chart { alt: "a".into(), x, y, lines: ["one", "two", "six"].map(line).into(), limit: None };
        let svg = lines(&chart);
        let lines: Vec<&str> = svg.lines().collect();
        let y_of = |name: &str| -> i32 {
            let at = lines.iter().position(|line| *line == name).expect("a name");
            let y = lines[at - 1].split(" y=\"").nth(1).and_then(|rest| rest.split('"').next());
            y.and_then(|y| y.parse().ok()).expect("a place")
        };
        let mut all = ["one", "two", "six"].map(y_of);
        all.sort_unstable();
        assert!(all[1] - all[0] >= 13 && all[2] - all[1] >= 13, "{all:?}");
    }
}
