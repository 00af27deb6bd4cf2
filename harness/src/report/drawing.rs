//! Headings, lists and tables: for a terminal, for a README, for a page.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_HORIZONTAL_ONLY};
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use std::ops::Range;

/// The form in which a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    Table,
    /// For a README.
    Markdown,
    /// For a browser: a page with charts, which needs no network.
    Html,
}

impl Format {
    /// Returns what separates lines within a cell.
    pub(super) fn line_break(self) -> &'static str {
        match self {
            Format::Table | Format::Html => "\n",
            Format::Markdown => "<br>",
        }
    }

    /// Draws the heading of a table: a name, and facts behind it.
    pub(super) fn heading(self, name: &str, facts: &str) -> String {
        match self {
            Format::Table => format!("{name}{facts}\n\n"),
            Format::Markdown => format!("**{name}**{facts}\n\n"),
            Format::Html => format!("<h2>{}</h2>\n<p>{}</p>\n", escaped(name), escaped(facts.trim())),
        }
    }

    /// Draws a paragraph.
    pub(super) fn paragraph(self, text: &str) -> String {
        match self {
            Format::Table | Format::Markdown => text.to_owned(),
            Format::Html => format!("<p>{}</p>\n", escaped(text)),
        }
    }

    /// Draws a list. Markdown would run its lines together without a mark.
    pub fn list(self, lines: &[String]) -> String {
        match self {
            Format::Table => lines.iter().map(|line| format!("{line}\n")).collect(),
            Format::Markdown => lines.iter().map(|line| format!("- {line}\n")).collect(),
            Format::Html => {
                let items: String =
                    lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
                format!("<ul>\n{items}</ul>\n")
            }
        }
    }
}

/// [`UTF8_HORIZONTAL_ONLY`] without lines between rows.
const CONDENSED: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('═').junction('═'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// Draws a table. The columns of `numbers` are set to the right.
pub fn drawn(header: Vec<String>, rows: Vec<Vec<String>>, numbers: Range<usize>, format: Format) -> String {
    // Lines between rows are for rows of several lines.
    let condensed = !rows.iter().flatten().any(|cell| cell.contains('\n'));
    let style = match format {
        Format::Html => return page_table(&header, &rows, &numbers),
        Format::Table if condensed => CONDENSED,
        Format::Table => UTF8_HORIZONTAL_ONLY,
        Format::Markdown => ASCII_MARKDOWN,
    };
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.load_style(style);
    table.set_header(header);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn page_table(header: &[String], rows: &[Vec<String>], numbers: &Range<usize>) -> String {
    let line = |cells: &[String], tag: &str| {
        let cell = |(index, text): (usize, &String)| {
            let class = if numbers.contains(&index) { " class=\"n\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escaped(text).replace('\n', "<br>"))
        };
        format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    let body: String = rows.iter().map(|row| line(row, "td")).collect();
    format!("<table>\n<thead>{}</thead>\n<tbody>\n{body}</tbody></table>\n", line(header, "th"))
}

/// Returns text that a browser shows as it is.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_is_no_markup() {
        let text = |text: &str| vec!["a".to_owned(), text.to_owned()];
        let page = drawn(text("b"), vec![text("<script>\n&\"")], 1..2, Format::Html);
        assert!(page.contains("<td class=\"n\">&lt;script&gt;<br>&amp;&quot;</td>"), "{page}");
        assert_eq!(Format::Html.list(&["<b>".to_owned()]), "<ul>\n<li>&lt;b&gt;</li>\n</ul>\n");
    }

    #[test]
    fn lines_between_rows_are_for_rows_of_several_lines() {
        let rows = |cell: &str| vec![vec![cell.to_owned()], vec![cell.to_owned()]];
        let lines = |cell: &str| drawn(vec!["a".to_owned()], rows(cell), 0..1, Format::Table).lines().count();
        assert_eq!((lines("x"), lines("x\ny")), (6, 9));
    }
}
