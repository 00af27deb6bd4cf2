//! `report.html`: a run on one page, which needs nothing but a browser and is read without scripts too.

mod article;
mod context;
mod course;
mod head;
mod map;
mod nines;
mod plot;
mod rows;
mod scale;
mod workload;

use crate::analysis::Analysis;
use crate::record::row::Row;
use crate::record::whole;
use crate::report::theme::{DARK, LIGHT};
use anyhow::Result;
use context::{Context, html};
use plotters::style::RGBColor;
use std::path::Path;

/// The name of the page's file.
pub const REPORT: &str = "report.html";

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the page into a run's directory.
///
/// # Errors
/// The file cannot be written.
pub fn write(directory: &Path, rows: &[Row], analysis: &Analysis) -> Result<()> {
    whole::replace(&directory.join(REPORT), page(directory, rows, analysis)?)
}

/// Returns the page of the run in `directory`: the map, a section for each workload, and every row.
///
/// # Errors
/// None that a row could have.
pub fn page(directory: &Path, rows: &[Row], analysis: &Analysis) -> Result<String> {
    let context = Context::new(directory, rows, analysis);
    let title = html(rows.first().map_or("a run without rows", |row| &row.run_id));
    let sections: String =
        context.map.workloads.iter().map(|column| workload::draw(&context, column)).collect();
    let parts = [
        head::draw(&context),
        filter(&context),
        map::draw(&context),
        format!(
            "<h2 id=\"workloads\">Workload by workload</h2>\n<p class=\"note\">{}</p>\n{sections}",
            plot::SHAPES
        ),
        course::draw(&context),
        article::draw(&context),
        rows::draw(&context)?,
    ];
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n\
         <style>{STYLE}{}</style>\n</head>\n<body>\n<main>\n{}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        colours(),
        parts.concat()
    ))
}

/// What the page shows, for the script: without one there is nothing to choose.
fn filter(context: &Context<'_>) -> String {
    let servers: String = context
        .servers()
        .iter()
        .map(|server| {
            let (name, place) = (html(server), context.place(server) % LIGHT.series.len());
            format!("<label><input type=\"checkbox\" name=\"server\" value=\"{name}\" data-place=\"{place}\"><i class=\"dot\" style=\"color:var(--s{place})\"></i>{name}</label>")
        })
        .collect();
    let workloads: String = context
        .map
        .workloads
        .iter()
        .map(|column| {
            format!(
                "<option value=\"{}\">{}</option>",
                html(&column.row.workload_id),
                html(&column.row.workload)
            )
        })
        .collect();
    format!(
        "<form id=\"view\" class=\"no-print\" hidden><fieldset><legend>Show servers</legend>{servers}</fieldset>\
         <label>on <select name=\"workload\"><option value=\"\">every workload</option>{workloads}</select></label>\
         <button type=\"reset\">everything</button><a href=\"#rows\">every row</a></form>\n"
    )
}

/// The style of the map's cells and of what pictures are drawn in: each colour in light and in dark, and how one that is not looked at fades.
fn colours() -> String {
    let hex = |RGBColor(r, g, b): &RGBColor| format!("#{r:02X}{g:02X}{b:02X}");
    let (mut light, mut dark, mut rules) = (String::new(), String::new(), String::new());
    let mut rule = |of: &RGBColor, name: &str| {
        rules.push_str(&format!(
            ".chart [fill=\"{0}\"]{{fill:var(--{name})}}.chart [stroke=\"{0}\"]{{stroke:var(--{name})}}\n",
            hex(of)
        ));
    };
    rule(&plot::TEXT, "text");
    rule(&plot::GRID, "grid");
    rule(&plot::LIMIT, "soft");
    for (place, colour) in LIGHT.series.iter().enumerate() {
        rule(colour, &format!("s{place}"));
    }
    for (theme, names) in [(&LIGHT, &mut light), (&DARK, &mut dark)] {
        let mut name =
            |name: String, colour: &RGBColor| names.push_str(&format!("--{name}:{};", hex(colour)));
        theme.series.iter().enumerate().for_each(|(place, colour)| name(format!("s{place}"), colour));
        theme.bins.iter().enumerate().for_each(|(place, colour)| name(format!("c{place}"), colour));
        name("on6".to_owned(), &theme.on_last_bin);
    }
    for (place, colour) in LIGHT.series.iter().enumerate() {
        rules.push_str(&format!(
            "body[data-off~=\"{place}\"] .chart :is([fill=\"{0}\"],[stroke=\"{0}\"]){{opacity:.12}}\n",
            hex(colour)
        ));
    }
    format!(":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{rules}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |server: &str, block: usize, cpu: f64| Row {
            run_id: "run".into(),
            server: server.into(),
            role: "contestant".into(),
            block,
            workload: "/<b>, closed-loop".into(),
            workload_id: "w1".into(),
            route: "/<b>".into(),
            strategy: "closed-loop".into(),
            loop_kind: "closed".into(),
            verdict: "ok".into(),
            bound_by: "server_cpu".into(),
            throughput_rps: Some(100.0 + block as f64),
            server_cpu_us_per_request: Some(cpu + block as f64 / 100.0),
            service_p50_us: Some(100.0),
            service_p99_us: Some(300.0),
            ..Row::default()
        };
        let lost = |block| Row {
            verdict: "noisy_host".into(),
            verdict_reason: "steal".into(),
            ..row("lost", block, 8.0)
        };
        (1..=12)
            .flat_map(|block| {
                [row("a", block, 8.0), row("b", block, 10.0), row("c", block, 8.0), lost(block)]
            })
            .collect()
    }

    fn made(rows: &[Row]) -> String {
        let nowhere = tempfile::tempdir().expect("a folder");
        page(nowhere.path(), rows, &Analysis::of(rows)).expect("drawn")
    }

    #[test]
    fn a_page_needs_no_network_and_takes_no_text_for_markup() {
        let page = made(&rows());
        assert!(page.contains("<title>run</title>") && page.contains("<svg") && page.contains("/&lt;b&gt;"));
        // The one address is the name of SVG's vocabulary, which nobody fetches.
        let addresses = page.matches("http://").count() + page.matches("https://").count();
        assert_eq!(addresses, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
        assert!(!page.contains("/<b>"), "neither in markup nor in data");
        assert!(!page.contains(" src=") && !page.contains("@import") && !page.contains("url("));
    }

    #[test]
    fn a_cell_says_what_was_established_of_it_other_than_by_colour() {
        let page = made(&rows());
        assert!(page.contains("class=\"c0 best\""), "the best");
        assert!(
            page.contains("class=\"c0 alike\"") && page.contains("within 2% of the best, a"),
            "one like it"
        );
        assert!(
            page.contains("class=\"c2 apart\"") && page.contains("b takes 25% more CPU per request"),
            "one apart"
        );
        assert!(
            page.contains("class=\"without\" tabindex=\"0\"><span class=\"cut\">12 noisy host</span>"),
            "one without"
        );
        assert!(page.contains("no valid figure: 12 noisy host"));
        let few: Vec<Row> = rows().into_iter().filter(|row| row.block < 4).collect();
        let page = made(&few);
        assert!(page.contains("not-told\" tabindex") && page.contains("not told apart from the best, a"));
    }

    #[test]
    fn open_and_closed_loops_are_never_in_one_picture() {
        let open = |row: Row| Row {
            workload: "/x, open-loop".into(),
            workload_id: "w2".into(),
            loop_kind: "open".into(),
            response_p50_us: Some(200.0),
            response_p99_us: Some(500.0),
            ..row
        };
        let closed = rows();
        let all: Vec<Row> = closed.iter().cloned().chain(closed.iter().cloned().map(open)).collect();
        let page = made(&all);
        let axes = |title: &str| page.matches(&format!("\n{title}\n")).count();
        assert_eq!((axes("service time, µs"), axes("response time, µs")), (1, 1));
    }

    #[test]
    fn every_column_of_a_row_has_a_meaning_to_link_to() {
        let page = made(&rows());
        for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{link}\"")), "#{link}");
        }
        assert!(page.matches("<dt id=\"column-").count() > 80);
    }

    #[test]
    fn the_same_rows_are_the_same_bytes_and_none_are_a_page_too() {
        assert_eq!(made(&rows()), made(&rows()));
        assert!(made(&[]).contains("a run without rows"));
    }

    #[test]
    fn phases_and_rates_have_pictures_of_their_own() {
        let of = |phase: &str, start: f64, rate: f64| {
            let phase = phase.to_owned();
            move |row: Row| Row {
                workload_id: format!("{phase}{rate}"),
                workload: format!("/x {phase} {rate}"),
                loop_kind: "open".into(),
                phase: phase.clone(),
                warmup_s: Some(start),
                duration_s: Some(1.0),
                offered_rps: Some(rate),
                response_p50_us: Some(200.0 + rate),
                ..row
            }
        };
        let with = |maps: Vec<Box<dyn Fn(Row) -> Row>>| -> String {
            let all: Vec<Row> = maps.iter().flat_map(|map| rows().into_iter().map(map)).collect();
            made(&all)
        };
        let page = with(vec![Box::new(of("before", 0.0, 100.0)), Box::new(of("burst", 1.0, 100.0))]);
        assert!(
            page.contains("id=\"time\"")
                && page.contains("burst (1.00 to 2.00 s)")
                && !page.contains("id=\"rate\"")
        );
        let page = with(vec![Box::new(of("", 0.0, 100.0)), Box::new(of("", 0.0, 200.0))]);
        assert!(
            page.contains("id=\"rate\"") && page.contains("all answered") && !page.contains("id=\"time\"")
        );
    }
}
