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
