//! The model: the catalogue of servers, the files that say what a run measures, requests, cells and their order.

pub mod catalog;
pub mod cell;
pub mod file;
pub mod request;
pub mod root;
pub mod selection;
pub mod suggest;
