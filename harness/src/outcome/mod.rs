//! What was measured, on its way to the files: histograms, rows, CSV, `run.json`.

pub mod accounts;
pub mod analysis;
pub mod censored;
pub mod comparison;
pub mod directory;
pub mod histogram;
pub mod interval_log;
pub mod machine;
pub mod metric;
pub mod pairs;
pub mod row;
pub mod rows;
pub mod standing;
pub mod summary;
pub mod workload;

/// Every column of this row of a CSV file has a line in `results/README.md`.
#[cfg(test)]
fn assert_columns_described(row: &impl serde::Serialize) {
    let root = crate::root::find().expect("a clone");
    let readme = std::fs::read_to_string(root.join("results/README.md")).expect("results/README.md");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row).expect("serializes");
    let text = String::from_utf8(writer.into_inner().expect("flushes")).expect("UTF-8");
    for column in text.lines().next().expect("a header").split(',') {
        assert!(readme.contains(&format!("| `{column}` |")), "{column} is not described");
    }
}
