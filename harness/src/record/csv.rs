//! The one writer and reader of CSV files: RFC 4180, a header always, columns by their names.

use super::cells::Row;
use super::column::{Column, Kind, Record};
use std::collections::BTreeSet;
use std::io;

/// What the name of a factor's column begins with.
const FACTOR: &str = "factor_";

/// A column of a file that is written.
#[expect(missing_debug_implementations, reason = "a closure has none")]
pub struct Field<R> {
    /// The name in the header, with its unit.
    pub name: String,
    /// The unit; empty for none.
    pub unit: &'static str,
    /// The type.
    pub kind: Kind,
    /// The meaning in plain words.
    pub meaning: String,
    /// The value of a record as it stands in the file.
    pub text: Box<dyn Fn(&R) -> String>,
}

impl<R: 'static> Field<R> {
    /// A column of the record that `within` finds in `R`.
    pub fn within<S>(column: &'static Column<S>, within: fn(&R) -> &S) -> Field<R> {
        Field {
            name: column.name.to_owned(),
            unit: column.unit,
            kind: column.kind,
            meaning: column.meaning.to_owned(),
            text: Box::new(move |record| (column.get)(within(record))),
        }
    }

    /// A column of text that is in no registry.
    pub fn text(name: &str, meaning: &str, text: impl Fn(&R) -> String + 'static) -> Field<R> {
        let (name, meaning) = (name.to_owned(), meaning.to_owned());
        Field { name, unit: "", kind: Kind::Text, meaning, text: Box::new(text) }
    }

    /// The columns of the factors of the row that `within` finds in `R`.
    pub fn factors(names: &[String], within: fn(&R) -> &Row) -> Vec<Field<R>> {
        let field = |name: &String| {
            let (factor, meaning) = (name.clone(), format!("The level of the factor `{name}`."));
            Field::text(&format!("{FACTOR}{name}"), &meaning, move |record| {
                within(record).factors.get(&factor).cloned().unwrap_or_default()
            })
        };
        names.iter().map(field).collect()
    }

    /// The same column under another name, with another meaning.
    #[must_use]
    pub fn called(self, name: String, meaning: String) -> Field<R> {
        Field { name, meaning, ..self }
    }
}

/// The columns of a record's own file.
pub fn fields<R: Record>() -> Vec<Field<R>> {
    R::COLUMNS.iter().map(|column| Field::within(column, |record| record)).collect()
}

/// The columns of `cells.csv` in a run with these factors.
pub fn cells(factors: &[String]) -> Vec<Field<Row>> {
    let mut fields = fields();
    fields.extend(Field::factors(factors, |row| row));
    fields
}

/// The names of the factors that any of the rows has a level of.
pub fn factor_names<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<String> {
    let names: BTreeSet<&String> = rows.flat_map(|row| row.factors.keys()).collect();
    names.into_iter().cloned().collect()
}

/// A whole file.
///
/// # Errors
/// None that a record could have.
pub fn file<R>(fields: &[Field<R>], records: &[R]) -> io::Result<Vec<u8>> {
    Ok([header(fields)?, lines(fields, records)?].concat())
}

/// The first line of a file.
///
/// # Errors
/// None that a name could have.
pub fn header<R>(fields: &[Field<R>]) -> io::Result<Vec<u8>> {
    written(|writer| writer.write_record(fields.iter().map(|field| &field.name)))
}

/// The lines of a file behind its header.
///
/// # Errors
/// None that a record could have.
pub fn lines<R>(fields: &[Field<R>], records: &[R]) -> io::Result<Vec<u8>> {
    let line = |record: &R| fields.iter().map(|field| (field.text)(record)).collect::<Vec<_>>();
    written(|writer| records.iter().try_for_each(|record| writer.write_record(line(record))))
}

fn written(write: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> csv::Result<()>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    write(&mut writer)?;
    writer.into_inner().map_err(|error| error.into_error())
}

/// Reads rows by the names of their columns, whatever version of the harness wrote them: a column that is
/// not there is left empty, and one that nobody knows is left out.
///
/// # Errors
/// The text is no CSV, or a value is not of its column's type.
pub fn read(text: &[u8]) -> Result<Vec<Row>, String> {
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let known = |name: &str| Row::COLUMNS.iter().find(|column| column.name == name);
    let columns: Vec<_> = header.iter().map(known).collect();
    if columns.iter().all(Option::is_none) {
        return Err("no column of it is one of ours".to_owned());
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let mut row = Row::default();
        for ((name, column), text) in header.iter().zip(&columns).zip(&record) {
            match (column, name.strip_prefix(FACTOR)) {
                _ if text.is_empty() => {}
                (Some(column), _) => (column.set)(&mut row, text)
                    .map_err(|error| format!("row {}: {name}: {error}", rows.len() + 1))?,
                (None, Some(factor)) => _ = row.factors.insert(factor.to_owned(), text.to_owned()),
                (None, None) => {}
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Reads the records of a file other than `cells.csv` by the names of their columns.
///
/// # Errors
/// The text is no CSV, or a value is not of its column's type.
pub fn read_records<R: Record + Default>(text: &[u8]) -> Result<Vec<R>, String> {
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let columns: Vec<_> = header.iter().map(|name| R::COLUMNS.iter().find(|c| c.name == name)).collect();
    let mut records = Vec::new();
    for line in reader.records() {
        let line = line.map_err(|error| error.to_string())?;
        let mut record = R::default();
        for (column, text) in columns.iter().zip(&line).filter(|(_, text)| !text.is_empty()) {
            let Some(column) = column else { continue };
            (column.set)(&mut record, text)
                .map_err(|error| format!("row {}: {}: {error}", records.len() + 1, column.name))?;
        }
        records.push(record);
    }
    Ok(records)
}

/// The columns as a table of `results/README.md`, and before it the names of those that are columns of `known`.
pub fn markdown<R, S>(fields: &[Field<R>], known: &[Field<S>]) -> String {
    let is_known =
        |field: &&Field<R>| known.iter().any(|k| (&k.name, &k.meaning) == (&field.name, &field.meaning));
    let (same, own): (Vec<_>, Vec<_>) = fields.iter().partition(is_known);
    let mut text = String::new();
    if !same.is_empty() {
        let names: Vec<String> = same.iter().map(|field| format!("`{}`", field.name)).collect();
        text = format!("Columns that are as in `cells.csv`: {}.\n\n", names.join(", "));
    }
    text.push_str("| column | unit | type | what it says |\n|---|---|---|---|\n");
    for Field { name, unit, kind, meaning, .. } in own {
        text.push_str(&format!("| `{name}` | {unit} | {} | {meaning} |\n", kind.name()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_records_has_a_header() {
        let text = file(&cells(&["k".to_owned()]), &[]).expect("written");
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.starts_with("schema_version,run_id,block,") && text.ends_with(",error,factor_k\n"));
        assert_eq!((text.lines().count(), read(text.as_bytes())), (1, Ok(Vec::new())));
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let factors = [("k".to_owned(), "2 * workers".to_owned())].into();
        let row = Row {
            block: 3,
            ok: Some(0),
            elapsed_s: Some(5.0),
            offered_rps: Some(1e-7),
            throughput_rps: Some(1_234_567_890.125),
            keep_alive: true,
            search_passed: Some(false),
            loop_kind: "open".into(),
            error: "a, \"b\" µ".into(),
            factors,
            ..Row::default()
        };
        let rows = [row.clone(), Row { factors: [].into(), ..row }];
        let names = factor_names(rows.iter());
        let text = file(&cells(&names), &rows).expect("written");
        assert_eq!(read(&text).expect("readable"), rows);
        assert!(String::from_utf8(text).expect("UTF-8").contains(",5.0,"), "a number has a point");
    }

    #[test]
    fn columns_are_found_by_name_and_unknown_ones_left_out() {
        let rows = read(b"later,error,block,requests\nx,died,2,\n").expect("readable");
        assert_eq!(rows, [Row { error: "died".into(), block: 2, ..Row::default() }]);
        let refusal = read(b"block,requests\n1,\n2,many\n").expect_err("no number");
        assert_eq!(refusal, "row 2: requests: 'many' is no count");
        assert!(read(b"a,b\n1,2\n").is_err() && read(b"block\n1,2\n").is_err());
        for no_number in ["NaN", "inf", "-infinity", "1e999"] {
            let refusal = read(format!("elapsed_s\n{no_number}\n").as_bytes()).expect_err(no_number);
            assert_eq!(refusal, format!("row 1: elapsed_s: '{no_number}' is no number"));
        }
    }
}
