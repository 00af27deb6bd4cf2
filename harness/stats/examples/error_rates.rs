//! How often the tests of a table err, and what they find, in tables whose truth is known: the tables of
//! docs/methodology.md, in Markdown.
//!
//! `cargo run --release -p stats --example error_rates` takes a minute;
//! `cargo run --release -p stats --example error_rates -- looks`, of runs that go on until they have decided, ten.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use statrs::distribution::{ContinuousCDF as _, Normal};
use stats::difference::{ALPHA, DELTA_FLOOR, Difference, Paired, Tested, compare_at, judge_family};
use stats::{holm, looks, paired, stepdown};
use std::thread;

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

/// ln of every server's value, block by block.
fn servers(
    levels: &[f64],
    spreads: &[f64],
    blocks: usize,
    noise: Noise,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<f64>> {
    let server = |(level, spread): (&f64, &f64)| -> Vec<f64> {
        (0..blocks).map(|_| level + spread * noise.draw(rng)).collect()
    };
    levels.iter().zip(spreads).map(server).collect()
}

/// ln of every pair's ratio, block by block. Server `s` is `levels[s]` above the others and has the spread
/// `spreads[s]`.
fn table(levels: &[f64], spreads: &[f64], blocks: usize, noise: Noise, rng: &mut ChaCha8Rng) -> Vec<Pair> {
    let servers = servers(levels, spreads, blocks, noise, rng);
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

/// What came of runs that went on until they had decided: shares, and blocks.
#[derive(Default)]
struct Outcome {
    /// Runs that ended with a difference where there is none.
    wrong: f64,
    /// The same, where the test's p alone makes a difference, however small.
    wrong_by_p: f64,
    /// The pairs that differ, of which this share was told.
    found: f64,
    /// The mean number of blocks.
    blocks: f64,
}

/// Runs that end at the first look at which every pair is told apart or shown to be within δ, or with the last. A
/// tenth as many of more than ten servers, each of which takes ten times as long.
fn until_decided(levels: &[f64], spreads: &[f64], noise: Noise) -> Outcome {
    let tables = if levels.len() > 10 { TABLES / 10 } else { TABLES };
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut outcome = Outcome::default();
    let last = looks::LOOKS[looks::LOOKS.len() - 1];
    let names: Vec<(usize, usize)> =
        (0..levels.len()).flat_map(|a| (a + 1..levels.len()).map(move |b| (a, b))).collect();
    let is_equal = |(a, b): &(usize, usize)| levels[*a] == levels[*b];
    for _ in 0..tables {
        let servers = servers(levels, spreads, last, noise, &mut rng);
        let values = |server: usize, blocks: usize| -> Vec<(usize, f64)> {
            servers[server][..blocks].iter().map(|ln| ln.exp()).enumerate().collect()
        };
        let judged = |blocks: usize| -> Vec<Tested> {
            let pair =
                |(a, b): &(usize, usize)| compare_at(&values(*a, blocks), &values(*b, blocks), looks::ALPHA);
            let pairs: Option<Vec<Paired>> = names.iter().map(pair).collect();
            judge_family(pairs.unwrap_or_default(), DELTA_FLOOR)
        };
        let is_decided = |pairs: &[Tested]| pairs.iter().all(|p| p.difference != Difference::Inconclusive);
        let mut seen = looks::LOOKS.iter().map(|blocks| (*blocks, judged(*blocks)));
        let Some((blocks, pairs)) = seen.find(|(blocks, pairs)| *blocks == last || is_decided(pairs)) else {
            continue;
        };
        let differs = |pair: &Tested| matches!(pair.difference, Difference::Lower | Difference::Higher);
        let told = || names.iter().zip(&pairs);
        outcome.wrong += f64::from(u8::from(told().any(|(two, pair)| is_equal(two) && differs(pair))));
        let by_p = |pair: &Tested| pair.p_step_down < looks::ALPHA;
        outcome.wrong_by_p += f64::from(u8::from(told().any(|(two, pair)| is_equal(two) && by_p(pair))));
        let different = told().filter(|(two, _)| !is_equal(two)).count();
        let found = told().filter(|(two, pair)| !is_equal(two) && differs(pair)).count();
        outcome.found += found as f64 / different.max(1) as f64;
        outcome.blocks += blocks as f64;
    }
    let share = |sum: f64| sum / tables as f64;
    Outcome {
        wrong: share(outcome.wrong),
        wrong_by_p: share(outcome.wrong_by_p),
        found: share(outcome.found),
        blocks: share(outcome.blocks),
    }
}

/// Runs of servers that are equal, and runs of three groups of servers, the second 5% and the third 10% above the
/// first. Each with equal and with unequal spreads.
fn print_looks() {
    println!(
        "| servers | noise | equal servers: ended with a difference | by p alone | blocks | groups: differences found | blocks |"
    );
    println!("|---|---|---|---|---|---|---|");
    for servers in [2, 7, 20] {
        let groups: Vec<f64> =
            (0..servers).map(|server| (0.05 * (server * 3 / servers) as f64).ln_1p()).collect();
        let equal = vec![0.0; servers];
        for (name, noise) in NOISES {
            let [same, grouped] = thread::scope(|scope| {
                let of = |levels| {
                    [true, false].map(|equal| {
                        scope.spawn(move || until_decided(levels, &spreads(servers, equal), noise))
                    })
                };
                let running: [_; 2] = [of(&equal), of(&groups)];
                running.map(|two| two.map(|run| run.join().expect("it does not panic")))
            });
            let two = |of: &[Outcome; 2], figure: fn(&Outcome) -> f64, digits: usize| {
                format!("{:.digits$} / {:.digits$}", figure(&of[0]), figure(&of[1]))
            };
            println!(
                "| {servers} | {name} | {} | {} | {} | {} | {} |",
                two(&same, |o| o.wrong, 3),
                two(&same, |o| o.wrong_by_p, 3),
                two(&same, |o| o.blocks, 1),
                two(&grouped, |o| o.found, 2),
                two(&grouped, |o| o.blocks, 1),
            );
        }
    }
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("looks") {
        return print_looks();
    }
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
