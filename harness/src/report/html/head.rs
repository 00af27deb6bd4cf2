//! The three lines at the top: what was asked and run, where and when, how far to believe it.

use super::context::{Context, html};
use crate::analysis::metric::Metric;
use crate::analysis::pairs::Pair;
use crate::analysis::role::{is_ok, verdict};
use crate::record::row::Row;
use crate::record::rows::is_trial;
use crate::report::about::{About, left_out};
use crate::report::figures::{name, percent};
use crate::report::outlook;
use std::collections::{BTreeMap, BTreeSet};

/// Draws the heading of the page.
pub(super) fn draw(context: &Context<'_>) -> String {
    let name = context.rows.first().map_or("a run without rows", |row| &row.run_id);
    let alarm = |line: String| format!("<p class=\"alarm\" role=\"alert\">{}</p>\n", html(&line));
    let alarms: String = context.analysis.alarms().into_iter().map(alarm).collect();
    let lines = [
        ("Asked", asked(context)),
        ("Where and when", place(context)),
        ("How far to believe it", belief(context)),
    ];
    let lines: String =
        lines.iter().map(|(name, text)| format!("<dt>{name}</dt><dd>{}</dd>\n", html(text))).collect();
    format!("<header>\n<h1>{}</h1>\n{alarms}<dl class=\"head\">\n{lines}</dl>\n</header>\n", html(name))
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn distinct<'a>(rows: &'a [Row], of: impl Fn(&'a Row) -> &'a str) -> Vec<&'a str> {
    let all: BTreeSet<&str> = rows.iter().map(of).filter(|text| !text.is_empty()).collect();
    all.into_iter().collect()
}

/// Ends a sentence that may have an end already.
fn sentence(text: &str) -> String {
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{text}{end}")
}

fn asked(context: &Context<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    let question = context.fact("/measured/question");
    words.extend((!question.is_empty()).then(|| sentence(&question)));
    let prediction = context.fact("/measured/prediction");
    words.extend(
        (!prediction.is_empty()).then(|| format!("Predicted before measuring: {}", sentence(&prediction))),
    );
    words.extend(About::read(context.directory).ok().map(|about| about.headline(&context.map) + "."));
    words.join(" ")
}

fn place(context: &Context<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    let minute = |time: String| time.get(..16).map(|text| text.replace('T', " "));
    let ended = context.fact("/ended_at");
    let times = minute(context.fact("/started_at")).zip(ended.get(11..16));
    words.extend(times.map(|(start, end)| format!("{start}–{end} UTC")));
    let (cores, model) = (context.fact("/machine/cores"), context.fact("/machine/cpu_model"));
    if !cores.is_empty() {
        let kind = if context.fact("/machine/hypervisor") == "true" { "virtual " } else { "" };
        words.push(format!("{}: {cores} {kind}CPUs, {model}", context.fact("/machine/host")));
        words.push(format!("Linux {}", context.fact("/machine/kernel")));
    }
    let rustc = context.fact("/build/rustc");
    words.extend(rustc.split(' ').nth(1).map(|version| format!("rustc {version}")));
    let commit = context.fact("/build/commit");
    words.extend(commit.get(..10).map(|commit| format!("commit {commit}")));
    let placements = distinct(&context.counted, |row| &row.placement);
    words.extend(
        (!placements.is_empty())
            .then(|| format!("server and client on CPUs that are {}", placements.join(" or "))),
    );
    let mut text = words.join("; ") + ". ";
    let mut servers: BTreeMap<&str, String> = BTreeMap::new();
    for row in &context.counted {
        let workers = match row.worker_threads {
            Some(n) => count(n / row.processes.max(1), "worker"),
            None => "a thread for each connection".to_owned(),
        };
        let version = format!("{} {}", row.runtime, row.runtime_version);
        servers
            .entry(&row.server)
            .or_insert_with(|| format!("{} ({}, {workers})", row.server, version.trim()));
    }
    text.push_str(&servers.into_values().collect::<Vec<_>>().join(", "));
    text + "."
}

fn belief(context: &Context<'_>) -> String {
    let shown: BTreeSet<Metric> = context.map.workloads.iter().map(|column| column.metric).collect();
    [Some(control(&context.analysis.pairs, &shown)), Some(unused(context)), told(context)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// What the server that ran twice shows; of δ, that of the figures that are `shown`.
fn control(pairs: &[Pair], shown: &BTreeSet<Metric>) -> String {
    let controls: Vec<&Pair> = pairs.iter().filter(|pair| pair.is_control).collect();
    let Some(first) = controls.first() else {
        return "No server ran twice, so that nothing shows what chance alone does.".to_owned();
    };
    let differ = controls.iter().filter(|pair| pair.is_apart()).count();
    let undecided = controls.iter().filter(|pair| !pair.decidable).count();
    let mut deltas: BTreeMap<Metric, f64> = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| !pair.is_control && shown.contains(&pair.metric)) {
        deltas.insert(pair.metric, pair.delta);
    }
    let deltas: Vec<String> =
        deltas.iter().map(|(metric, delta)| format!("{} {}", name(*metric), percent(*delta))).collect();
    let counts = match deltas.is_empty() {
        true => String::new(),
        false => format!("; the least difference that counts (δ): {}", deltas.join(", ")),
    };
    match undecided == controls.len() {
        true => format!("{} ran twice; the blocks are too few to tell anything{counts}.", first.against),
        false => format!(
            "{} ran twice, as a control: the two differ in {differ} of {}{counts}.",
            first.against,
            count(controls.len(), "comparison")
        ),
    }
}

/// What the map's figures leave out, and the rows with a verdict other than `ok`.
fn unused(context: &Context<'_>) -> String {
    let failing =
        context.rows.iter().filter(|row| !is_trial(row) && !is_ok(row) && !verdict(row).is_empty()).count();
    let used = left_out(&context.map).unwrap_or_else(|| "all rows are used".to_owned());
    format!("Of the map, {used}; {failing} of {} rows have a verdict other than ok.", context.rows.len())
}

fn told(context: &Context<'_>) -> Option<String> {
    let told: Vec<(f64, f64)> = context.map.workloads.iter().filter_map(|column| column.told).collect();
    if told.is_empty() {
        return Some(
            "These blocks are too few to tell servers apart: six are the least that can.".to_owned(),
        );
    }
    let least = told.iter().map(|told| told.0).reduce(f64::min)?;
    let most = told.iter().map(|told| told.1).reduce(f64::max)?;
    Some(format!(
        "Four times in five, differences of {} (the quietest pair of the map) to {} (the noisiest) would have been told.",
        outlook::told(least),
        outlook::told(most)
    ))
}
