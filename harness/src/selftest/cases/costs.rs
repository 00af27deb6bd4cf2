//! K7 and K9: CPU and memory that the oracle is known to use.

use super::super::bench::{Probe, Seen, TestBench};
use super::super::case::{Case, Trials, With, ms, steady};
use super::super::figure::{Figure, Sensitivity};
use super::super::formulas::{slope, theil_sen};
use crate::record::row::Row;
use anyhow::Result;
use load::Strategy;
use load::protocol::Driver;

/// Who shares a cache or a clock speed with others pays for it, at the most with what they take; and a mark that came late
/// leaves a row without its figure.
const NOISE: Sensitivity = Sensitivity::Share(1.0);
const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn add(trials: &mut Trials<'_>) {
    let setup = "0, 50, 100, 200 µs of CPU a request, in turn 5 times, 1000/s";
    trials.add_engine(Case::K7, setup, Strategy::OpenLoop, With::OneInTurn, |bench, driver| {
        let mut points = Vec::new();
        // In turn, so that what drifts in the machine falls on all of them alike.
        for round in 0..5 {
            for step in 0..BURNS.len() {
                let burn = BURNS[(round + step) % BURNS.len()];
                let work = steady(Strategy::OpenLoop, 64, 1000.0, ms(300), ms(1200));
                let seen = bench.measure(&Probe::new(format!("--burn {burn}us"), work, driver))?;
                points.extend(seen.row.server_cpu_us_per_request.map(|cpu| (f64::from(burn), cpu)));
            }
        }
        let unit = "µs/µs";
        Ok(vec![
            Figure::near("server_cpu_us_per_request, slope", unit, 1.0, theil_sen(&points), 0.03, 0.0)
                .sensitive(NOISE),
            Figure::exact("rows with a figure", "", 20u64, points.len() as u64).sensitive(NOISE),
        ])
    });
    let setup = "64 MiB touched at the first request";
    trials.add_engine(Case::K9, setup, Strategy::OpenLoop, With::OneInTurn, |bench, driver| {
        let without = memory(bench, driver, "--service none", 8)?;
        let with = memory(bench, driver, "--touch 64MiB", 8)?;
        let more = with.zip(without).map(|(with, without)| (with - without) / MIB);
        Ok(vec![Figure::near("server_peak_rss_bytes, more", "MiB", 64.0, more, 0.01, 0.0)])
    });
    let setup = "16 KiB a connection, 1, 500, 1000, 2000 connections";
    trials.add_engine(Case::K9, setup, Strategy::OpenLoop, With::OneInTurn, |bench, driver| {
        let mut points = Vec::new();
        for connections in [1, 500, 1000, 2000] {
            let peak = memory(bench, driver, "--per-connection 16KiB", connections)?;
            points.extend(peak.map(|bytes| (connections as f64, bytes / 1024.0)));
        }
        let slope = slope(&points).filter(|_| points.len() == 4);
        Ok(vec![Figure::near("server_peak_rss_bytes, slope", "KiB", 16.0, slope, 0.03, 0.0)])
    });
}

/// µs.
const BURNS: [u32; 4] = [0, 50, 100, 200];

/// The server's peak memory in bytes.
fn memory(bench: &mut TestBench, driver: Driver, oracle: &str, connections: usize) -> Result<Option<f64>> {
    let work = steady(Strategy::OpenLoop, connections, 200.0, ms(200), ms(500));
    let Seen { row: Row { server_peak_rss_bytes, .. }, .. } =
        bench.measure(&Probe::new(oracle, work, driver))?;
    Ok(server_peak_rss_bytes.map(|bytes| bytes as f64))
}
