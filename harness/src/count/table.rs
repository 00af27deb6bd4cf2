//! What counting gave: on a terminal of 80 columns, and for a document.

use super::callgrind::TOP;
use super::rows::Counted;
use crate::record::counts::CountRow;
use crate::report::drawing::{Format, drawn};
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a function that is shown; the end of a longer one says more than its beginning.
const NAME: usize = 34;
/// The functions of an explanation.
const EXPLAINED: usize = 20;

/// Draws a row per cell.
pub fn counts(rows: &[CountRow]) -> String {
    let header = ["server", "route @conns", "instructions", "range", "allocs", "syscalls"].map(str::to_owned);
    let shown = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
    let line = |row: &CountRow| {
        let instructions = match row.modes.as_str() {
            "" => shown(row.instructions_per_request, 0),
            modes => modes.to_owned(),
        };
        let spread = |middle: f64| {
            let (low, high) = (row.instructions_per_request_min?, row.instructions_per_request_max?);
            Some(format!("{:.1}%", 100.0 * (high - low) / middle))
        };
        vec![
            row.server.clone(),
            format!("{} @{}", row.route, row.connections),
            instructions,
            row.instructions_per_request.and_then(spread).unwrap_or("-".to_owned()),
            shown(row.allocations_per_request, 1),
            shown(row.syscalls_per_request, 2),
        ]
    };
    drawn(header.to_vec(), rows.iter().map(line).collect(), 2..6, Format::Table)
}

/// Draws a table for each number of connections, in Markdown: a row a server, the one with the cheapest first route first,
/// a column a route.
pub fn by_route(rows: &[CountRow]) -> String {
    let mut routes: Vec<&str> = Vec::new();
    for row in rows {
        if !routes.contains(&&*row.route) {
            routes.push(&row.route);
        }
    }
    let instructions = |row: &CountRow| match (row.instructions_per_request, row.modes.as_str()) {
        (Some(middle), "") => format!("{middle:.0}"),
        (Some(_), modes) => modes.to_owned(),
        (None, _) => "-".to_owned(),
    };
    let connections: BTreeSet<usize> = rows.iter().map(|row| row.connections).collect();
    let table = |connections: usize| {
        let its = || rows.iter().filter(move |row| row.connections == connections);
        let cell =
            |server: &str, route: &str| its().find(|row| (&*row.server, &*row.route) == (server, route));
        let first = |server: &str| cell(server, routes.first()?)?.instructions_per_request;
        let servers: BTreeSet<&str> = its().map(|row| &*row.server).collect();
        let mut servers: Vec<&str> = servers.into_iter().collect();
        servers.sort_by(|a, b| {
            let cost = |server: &str| first(server).unwrap_or(f64::INFINITY);
            cost(a).total_cmp(&cost(b))
        });
        let line = |server: &&str| -> Vec<String> {
            let cells = routes.iter().map(|route| cell(server, route).map_or(String::new(), instructions));
            std::iter::once((*server).to_owned()).chain(cells).collect()
        };
        let header = std::iter::once("server").chain(routes.iter().copied()).map(str::to_owned).collect();
        let lines = servers.iter().map(line).collect();
        let s = if connections == 1 { "" } else { "s" };
        let table = drawn(header, lines, 1..routes.len() + 1, Format::Markdown);
        format!("**{connections} connection{s}**\n\n{table}\n")
    };
    connections.into_iter().map(table).collect()
}

/// Names the crates and the functions that most of a request's instructions are in.
pub fn parts(counted: &Counted) -> String {
    let row = &counted.row;
    let total = counted.profile.total();
    let crates = counted.crates.iter().take(TOP);
    let crates = crates.map(|part| format!("{} {:.0}", part.crate_name, part.instructions_per_request));
    let crates = crates.collect::<Vec<_>>().join(", ");
    let mut text = format!("\n{} {}, {} connections\n  {crates}\n", row.server, row.route, row.connections);
    for (name, cost) in counted.profile.by_function().iter().take(TOP) {
        text += &format!("  {:>5.1}%  {}\n", 100.0 * cost / total, shortened(name));
    }
    text
}

/// Draws the difference between two servers, function by function, the largest first.
pub fn explanation(a: &Counted, b: &Counted) -> String {
    let mut both: BTreeMap<String, [f64; 2]> = BTreeMap::new();
    for (side, profile) in [&a.profile, &b.profile].into_iter().enumerate() {
        for (name, cost) in profile.by_function() {
            both.entry(name).or_default()[side] += cost;
        }
    }
    let mut all: Vec<(String, [f64; 2])> = both.into_iter().collect();
    let difference = |costs: &[f64; 2]| costs[1] - costs[0];
    all.sort_by(|x, y| difference(&y.1).abs().total_cmp(&difference(&x.1).abs()));
    let rest = all.split_off(all.len().min(EXPLAINED));
    let rest = rest.iter().fold([0.0; 2], |sum, (_, costs)| [sum[0] + costs[0], sum[1] + costs[1]]);
    all.push(("everything else".to_owned(), rest));
    all.push(("all".to_owned(), [a.profile.total(), b.profile.total()]));
    let line = |(name, costs): &(String, [f64; 2])| {
        let numbers = [costs[0], costs[1]].map(|cost| format!("{cost:.0}"));
        let [a, b] = numbers;
        vec![a, b, format!("{:+.0}", difference(costs)), shortened(name)]
    };
    let header = [&*a.row.server, &*b.row.server, "difference", "instructions per request in"];
    let (route, connections) = (&a.row.route, a.row.connections);
    let table =
        drawn(header.map(str::to_owned).to_vec(), all.iter().map(line).collect(), 0..3, Format::Table);
    format!("\n{route}, {connections} connections\n{table}")
}

fn shortened(name: &str) -> String {
    match name.chars().count() {
        length if length <= NAME => name.to_owned(),
        length => format!("…{}", name.chars().skip(length - NAME + 1).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::callgrind::Profile;

    fn counted(server: &str, text: &str) -> Counted {
        let mut profile = Profile::default();
        profile.add(text).expect("callgrind's");
        let row = CountRow {
            server: server.into(),
            route: "/asyncfib/25".into(),
            connections: 64,
            instructions_per_request: Some(profile.total()),
            instructions_per_request_min: Some(profile.total()),
            instructions_per_request_max: Some(profile.total()),
            modes: "12345 or 23456".into(),
            ..CountRow::default()
        };
        Counted { row, crates: Vec::new(), functions: Vec::new(), profile }
    }

    #[test]
    fn an_explanation_is_ordered_by_the_difference_and_adds_up() {
        let a = counted("a", "fn=same\n1 500\nfn=less\n1 40\nfn=gone\n1 70\n");
        let b = counted("b", "fn=same\n1 500\nfn=less\n1 30\nfn=new\n1 100\n");
        let text = explanation(&a, &b);
        let at = |word: &str| text.find(word).expect(word);
        assert!(at("+100") < at("-70") && at("-70") < at("-10") && at("-10") < at("+0"), "{text}");
        assert!(text.contains("610") && text.contains("630") && text.contains("+20"), "{text}");
    }

    #[test]
    fn a_document_has_a_table_for_each_number_of_connections() {
        let row = |server: &str, route: &str, connections: usize, instructions: Option<f64>| CountRow {
            server: server.into(),
            route: route.into(),
            connections,
            instructions_per_request: instructions,
            ..CountRow::default()
        };
        let mut rows = vec![
            row("dear", "/a", 1, Some(900.0)),
            row("dear", "/b", 1, None),
            row("cheap", "/a", 1, Some(400.4)),
            row("dear", "/a", 64, Some(800.0)),
        ];
        rows[0].modes = "800 or 1000".into();
        let text = by_route(&rows);
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let at = |said: &str| lines.iter().position(|line| line == said).expect(&text);
        assert!(at("**1 connection**") < at("| server | /a | /b |"));
        assert!(at("| cheap | 400 | |") < at("| dear | 800 or 1000 | - |"), "the cheapest first");
        assert!(at("| dear | 800 or 1000 | - |") < at("**64 connections**"));
        assert!(at("**64 connections**") < at("| dear | 800 | |"));
    }

    #[test]
    fn tables_fit_a_terminal_of_80_columns() {
        let long = format!("fn={}\n1 5\n", "hyper::".repeat(40));
        let (a, b) = (counted("tokio-current", &long), counted("may-minihttp", &long));
        for text in [explanation(&a, &b), parts(&a), counts(std::slice::from_ref(&a.row))] {
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest.is_some_and(|width| width <= 80), "{widest:?}: {text}");
        }
        assert!(a.profile.top().ends_with("hyper:: 100.0%"));
    }
}
