//! The article's table beside the run's, for runs of its experiment.

use super::context::{Context, html};
use crate::report::tables;

/// The columns of the article's table: processes, what runs beside the load, the route.
const CONDITIONS: [(usize, &str, &str); 6] = [
    (1, "", "/wait"),
    (1, "", "/asyncwait"),
    (1, "fib/42@1", "/wait"),
    (1, "fib/42@1", "/asyncwait"),
    (2, "fib/42@1", "/wait"),
    (2, "fib/42@1", "/asyncwait"),
];

/// The article's requests per second, of 2021, on another machine.
const FIGURES: [(&str, [f64; 6]); 5] = [
    ("sequential, 100", [15.84, 15.69, 8.75, 9.52, 19.02, 18.80]),
    ("thread-pool, 100", [191.74, 217.35, 54.94, 53.02, 216.84, 400.12]),
    ("thread-pool, 1000", [234.24, 316.08, 72.87, 72.36, 241.06, 433.80]),
    ("async, 100", [187.36, 666.23, 60.64, 46.81, 223.52, 208.68]),
    ("async, 1000", [222.16, 1031.05, 122.97, 51.73, 311.40, 1275.48]),
];

/// Draws the section; empty for other experiments.
pub(super) fn draw(context: &Context<'_>) -> String {
    // What ran beside the load is the article's own: no other experiment has it.
    let is_seed = context.counted.iter().any(|row| row.interference == CONDITIONS[2].1);
    let tables: String = FIGURES.iter().filter_map(|(work, figures)| table(context, work, figures)).collect();
    if !is_seed || tables.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"article\"><h2>The article's table, then and now</h2>\n<p>Requests per second: the median over the \
         blocks, its [95% interval] or (lowest–highest block), and ≤ the ceiling that arithmetic gives: c, requests in \
         flight / delay; b, free blocking threads / delay. The article's figures are of 2021, another machine, one run.</p>\n\
         {tables}</section>\n"
    )
}

fn table(context: &Context<'_>, work: &str, figures: &[f64; 6]) -> Option<String> {
    let head: String = CONDITIONS
        .iter()
        .map(|(processes, beside, route)| {
            let beside = if beside.is_empty() { String::new() } else { format!("<br>+ {beside}") };
            let plural = if *processes == 1 { "" } else { "es" };
            format!("<th scope=\"col\">{processes} process{plural}{beside}<br>{route}</th>")
        })
        .collect();
    let then: String = figures.iter().map(|rps| format!("<td>{rps:.2}</td>")).collect();
    let mut body = format!("<tr class=\"then\"><th scope=\"row\">the article, 2021</th>{then}</tr>\n");
    let mut has_rows = false;
    for server in context.servers() {
        let its =
            || context.analysis.summaries.iter().filter(|s| s.row.server == *server && s.row.work() == work);
        if its().next().is_none() {
            continue;
        }
        has_rows = true;
        let cell = |condition: &(usize, &str, &str)| {
            let is = |s: &&_| tables::column(s) == *condition;
            let words = its().find(is).map_or_else(|| "–".to_owned(), |s| tables::figure(s, "\n"));
            format!("<td>{}</td>", html(&words).replace('\n', "<br>"))
        };
        let cells: String = CONDITIONS.iter().map(cell).collect();
        body.push_str(&format!("<tr data-s=\"{0}\"><th scope=\"row\">{0}</th>{cells}</tr>\n", html(server)));
    }
    has_rows.then(|| {
        format!("<h3>{work}</h3>\n<div class=\"scroll\"><table class=\"costs\"><thead><tr><th scope=\"col\">server</th>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_article_s_figures_are_those_of_its_document() {
        let root = crate::experiment::root::find().expect("a clone");
        let text = std::fs::read_to_string(root.join("docs/article.md")).expect("there");
        for (work, figures) in FIGURES {
            let line = text.lines().find(|line| line.starts_with(&format!("| {work} |"))).expect(work);
            let known: Vec<f64> = line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
            assert_eq!(known, figures, "{work}");
        }
    }
}
