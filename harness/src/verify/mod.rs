//! STUB until the branch is merged.
use anyhow::Result;
use serde::Deserialize;
use std::net::SocketAddr;
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    pub cases: Vec<String>,
    pub aspect: String,
    pub reason: String,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Full,
    Short,
    Replies,
}
pub struct Options {
    pub level: Level,
    pub lacks: Vec<String>,
    pub deviations: Vec<Deviation>,
}
impl Options {
    pub fn new(level: Level) -> Options {
        Options { level, lacks: vec![], deviations: vec![] }
    }
}
pub struct Verdict {
    pub undeclared: Vec<String>,
    pub gone: Vec<String>,
}
impl Verdict {
    pub fn is_ok(&self) -> bool {
        true
    }
}
impl std::fmt::Display for Verdict {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
pub fn verify(_: SocketAddr, _: &Options) -> Result<Verdict> {
    Ok(Verdict { undeclared: vec![], gone: vec![] })
}
