//! One workload as a picture: each server's interval, as SVG that stands in the page itself.

use super::drawing::escaped;
use super::figures;
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use plotters::prelude::*;

/// Pixels: the width of a chart, of the names in it, and the height of a server.
const WIDTH: u32 = 760;
const NAMES: i32 = 130;
const ROW: u32 = 26;

/// A server's line in a chart.
struct Line<'a> {
    name: &'a str,
    middle: f64,
    /// The 95% interval, or where there is none the range over blocks.
    ends: (f64, f64),
    is_interval: bool,
    is_ranked: bool,
}

/// Draws the figure that ranks the workload, server by server; empty where no server has it.
pub(super) fn svg(cells: &[&Summary]) -> String {
    let Some(metric) = cells.iter().find_map(|s| s.rank_metric) else { return String::new() };
    // What constant bytes reach is on another scale.
    let mut shown: Vec<&&Summary> = cells.iter().filter(|s| s.row.role != "ceiling").collect();
    shown.sort_by_key(|s| s.place());
    let lines: Vec<Line<'_>> = shown.into_iter().filter_map(|s| line(s, metric)).collect();
    let mut picture = String::new();
    match draw(&mut picture, &lines, metric) {
        Ok(()) if !lines.is_empty() => {
            let kind = if lines.iter().any(|line| line.is_interval) {
                "median and 95% interval"
            } else {
                "median, lowest and highest block"
            };
            let caption = format!("{}: {}, {kind}; grey: not ranked", cells[0].row.workload, metric.column());
            format!("<figure>{picture}<figcaption>{}</figcaption></figure>\n", escaped(&caption))
        }
        // A chart that cannot be drawn is no reason to lose the page: the table has the figures.
        _ => String::new(),
    }
}

fn line(s: &Summary, metric: Metric) -> Option<Line<'_>> {
    let middle = metric.of(&s.row)?;
    let interval = s.rank_interval().map(|interval| (interval.low, interval.high));
    let range = metric.of(&s.min).zip(metric.of(&s.max));
    Some(Line {
        name: &s.row.server,
        middle,
        ends: interval.or(range).unwrap_or((middle, middle)),
        is_interval: interval.is_some(),
        is_ranked: s.rank_best.is_some(),
    })
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(picture: &mut String, lines: &[Line<'_>], metric: Metric) -> Drawn {
    let low = lines.iter().map(|line| line.ends.0).fold(f64::INFINITY, f64::min);
    let high = lines.iter().map(|line| line.ends.1).fold(f64::NEG_INFINITY, f64::max);
    if !(low.is_finite() && high.is_finite()) {
        return Ok(());
    }
    // Never from zero: what is compared are differences. Some room, also where all are alike.
    let room = ((high - low) * 0.08).max(high.abs() * 0.005);
    let height = ROW * u32::try_from(lines.len())? + 50;
    let area = SVGBackend::with_string(picture, (WIDTH, height)).into_drawing_area();
    let rows = lines.len() as f64;
    let mut chart = ChartBuilder::on(&area)
        .margin(8)
        .margin_right(24)
        .set_label_area_size(LabelAreaPosition::Left, NAMES)
        .set_label_area_size(LabelAreaPosition::Bottom, 30)
        .build_cartesian_2d(low - room..high + room, 0.0..rows)?;
    let value = |value: &f64| figures::of(metric, *value);
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .x_label_formatter(&value)
        .label_style(("sans-serif", 15))
        .draw()?;
    for (place, line) in lines.iter().enumerate() {
        // The first at the top.
        let y = rows - place as f64 - 0.5;
        let colour = if line.is_ranked { RGBColor(31, 90, 160) } else { RGBColor(140, 140, 140) };
        let stroke = colour.stroke_width(3);
        chart.draw_series([PathElement::new(vec![(line.ends.0, y), (line.ends.1, y)], stroke)])?;
        chart.draw_series([Circle::new((line.middle, y), 5, colour.filled())])?;
        let at = chart.backend_coord(&(line.middle, y));
        let style = ("sans-serif", 16).into_font().color(&BLACK);
        area.draw_text(line.name, &style, (8, at.1 - 8))?;
    }
    drop(chart);
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row::Row;

    fn throughput(rps: f64) -> Row {
        Row { throughput_rps: Some(rps), ..Row::default() }
    }

    fn cell(server: &str, middle: f64, interval: Option<(f64, f64)>) -> Summary {
        Summary {
            row: Row { server: server.into(), ..throughput(middle) },
            min: throughput(middle - 10.0),
            max: throughput(middle + 10.0),
            rank_metric: Some(Metric::THROUGHPUT),
            rank_interval_low: interval.map(|i| i.0),
            rank_interval_high: interval.map(|i| i.1),
            ..Summary::default()
        }
    }

    #[test]
    fn a_chart_names_every_server_and_says_what_its_lines_are() {
        let (a, b) = (cell("smol", 100.0, Some((95.0, 106.0))), cell("<may>", 120.0, Some((119.0, 122.0))));
        let text = svg(&[&a, &b]);
        assert!(text.contains("<svg") && text.contains("smol") && text.contains("&lt;may&gt;"), "{text}");
        assert!(text.contains("95% interval") && !text.contains("<may>"), "{text}");
        let range = svg(&[&cell("smol", 100.0, None)]);
        assert!(range.contains("lowest and highest block"), "{range}");
    }

    #[test]
    fn nothing_to_draw_is_nothing() {
        assert_eq!(svg(&[]), "");
        let empty = Summary { row: Row::default(), ..cell("smol", 1.0, None) };
        assert_eq!(svg(&[&empty]), "");
    }
}
