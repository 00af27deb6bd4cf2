//! What is on disk: rows, CSV, `run.json`, histograms.

pub mod cells;
pub mod column;
pub mod counts;
pub mod csv;
pub mod directory;
pub mod interval_log;
pub mod older;
pub mod package;
pub mod row;
pub mod rows;
pub mod slices;
pub mod whole;
