//! What is on disk: rows, CSV, `run.json`, histograms.

pub mod directory;
pub mod interval_log;
pub mod row;
pub mod rows;
pub mod workload;

/// Every column of this row of a CSV file has a line in `results/README.md`.
#[cfg(test)]
pub(crate) fn assert_columns_described(row: &impl serde::Serialize) {
    let root = crate::experiment::root::find().expect("a clone");
    let readme = std::fs::read_to_string(root.join("results/README.md")).expect("results/README.md");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row).expect("serializes");
    let text = String::from_utf8(writer.into_inner().expect("flushes")).expect("UTF-8");
    for column in text.lines().next().expect("a header").split(',') {
        assert!(readme.contains(&format!("| `{column}` |")), "{column} is not described");
    }
}
