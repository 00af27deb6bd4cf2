//! The tables of a run as one workbook: a sheet for each file, with types, a frozen header and filters.

use crate::analysis::{Analysis, pairs, summary};
use crate::exit::usage;
use crate::record::column::Kind;
use crate::record::csv::{self, Field};
use crate::record::row::Row;
use crate::record::rows::counting;
use anyhow::Result;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use std::path::Path;

/// Writes the workbook. Its sheet `replicates` has the rows of `cells.csv` that count and have no error: a pivot table can
/// take it as it is.
///
/// # Errors
/// The file cannot be written, or a table has more rows than a sheet.
pub fn write(path: &Path, rows: &[Row], analysis: &Analysis) -> Result<()> {
    let rows: Vec<Row> = counting(rows).into_iter().filter(|row| row.error.is_empty()).collect();
    let factors = csv::factor_names(analysis.summaries.iter().map(|summary| &summary.row));
    let (summary, pairs, cells) = (summary::fields(&factors), pairs::fields(&factors), csv::cells(&factors));
    let made = || -> Result<(), XlsxError> {
        let mut workbook = Workbook::new();
        sheet(workbook.add_worksheet(), "summary", &summary, &analysis.summaries)?;
        sheet(workbook.add_worksheet(), "replicates", &cells, &rows)?;
        sheet(workbook.add_worksheet(), "pairs", &pairs, &analysis.pairs)?;
        let mut columns = described("summary", &summary);
        columns.extend(described("replicates", &cells));
        columns.extend(described("pairs", &pairs));
        sheet(workbook.add_worksheet(), "columns", &about_columns(), &columns)?;
        workbook.save(path)
    };
    made().map_err(|error| usage!("cannot write {}: {error}", path.display()))
}

/// A column of a sheet: the sheet, the column's name, unit and meaning.
type Described = [String; 4];

fn described<R>(sheet: &str, fields: &[Field<R>]) -> Vec<Described> {
    let of = |field: &Field<R>| [sheet, &field.name, field.unit, &field.meaning].map(str::to_owned);
    fields.iter().map(of).collect()
}

fn about_columns() -> Vec<Field<Described>> {
    let names = ["sheet", "column", "unit", "meaning"].into_iter().enumerate();
    names
        .map(|(place, name)| Field::text(name, "", move |column: &Described| column[place].clone()))
        .collect()
}

fn sheet<R>(sheet: &mut Worksheet, name: &str, fields: &[Field<R>], records: &[R]) -> Result<(), XlsxError> {
    let (bold, time) = (Format::new().set_bold(), Format::new().set_num_format("yyyy-mm-dd hh:mm:ss.000"));
    sheet.set_name(name)?.set_freeze_panes(1, 0)?;
    for (place, field) in (0..).zip(fields) {
        sheet.write_with_format(0, place, &field.name, &bold)?;
        for (line, record) in (1..).zip(records) {
            let text = (field.text)(record);
            // A missing value is an empty cell.
            match (field.kind, text.parse::<f64>()) {
                _ if text.is_empty() => {}
                (Kind::Count | Kind::Number, Ok(number)) => _ = sheet.write(line, place, number)?,
                (Kind::Truth, _) => _ = sheet.write(line, place, text == "true")?,
                (Kind::Time, _) => {
                    let at = ExcelDateTime::parse_from_str(&text)?;
                    sheet.write_with_format(line, place, &at, &time)?;
                }
                _ => _ = sheet.write(line, place, text)?,
            }
        }
    }
    let (lines, columns) = (u32::try_from(records.len()), u16::try_from(fields.len()));
    if let (Ok(lines), Ok(columns)) = (lines, columns) {
        sheet.autofilter(0, 0, lines, columns.saturating_sub(1))?;
    }
    sheet.autofit();
    Ok(())
}
