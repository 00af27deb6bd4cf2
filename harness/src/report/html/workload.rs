//! The section of a workload: its figure in order, latency by percentile, block by block, and what a request costs.

use super::context::{Context, Unit, anchor, figure, html, meaning, plain};
use super::map::figure_link;
use super::plot::{Axis, Chart, Dot, Line, dots, lines};
use super::scale::Scale;
use super::{nines, plot};
use crate::analysis::map::{MapColumn, Standing};
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use crate::analysis::usable::usable;
use crate::report::outlook::told;
use crate::report::{engine, tables};

/// Draws the section.
pub(super) fn draw(context: &Context<'_>, column: &MapColumn) -> String {
    let row = &column.row;
    let unit = Unit::of_column(column);
    let bound = match column.bound_by.as_str() {
        "" => String::new(),
        bound => format!(" Most cells are bounded by {}.", html(&plain(bound))),
    };
    format!(
        "<section id=\"{}\" data-w=\"{}\">\n<h3>{}</h3>\n<p>The figure: {}.{bound}</p>\n<div class=\"charts\">\n{}{}{}</div>\n{}</section>\n",
        anchor(row),
        html(&row.workload_id),
        html(&row.workload),
        figure_link(column, &unit),
        in_order(context, column, &unit),
        latency(context, column),
        by_block(context, column, &unit),
        costs(context, column),
    )
}

/// The servers of a column that have a figure, the best first.
fn sorted(column: &MapColumn) -> Vec<(&str, f64)> {
    let mut values: Vec<(&str, f64)> =
        column.cells.iter().filter_map(|(server, cell)| Some((server.as_str(), cell.value?))).collect();
    values.sort_by(|a, b| {
        column.times_best(a.1).unwrap_or(1.0).total_cmp(&column.times_best(b.1).unwrap_or(1.0))
    });
    values
}

fn in_order(context: &Context<'_>, column: &MapColumn, unit: &Unit) -> String {
    let of = |(server, value): &(&str, f64)| {
        let cell = &column.cells[*server];
        let ends = cell.interval.map(|i| (i.low / unit.divisor, i.high / unit.divisor));
        let bound = context.summary(server, &column.row.workload_id).map(|s| s.row.bound_by.clone());
        let mark = match cell.standing {
            Standing::NotTold(_) => " ·",
            Standing::Alike(_) => " =",
            _ => "",
        };
        (bound.unwrap_or_default(), ends, unit.words(*value) + mark)
    };
    let sorted = sorted(column);
    let known: Vec<_> = sorted.iter().map(|one| (one, of(one))).collect();
    let all: Vec<Dot<'_>> = known
        .iter()
        .map(|((server, value), (bound_by, ends, words))| Dot {
            name: server,
            colour: context.place(server),
            value: value / unit.divisor,
            ends: *ends,
            bound_by,
            words: words.clone(),
        })
        .collect();
    // A limit far off would squeeze what is compared: it is said instead.
    let worst = sorted.iter().map(|one| one.1).reduce(f64::max).unwrap_or(0.0);
    let least = sorted.iter().map(|one| one.1).reduce(f64::min).unwrap_or(0.0);
    let (near, far): (Vec<_>, Vec<_>) = limits(context, column)
        .into_iter()
        .partition(|(value, _)| (least * 0.6..=worst * 1.6).contains(value));
    let marks: Vec<(f64, String)> =
        near.into_iter().map(|(value, name)| (value / unit.divisor, name)).collect();
    let far: String = far
        .into_iter()
        .map(|(value, name)| format!(" Beyond the picture: {name}, {}.", unit.words(value)))
        .collect();
    let alt =
        format!("{} of {} servers on {}: {}", unit.title, all.len(), column.row.workload, in_words(&all));
    let kind = match all.iter().any(|dot| dot.ends.is_some()) {
        true => "Median and 95% interval, the best first",
        false => "Median, the best first",
    };
    figure(&dots(&alt, &unit.title, &all, &marks), &format!("{kind}.{far}"))
}

fn in_words(dots: &[Dot<'_>]) -> String {
    dots.iter().map(|dot| format!("{} {}", dot.name, dot.words)).collect::<Vec<_>>().join(", ")
}

/// The limits of a column's figure, in its own unit, and their names.
fn limits(context: &Context<'_>, column: &MapColumn) -> Vec<(f64, String)> {
    let mut limits = Vec::new();
    if column.metric == Metric::THROUGHPUT {
        let rows = context.counted.iter().filter(|row| row.workload_id == column.row.workload_id);
        let known = rows.filter_map(|row| Some((row.ceiling_rps?, plain(&row.ceiling_by))));
        limits.extend(
            known
                .reduce(|a, b| if b.0 > a.0 { b } else { a })
                .map(|(value, by)| (value, format!("ceiling: {by}"))),
        );
    }
    limits.extend(column.ceiling.map(|value| (value, "constant bytes".to_owned())));
    limits
}

fn latency(context: &Context<'_>, column: &MapColumn) -> String {
    let is_open = column.row.loop_kind == "open";
    let curves: Vec<(&str, Vec<(f64, f64)>)> = column
        .cells
        .keys()
        .map(|server| (server.as_str(), nines::curve(context, server, &column.row.workload_id, is_open)))
        .filter(|(_, points)| points.len() > 1)
        .collect();
    let Some(typical) = curves.first().map(|(_, points)| points[0].1) else { return String::new() };
    let kind = if is_open { "response" } else { "service" };
    let unit = Unit::of(if is_open { Metric::RESPONSE_P50 } else { Metric::SERVICE_P50 }, typical);
    let title = unit.title.replace(" p50", " time");
    let lines_of = curves.iter().map(|(server, points)| Line {
        name: server,
        colour: context.place(server),
        points: points.iter().map(|(p, us)| (*p, us / unit.divisor)).collect(),
        unused: Vec::new(),
    });
    let chart = Chart {
        alt: format!("{kind} time by percentile on {}", column.row.workload),
        x: Axis { title: "percentile", scale: Scale::Nines, ticks: None },
        y: Axis { title: &title, scale: Scale::Log, ticks: None },
        lines: lines_of.collect(),
        limit: None,
    };
    let from = if is_open {
        "from when a request was due (open loop)"
    } else {
        "from its first byte (closed loop: never to be compared with an open one)"
    };
    figure(
        &lines(&chart),
        &format!("Latency by percentile, {from}. A line ends where fewer than 100 requests are beyond."),
    )
}

fn by_block(context: &Context<'_>, column: &MapColumn, unit: &Unit) -> String {
    let mut blocks: Vec<usize> = Vec::new();
    let mut left_out = false;
    let all: Vec<Line<'_>> = column
        .cells
        .keys()
        .map(|server| {
            let rows = context.cell(server, &column.row.workload_id);
            let used = usable(&rows, column.metric.figure()).rows;
            let mut line =
                Line { name: server, colour: context.place(server), points: Vec::new(), unused: Vec::new() };
            for row in rows {
                let Some(value) = column.metric.of(row) else { continue };
                let is_used = used.iter().any(|known| std::ptr::eq(*known, row));
                let points = if is_used { &mut line.points } else { &mut line.unused };
                points.push((row.block as f64, value / unit.divisor));
                blocks.push(row.block);
                left_out |= !is_used;
            }
            line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
            line
        })
        .collect();
    blocks.sort_unstable();
    blocks.dedup();
    if blocks.len() < 2 {
        return String::new();
    }
    let step = blocks.len().div_ceil(12);
    let ticks = blocks.iter().step_by(step).map(|block| (*block as f64, block.to_string())).collect();
    let chart = Chart {
        alt: format!("{} block by block on {}", unit.title, column.row.workload),
        x: Axis { title: "block", scale: Scale::Linear, ticks: Some(ticks) },
        y: Axis { title: &unit.title, scale: Scale::Log, ticks: None },
        lines: all,
        limit: None,
    };
    let unused = if left_out { " ✕: shown and not used." } else { "" };
    figure(&plot::lines(&chart), &format!("Block by block: what is not steady here is noise.{unused}"))
}

fn costs(context: &Context<'_>, column: &MapColumn) -> String {
    let is_open = column.row.loop_kind == "open";
    let latency = if is_open { "response" } else { "service" };
    let (p50, p99) = (format!("{latency}_p50_us"), format!("{latency}_p99_us"));
    let headers = [
        ("throughput_rps", "requests/s".to_owned()),
        (&p50, format!("{latency} p50")),
        (&p99, format!("{latency} p99")),
        ("server_cpu_us_per_request", "server CPU".to_owned()),
        ("client_cpu_us_per_request", "client CPU".to_owned()),
        ("server_peak_rss_bytes", "peak memory".to_owned()),
        ("server_ctx_switches_per_request", "switches".to_owned()),
        ("bound_by", "bounded by".to_owned()),
        ("verdict", "verdict".to_owned()),
    ];
    let head: String = headers
        .iter()
        .map(|(name, words)| format!("<th scope=\"col\">{}</th>", meaning(name, words)))
        .collect();
    let its: Vec<&Summary> =
        context.analysis.summaries.iter().filter(|s| s.row.workload_id == column.row.workload_id).collect();
    let mut its = its;
    // In the order of the picture; controls, ceilings and what has no figure come last.
    let order = sorted(column);
    its.sort_by_key(|s| order.iter().position(|(server, _)| *server == s.row.server).unwrap_or(usize::MAX));
    let body: String = its
        .iter()
        .map(|s| {
            let cells = engine::figures_of(s, is_open);
            // The last one is the rank, which the map says better.
            let cells: String = cells[..headers.len()]
                .iter()
                .map(|text| format!("<td>{}</td>", html(&text.replace("cpu", "CPU"))))
                .collect();
            format!(
                "<tr data-s=\"{}\"><th scope=\"row\">{}</th>{cells}</tr>\n",
                html(&s.row.server),
                html(&s.row.server)
            )
        })
        .collect();
    let doubts: String =
        tables::doubts(&its).iter().map(|line| format!("<li>{}</li>\n", html(line))).collect();
    let doubts = match doubts.is_empty() {
        true => String::new(),
        false => format!("<details><summary>Doubts about its cells</summary><ul>\n{doubts}</ul></details>\n"),
    };
    let could_tell = column.told.map_or_else(String::new, |(low, high)| {
        format!("<p class=\"note\">These blocks would have told a difference of {} to {}, four times in five.</p>\n", told(low), told(high))
    });
    format!(
        "<div class=\"scroll\"><table class=\"costs\"><thead><tr><th scope=\"col\">server</th>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n{could_tell}{doubts}"
    )
}
