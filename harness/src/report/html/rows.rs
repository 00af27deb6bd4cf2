//! Every row of the run, as data that the page's script shows in pages, sorts, filters and writes as CSV; and what each
//! column means.

use super::context::{Context, html};
use crate::record::csv::{self, Field};
use crate::record::directory::CELLS;
use crate::record::row::Row;
use anyhow::Result;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Draws the section, its data and the meanings of its columns.
///
/// # Errors
/// None that a row could have.
pub(super) fn draw(context: &Context<'_>) -> Result<String> {
    let fields = csv::cells(&csv::factor_names(context.rows.iter()));
    let columns = columns(&csv::file(&fields, context.rows)?)?;
    let known: Vec<Json> = fields.iter().zip(&columns).map(|(field, values)| packed(field, values)).collect();
    // A text that ends a script is no end of this one.
    let data = json!({ "file": CELLS, "rows": context.rows.len(), "columns": known })
        .to_string()
        .replace('<', "\\u003c");
    let meanings: String = fields
        .iter()
        .map(|field| {
            let unit = if field.unit.is_empty() { String::new() } else { format!(", {}", field.unit) };
            format!(
                "<dt id=\"column-{0}\"><code>{0}</code>{1}</dt><dd>{2}</dd>\n",
                html(&field.name),
                html(&unit),
                html(&field.meaning)
            )
        })
        .collect();
    Ok(format!(
        "<section id=\"rows\" class=\"no-print\"><h2>Every row</h2>\n\
         <noscript><p>The rows are in <a href=\"{CELLS}\">{CELLS}</a>, beside this page.</p></noscript>\n\
         <div class=\"tools\" hidden><span id=\"shown\" role=\"status\"></span>\
         <button type=\"button\" id=\"previous\">previous</button><button type=\"button\" id=\"next\">next</button>\
         <label><input type=\"checkbox\" id=\"all-columns\"> all columns</label>\
         <button type=\"button\" id=\"download\">download {CELLS}</button></div>\n\
         <div class=\"scroll\"><table class=\"rows\" id=\"table\"><thead></thead><tbody></tbody></table></div>\n\
         </section>\n<section id=\"columns\"><h2>The columns</h2>\n<details class=\"meanings\"><summary>What each of the {} columns says</summary><dl>\n{meanings}</dl></details></section>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n",
        fields.len()
    ))
}

/// The texts of a file, column by column.
fn columns(file: &[u8]) -> Result<Vec<Vec<String>>> {
    let mut reader = ::csv::Reader::from_reader(file);
    let mut columns = vec![Vec::new(); reader.headers()?.len()];
    for record in reader.records() {
        for (column, text) in columns.iter_mut().zip(&record?) {
            column.push(text.to_owned());
        }
    }
    Ok(columns)
}

/// A column with each text once and the rows' texts by their places, or of numbers that are nearly all different the
/// texts themselves; both as one text, which a browser reads fastest and only when it is looked at.
fn packed(field: &Field<Row>, values: &[String]) -> Json {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut texts: Vec<&str> = Vec::new();
    let mut indices: Vec<String> = Vec::with_capacity(values.len());
    for value in values {
        let place = *places.entry(value).or_insert_with(|| {
            texts.push(value);
            texts.len() - 1
        });
        indices.push(place.to_string());
    }
    let is_number = matches!(field.kind.schema_type(), "integer" | "number");
    let mut column = json!({ "name": field.name, "number": is_number });
    if texts.len() <= 1 {
        column["same"] = json!(texts.first().unwrap_or(&""));
    } else if is_number && texts.len() * 4 > values.len() {
        column["values"] = json!(values.join(","));
    } else {
        column["texts"] = json!(texts);
        column["places"] = json!(indices.join(","));
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_packed_by_what_is_in_it() {
        let fields = csv::cells(&[]);
        let field = |name: &str| fields.iter().find(|field| field.name == name).expect("known");
        let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let run = packed(field("run_id"), &texts(&["r", "r"]));
        assert_eq!(run, json!({ "name": "run_id", "number": false, "same": "r" }));
        let server = packed(field("server"), &texts(&["a, b", "c", "a, b"]));
        assert_eq!((&server["texts"], &server["places"]), (&json!(["a, b", "c"]), &json!("0,1,0")));
        let rps = packed(field("throughput_rps"), &texts(&["1.5", "", "2.5"]));
        assert_eq!(rps["values"], "1.5,,2.5");
    }
}
