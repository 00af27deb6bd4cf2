//! What a person reads: the lines and the bar while a run goes on, the tables at its end, a page
//! with charts.

pub mod about;
pub mod answer;
pub mod cells;
pub mod choices;
pub mod comparison;
pub mod drawing;
mod engine;
pub mod fail_on;
pub mod figures;
pub mod history;
pub mod html;
pub mod image;
pub mod instructions;
pub mod map_picture;
pub mod outlook;
pub mod page;
pub mod picture;
pub mod progress;
pub mod tables;
pub mod theme;
mod words;
pub mod workbook;
