//! `datapackage.json`: the Frictionless data package that says the type, unit and meaning of every column of the CSV
//! files beside it.

use super::column::Kind;
use super::csv::Field;
use super::whole;
use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::Path;

/// The file that describes the columns of the tables.
pub const PACKAGE: &str = "datapackage.json";
/// What [`PACKAGE`] was called before schema 6.
const BEFORE: &str = "schema.json";

/// Describes the file `name` of a directory as a resource of a package; `None` if there is no such file. The columns are
/// those that the file has: one of an older version that `fields` does not know is a text.
///
/// # Errors
/// The file cannot be read.
pub fn resource<R>(directory: &Path, name: &str, fields: &[Field<R>]) -> Result<Option<Json>> {
    let path = directory.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let mut reader =
        csv::Reader::from_path(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let header = reader.headers().with_context(|| format!("cannot read {}", path.display()))?;
    let described = |name: &str| match fields.iter().find(|field| field.name == name) {
        Some(field) => {
            let mut described = json!({
                "name": name, "type": field.kind.schema_type(), "unit": field.unit, "description": field.meaning,
            });
            if field.kind == Kind::Time {
                described["format"] = json!("%Y-%m-%d %H:%M:%S.%f");
            }
            described
        }
        None => json!({ "name": name, "type": "string" }),
    };
    let fields: Vec<Json> = header.iter().map(described).collect();
    Ok(Some(json!({
        "name": name.trim_end_matches(".csv"),
        "path": name,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": { "fields": fields, "missingValues": [""] },
    })))
}

/// Writes the package of a directory, in place of the file of an older version.
///
/// # Errors
/// The file cannot be written.
pub fn write(directory: &Path, resources: &[Json]) -> Result<()> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c.to_ascii_lowercase() } else { '-' }
    };
    let real = fs::canonicalize(directory)?;
    let name = real.file_name().ok_or_else(|| anyhow!("{} has no name", real.display()))?.to_string_lossy();
    let name: String = name.chars().map(plain).collect();
    let package = json!({ "name": name, "resources": resources });
    let path = directory.join(PACKAGE);
    let mut text = serde_json::to_string_pretty(&package)?;
    text.push('\n');
    whole::replace(&path, text)?;
    _ = fs::remove_file(directory.join(BEFORE));
    Ok(())
}
