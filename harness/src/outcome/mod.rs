//! What was measured, on its way to the files: histograms, rows, CSV, `run.json`.

pub mod accounts;
pub mod directory;
pub mod histogram;
pub mod interval_log;
pub mod machine;
pub mod row;
pub mod rows;
pub mod summary;
