//! `report.html`: the tables and charts of a run on one page, which needs nothing but a browser.

use super::cells::By;
use super::drawing::{Format, escaped};
use super::tables;
use crate::analysis::Analysis;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

/// The name of the page's file.
pub const REPORT: &str = "report.html";

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1a1a1a}\
table{border-collapse:collapse;margin:.5rem 0 1rem}\
th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}\
th{border-bottom:2px solid #555}\
.n{text-align:right;font-variant-numeric:tabular-nums}\
figure{margin:1rem 0}figcaption{color:#555;font-size:.9em}\
.alarm{border-left:.4rem solid #b00;padding:.5rem 1rem;background:#fee}\
main{overflow-x:auto}";

/// Writes the page into a run's directory.
///
/// # Errors
/// The file cannot be written.
pub fn write(directory: &Path, analysis: &Analysis) -> Result<()> {
    let path = directory.join(REPORT);
    fs::write(&path, page(analysis)).with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the page: a table and a chart per workload, best ranks first.
pub fn page(analysis: &Analysis) -> String {
    let run = analysis.summaries.first().map_or("a run without rows", |s| &s.row.run_id);
    let title = escaped(run);
    let alarm = |line: String| format!("<p class=\"alarm\">{}</p>\n", escaped(&line));
    let alarms: String = analysis.alarms().into_iter().map(alarm).collect();
    let tables = tables::render(analysis, By::Work, Format::Html);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{alarms}{tables}</main>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row::Row;

    #[test]
    fn a_page_needs_no_network_and_runs_nothing() {
        let row = |server: &str, block| Row {
            run_id: "run".into(),
            server: server.into(),
            block,
            workload: "/<b>, closed-loop".into(),
            throughput_rps: Some(100.0 + block as f64),
            ..Row::default()
        };
        let rows: Vec<Row> = (1..=12).flat_map(|block| [row("a", block), row("b", block)]).collect();
        let page = page(&Analysis::of(&rows));
        assert!(page.contains("<title>run</title>") && page.contains("<svg") && page.contains("/&lt;b&gt;"));
        // The one address is the name of SVG's vocabulary, which nobody fetches.
        let addresses = page.matches("http").count();
        assert_eq!(addresses, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }
}
