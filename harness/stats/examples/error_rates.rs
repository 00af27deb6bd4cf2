//! How often the tests of a table err, and what they find, in tables whose truth is known: the tables of
//! docs/methodology.md, in Markdown.
//!
//! `cargo run --release -p stats --example error_rates` takes a minute.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use statrs::distribution::{ContinuousCDF as _, Normal};
use stats::{difference::ALPHA, holm, paired, stepdown};

/// Tables of each kind.
const TABLES: usize = 1000;

/// What a cell's value differs by from its server's, besides a spread: of mean 0 and deviation 1.
#[derive(Clone, Copy)]
enum Noise {
    Normal,
    /// Student's t with three degrees of freedom.
    T3,
    /// Exponential: most blocks a little faster, some much slower.
    Skewed,
}

const NOISES: [(&str, Noise); 3] = [("normal", Noise::Normal), ("t3", Noise::T3), ("skewed", Noise::Skewed)];

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // Never 0, whose normal quantile is infinite.
    Normal::standard().inverse_cdf((f64::from(rng.random::<u32>()) + 0.5) / 4_294_967_296.0)
}

impl Noise {
    fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Noise::Normal => normal(rng),
            Noise::T3 => {
                let chi: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
                normal(rng) / (chi / 3.0).sqrt() / 3.0_f64.sqrt()
            }
            Noise::Skewed => -(1.0 - rng.random::<f64>()).ln() - 1.0,
        }
    }
}

/// ln of every pair's ratio, block by block. Server `s` is `levels[s]` above the others and has the spread
/// `spreads[s]`.
fn table(levels: &[f64], spreads: &[f64], blocks: usize, noise: Noise, rng: &mut ChaCha8Rng) -> Vec<Pair> {
    let servers: Vec<Vec<f64>> = levels
        .iter()
        .zip(spreads)
        .map(|(level, spread)| (0..blocks).map(|_| level + spread * noise.draw(rng)).collect())
        .collect();
    let mut pairs = Vec::new();
    for (a, of_a) in servers.iter().enumerate() {
        for (b, of_b) in servers.iter().enumerate().skip(a + 1) {
            let differences = of_a.iter().zip(of_b).map(|(a, b)| a - b).enumerate().collect();
            pairs.push(Pair { differs: levels[a] != levels[b], differences });
        }
    }
    pairs
}

struct Pair {
    differs: bool,
    differences: Vec<(usize, f64)>,
}

fn by_holm(pairs: &[Vec<(usize, f64)>]) -> Vec<f64> {
    let p = |pair: &Vec<(usize, f64)>| {
        paired::exact(&pair.iter().map(|(_, d)| *d).collect::<Vec<_>>()).unwrap_or(1.0)
    };
    holm::adjusted(&pairs.iter().map(p).collect::<Vec<_>>())
}

/// The tests that are compared.
type Test = fn(&[Vec<(usize, f64)>]) -> Vec<f64>;
const TESTS: [(&str, Test); 2] = [("Holm", by_holm), ("step-down", stepdown::adjusted)];

/// Of all tables those with a false difference, and of all pairs that differ those that were found: shares.
fn rates(levels: &[f64], spreads: &[f64], blocks: usize, noise: Noise, test: Test) -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mut wrong, mut found, mut different) = (0, 0, 0);
    for _ in 0..TABLES {
        let pairs = table(levels, spreads, blocks, noise, &mut rng);
        let differences: Vec<_> = pairs.iter().map(|pair| pair.differences.clone()).collect();
        let told: Vec<bool> = test(&differences).into_iter().map(|p| p < ALPHA).collect();
        wrong += usize::from(pairs.iter().zip(&told).any(|(pair, told)| *told && !pair.differs));
        found += pairs.iter().zip(&told).filter(|(pair, told)| **told && pair.differs).count();
        different += pairs.iter().filter(|pair| pair.differs).count();
    }
    (wrong as f64 / TABLES as f64, found as f64 / different.max(1) as f64)
}

/// Equal spreads of 1.5%, or every other server with four times as much.
fn spreads(servers: usize, equal: bool) -> Vec<f64> {
    (0..servers).map(|server| if equal || server % 2 == 0 { 0.015 } else { 0.06 }).collect()
}

fn main() {
    let header = TESTS.map(|(name, _)| name).join(" | ");
    println!("| false difference in a table: servers | blocks | {header} |");
    println!("|---|---|{}", "---|".repeat(TESTS.len()));
    for servers in [2, 7, 20] {
        for blocks in [6, 8, 12] {
            let cells = TESTS.map(|(_, test)| {
                let kinds = NOISES.iter().flat_map(|(_, noise)| [(*noise, true), (*noise, false)]);
                let errors = kinds.map(|(noise, equal)| {
                    rates(&vec![0.0; servers], &spreads(servers, equal), blocks, noise, test).0
                });
                let (least, most) =
                    errors.fold((1.0_f64, 0.0_f64), |(low, high), e| (low.min(e), high.max(e)));
                format!("{least:.3}–{most:.3}")
            });
            println!("| {servers} | {blocks} | {} |", cells.join(" | "));
        }
    }
    println!("\n| difference found, 7 servers: noise | spreads | blocks | {header} |");
    println!("|---|---|---|{}", "---|".repeat(TESTS.len()));
    // Groups of servers, 5% and 10% above the first.
    let levels: Vec<f64> = [0.0, 0.0, 0.0, 0.05, 0.05, 0.10, 0.10].map(|level: f64| level.ln_1p()).to_vec();
    for (name, noise) in NOISES {
        for (spread, equal) in [("equal", true), ("unequal", false)] {
            for blocks in [6, 8, 12] {
                let power = TESTS.map(|(_, test)| {
                    format!("{:.2}", rates(&levels, &spreads(7, equal), blocks, noise, test).1)
                });
                println!("| {name} | {spread} | {blocks} | {} |", power.join(" | "));
            }
        }
    }
}
