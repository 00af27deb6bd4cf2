//! What changes along an axis: figures against the offered rate, where an experiment varies it, and over the time of a
//! replicate, where it has phases.

use super::context::{Context, Unit, figure, html};
use super::plot::{Axis, Chart, Line, lines};
use super::scale::Scale;
use crate::analysis::metric::Metric;
use crate::record::row::Row;
use stats::median;
use std::collections::{BTreeMap, BTreeSet};

/// Draws both sections; empty where nothing varies.
pub(super) fn draw(context: &Context<'_>) -> String {
    let rates = by_rate(context);
    let times = over_time(context);
    let section = |id: &str, title: &str, text: String| match text.is_empty() {
        true => String::new(),
        false => format!("<section id=\"{id}\"><h2>{title}</h2>\n{text}</section>\n"),
    };
    section("rate", "Against the offered rate", rates)
        + &section("time", "Over the time of a replicate", times)
}

/// The words that rows of one picture have in common, without the factor that moves them along the axis.
fn words(row: &Row, without: Option<&str>) -> Vec<String> {
    let mut words = vec![row.route.clone(), row.strategy.clone()];
    // A load without a name of its own is called after its strategy.
    words.extend((row.load != row.strategy && !row.load.is_empty()).then(|| row.load.clone()));
    words.extend((!row.interference.is_empty()).then(|| format!("+ {}", row.interference)));
    let factors = row.factors.iter().filter(|(name, _)| Some(name.as_str()) != without && *name != "route");
    words.extend(factors.map(|(name, level)| format!("{name} = {level}")));
    words
}

/// Rows of one picture: what they have in common, and the servers' rows by their place on the axis.
type Groups<'a> = BTreeMap<Vec<String>, Vec<&'a Row>>;

fn by_rate(context: &Context<'_>) -> String {
    let open = || context.counted.iter().filter(|row| row.offered_rps.is_some() && row.loop_kind == "open");
    let factors: BTreeSet<&str> = open().flat_map(|row| row.factors.keys().map(String::as_str)).collect();
    let candidates = std::iter::once(None).chain(factors.into_iter().map(Some));
    for factor in candidates {
        let mut groups: Groups<'_> = BTreeMap::new();
        for row in open() {
            let mut key = words(row, factor);
            key.extend((!row.phase.is_empty()).then(|| row.phase.clone()));
            groups.entry(key).or_default().push(row);
        }
        groups.retain(|_, rows| is_varied(rows));
        if !groups.is_empty() {
            return groups.iter().map(|(words, rows)| rates_of(context, words, rows)).collect();
        }
    }
    String::new()
}

/// Returns true if a server met several rates.
fn is_varied(rows: &[&Row]) -> bool {
    let mut of_servers: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for row in rows {
        let Some(rate) = row.offered_rps else { continue };
        let (low, high) = of_servers.entry(&row.server).or_insert((rate, rate));
        (*low, *high) = (low.min(rate), high.max(rate));
    }
    of_servers.values().any(|(low, high)| *high > 1.05 * low)
}

fn rates_of(context: &Context<'_>, words: &[String], rows: &[&Row]) -> String {
    let metrics = [Metric::THROUGHPUT, Metric::RESPONSE_P50, Metric::RESPONSE_P99, Metric::CPU];
    let rate = |rows: &[&Row]| median(&rows.iter().filter_map(|row| row.offered_rps).collect::<Vec<_>>());
    let axis = || Axis { title: "offered, requests/s", scale: Scale::Log, ticks: None };
    charts(context, words, rows, &metrics, &rate, &axis, "against the offered rate")
}

fn over_time(context: &Context<'_>) -> String {
    let mut groups: Groups<'_> = BTreeMap::new();
    for row in context.counted.iter().filter(|row| !row.phase.is_empty()) {
        groups.entry(words(row, None)).or_default().push(row);
    }
    groups.retain(|_, rows| rows.iter().any(|row| row.phase != rows[0].phase));
    let one = |(words, rows): (&Vec<String>, &Vec<&Row>)| {
        let is_open = rows.iter().any(|row| row.loop_kind == "open");
        let metrics = match is_open {
            true => [Metric::RESPONSE_P50, Metric::RESPONSE_P99, Metric::THROUGHPUT, Metric::CPU],
            false => [Metric::SERVICE_P50, Metric::SERVICE_P99, Metric::THROUGHPUT, Metric::CPU],
        };
        // Each phase in the middle of its time.
        let time = |rows: &[&Row]| {
            let middle = |row: &&Row| Some(row.warmup_s.unwrap_or(0.0) + row.duration_s? / 2.0);
            rows.first().and_then(middle)
        };
        let axis = || Axis { title: "time since the load began, s", scale: Scale::Linear, ticks: None };
        let phases: BTreeMap<u64, String> = rows
            .iter()
            .map(|row| {
                let start = row.warmup_s.unwrap_or(0.0);
                let words =
                    format!("{} ({start:.2} to {:.2} s)", row.phase, start + row.duration_s.unwrap_or(0.0));
                ((start * 1e6) as u64, words)
            })
            .collect();
        let phases = phases.into_values().collect::<Vec<_>>().join(", ");
        format!(
            "{}<p class=\"note\">Phases: {}.</p>\n",
            charts(context, words, rows, &metrics, &time, &axis, "over time, each phase in its middle"),
            html(&phases)
        )
    };
    groups.iter().map(one).collect()
}

/// Draws a picture for each metric that the rows have: a line for each server, a point for each workload.
fn charts<'a>(
    context: &Context<'_>,
    words: &[String],
    rows: &[&'a Row],
    metrics: &[Metric],
    place: &dyn Fn(&[&'a Row]) -> Option<f64>,
    axis: &dyn Fn() -> Axis<'static>,
    along: &str,
) -> String {
    let mut of_servers: BTreeMap<&str, BTreeMap<&str, Vec<&Row>>> = BTreeMap::new();
    for &row in rows {
        of_servers.entry(&row.server).or_default().entry(&row.workload_id).or_default().push(row);
    }
    let mut text = String::new();
    for metric in metrics {
        let values = |rows: &[&Row]| {
            let good = rows.iter().filter(|row| row.error.is_empty());
            median(&good.filter_map(|row| metric.of(row)).collect::<Vec<_>>())
        };
        let Some(typical) = median(&rows.iter().filter_map(|row| metric.of(row)).collect::<Vec<_>>()) else {
            continue;
        };
        let unit = Unit::of(*metric, typical);
        let line = |(server, workloads): (&&'a str, &BTreeMap<&str, Vec<&'a Row>>)| {
            let point = |rows: &Vec<&'a Row>| Some((place(rows)?, values(rows)? / unit.divisor));
            let mut points: Vec<(f64, f64)> = workloads.values().filter_map(point).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Line { name: server, colour: context.place(server), points, unused: Vec::new() }
        };
        let all: Vec<Line<'_>> = of_servers.iter().map(line).collect();
        if all.iter().all(|line| line.points.len() < 2) {
            continue;
        }
        let x = axis();
        let is_rate = *metric == Metric::THROUGHPUT && x.scale == Scale::Log;
        let mut offered: Vec<f64> =
            all.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
        offered.sort_by(f64::total_cmp);
        let diagonal: Vec<(f64, f64)> = offered.into_iter().map(|rate| (rate, rate)).collect();
        let title = words.join(", ");
        let chart = Chart {
            alt: format!("{} {along}: {title}", unit.title),
            x,
            y: Axis { title: &unit.title, scale: Scale::Log, ticks: None },
            lines: all,
            limit: is_rate.then_some((diagonal, "all answered")),
        };
        text.push_str(&figure(&lines(&chart), &format!("{}, {along}. Medians over the blocks.", unit.title)));
    }
    match text.is_empty() {
        true => text,
        false => format!("<h3>{}</h3>\n<div class=\"charts\">\n{text}</div>\n", html(&words.join(", "))),
    }
}
