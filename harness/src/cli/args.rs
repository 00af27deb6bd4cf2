//! The command line: its commands, flags and their defaults.

use crate::exit::usage;
use crate::experiment::cell::{Interference, Placement};
use crate::experiment::request::Request;
use crate::host::cpus::Cpus;
use crate::report::{cells, drawing};
use crate::selftest;
use crate::selftest::case::Case;
use clap::{Args, Parser, Subcommand};
use load::protocol::{Driver, Mutation};
use load::schedule::Arrival;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(
    name = "harness",
    version,
    about = "Runs every client strategy against every server and says how far to believe each number",
    after_help = "Exit codes: 0 done; 1 a server failed verify, a figure of selftest is wrong, or compare found \
                  a regression; 2 the command line is wrong; 3 measured, but some requests failed, or compare \
                  cannot tell; 4 a server or the environment failed; 130 interrupted.\n\
                  Without a command, `harness` runs the default profile against every server.",
    args_conflicts_with_subcommands = true
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measure: what `harness` does without a command
    Run(Box<RunArgs>),
    /// Show the servers, strategies, routes and profiles
    List(ListArgs),
    /// Run one server in the foreground, to try with curl or any other client
    Serve(ServeArgs),
    /// Check servers against the contract, byte by byte, over a socket
    Verify(VerifyArgs),
    /// Test the harness itself against known answers; prints a table, writes nothing
    Selftest(SelftestArgs),
    /// Show the tables of a run again
    Report(ReportArgs),
    /// Compare two runs, or two servers of a run, and say which differences are real
    Compare(CompareArgs),
    /// A client process; the coordinator starts it
    #[command(hide = true)]
    Client,
    /// The guard of an outside server; the coordinator starts it
    #[command(hide = true)]
    Guard {
        #[arg(last = true)]
        command: Vec<String>,
    },
}

/// What to measure, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// What a run covers: a file of harness/profiles [default: quick]
    #[arg(long)]
    pub profile: Option<String>,
    /// Only these servers (comma-separated) [default: all contestants that are set up]
    #[arg(long, value_delimiter = ',')]
    pub server: Vec<String>,
    /// Only these client strategies (comma-separated)
    #[arg(long, value_delimiter = ',')]
    pub strategy: Vec<String>,
    /// These routes (comma-separated) for all that the profile does: a name, or a path with its parameter, as in fib/30 or wait?ms=5
    #[arg(long, value_delimiter = ',')]
    pub route: Vec<String>,
    /// Keep requests in flight while each cell runs: ROUTE@COUNT, as in fib/42@1
    #[arg(long, value_name = "ROUTE@COUNT")]
    pub interfere: Option<Interference>,
    /// Server processes behind the port
    #[arg(long, value_name = "N")]
    pub processes: Option<usize>,
    /// Requests of each cell of sequential, thread-pool and async
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Measured time of each cell of open-loop, closed-loop and churn, as in 5s [default: the profile's, or 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Time before it that is not counted [default: the profile's, or 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration_or_none)]
    pub warmup: Option<Duration>,
    /// Requests under way at once, and connections in the pool [default: the profile's; all requests for
    /// thread-pool and async, 256 with a rate, 64 without]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,
    /// Requests per second, on a schedule that nothing moves
    #[arg(long, value_name = "PER SECOND")]
    pub rate: Option<f64>,
    /// How the schedule spaces them [default: the profile's, or constant]
    #[arg(long, value_enum)]
    pub arrival: Option<Arrival>,
    /// Which CPUs the server and the client get
    #[arg(long, value_enum, default_value_t)]
    pub placement: Placement,
    /// The server's CPUs, as in 0 or 0,2-3 [default: the first half with a split placement]
    #[arg(long, value_name = "CPUS")]
    pub server_cpus: Option<Cpus>,
    /// The client's CPUs [default: the other half]
    #[arg(long, value_name = "CPUS")]
    pub client_cpus: Option<Cpus>,
    /// How open-loop, closed-loop and churn talk to the kernel [default: auto]
    #[arg(long, value_enum)]
    pub driver: Option<Driver>,
    /// How often every cell is run, group by group, in a new random order each time
    #[arg(long, value_name = "N")]
    pub blocks: Option<usize>,
    /// Decides the order of the cells in each block, and which server is the control [default: a fresh one]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Threads that run tasks in each server process [default: one a core]
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// The most threads that may block at a time in each server process [default: 512]
    #[arg(long, value_name = "N")]
    pub blocking_threads: Option<usize>,
    /// How long one request may take, as in 30s or 500ms [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Measure this URL of a server that is already running
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Add the servers of this runtime.toml; may be given several times
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
    /// Where to write [default: results/TIME-HOST-PROFILE]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Continue the run in this directory, which was interrupted or killed
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// Print nothing but the names of the files and what went wrong
    #[arg(long)]
    pub quiet: bool,
}

impl RunArgs {
    /// The part of the flags that says what to measure.
    pub fn request(&self) -> Request {
        let RunArgs {
            profile,
            server,
            strategy,
            route,
            interfere,
            processes,
            requests,
            duration,
            warmup,
            concurrency,
            rate,
            arrival,
            placement,
            server_cpus,
            client_cpus,
            driver,
            blocks,
            seed,
            workers,
            blocking_threads,
            timeout,
            url,
            manifest,
            out: _,
            resume: _,
            quiet: _,
        } = self.clone();
        Request {
            profile,
            server,
            strategy,
            route,
            interfere,
            processes,
            requests,
            duration,
            warmup,
            concurrency,
            rate,
            arrival,
            placement,
            server_cpus,
            client_cpus,
            driver,
            blocks,
            seed,
            workers,
            blocking_threads,
            timeout,
            url,
            manifest,
        }
    }

    /// Everything but `--quiet` is already decided for a run that is continued.
    ///
    /// # Errors
    /// One line about the first flag that would have no effect.
    pub fn no_effect_with_resume(&self) -> anyhow::Result<()> {
        let given = [
            ("--profile", self.profile.is_some()),
            ("--server", !self.server.is_empty()),
            ("--strategy", !self.strategy.is_empty()),
            ("--route", !self.route.is_empty()),
            ("--interfere", self.interfere.is_some()),
            ("--processes", self.processes.is_some()),
            ("--requests", self.requests.is_some()),
            ("--duration", self.duration.is_some()),
            ("--warmup", self.warmup.is_some()),
            ("--concurrency", self.concurrency.is_some()),
            ("--rate", self.rate.is_some()),
            ("--arrival", self.arrival.is_some()),
            ("--placement", self.placement != Placement::default()),
            ("--server-cpus", self.server_cpus.is_some()),
            ("--client-cpus", self.client_cpus.is_some()),
            ("--driver", self.driver.is_some()),
            ("--blocks", self.blocks.is_some()),
            ("--seed", self.seed.is_some()),
            ("--workers", self.workers.is_some()),
            ("--blocking-threads", self.blocking_threads.is_some()),
            ("--timeout", self.timeout.is_some()),
            ("--url", self.url.is_some()),
            ("--manifest", !self.manifest.is_empty()),
            ("--out", self.out.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(usage!("{flag} has no effect with --resume, which continues a run as it was"))
            }
            None => Ok(()),
        }
    }
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// For a person.
    Table,
    /// For a program.
    Json,
}

/// What to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
    /// Add the servers of this runtime.toml; may be given several times
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
}

/// What to serve.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Which server
    #[arg(long)]
    pub server: String,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub addr: SocketAddr,
    /// Add the servers of this runtime.toml; may be given several times
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
    /// The server's other arguments, as they are (--workers 4 …)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Only these servers (comma-separated) [default: all that are set up]
    #[arg(long, value_delimiter = ',', conflicts_with = "url")]
    pub server: Vec<String>,
    /// A server that is already running, as http://host:port
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Add the servers of this runtime.toml; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub manifest: Vec<PathBuf>,
}

/// What to test of the harness itself.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// Everything, with either driver: takes about 30 minutes instead of 5
    #[arg(long)]
    pub full: bool,
    /// Only these cases (comma-separated), as in K1,K3a [default: all but K11 and K11b]
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    pub only: Vec<Case>,
    /// Only these client strategies (comma-separated)
    #[arg(long, value_delimiter = ',')]
    pub strategy: Vec<String>,
    /// Only this system interface of the load engine [default: both]
    #[arg(long, value_enum, default_value_t, hide_default_value = true)]
    pub driver: Driver,
    /// How to write the figures
    #[arg(long, value_enum, default_value = "table")]
    pub format: selftest::table::Format,
    /// Give the load engine a fault that the test must find
    #[arg(long, value_enum, hide = true)]
    pub mutate: Option<Mutation>,
    /// Multiply every tolerance, and short timeouts
    #[arg(long, value_name = "FACTOR", hide = true, default_value_t = 1.0)]
    pub tolerance_factor: f64,
}

/// What to report on.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run's directory
    pub dir: PathBuf,
    /// What each table is about
    #[arg(long, value_enum, default_value = "server")]
    pub by: cells::By,
    /// How to draw the tables
    #[arg(long, value_enum, default_value = "table")]
    pub format: drawing::Format,
}

/// What to compare.
#[derive(Debug, Args)]
#[command(after_help = "\
METRIC: throughput, mean, p50, p90, p99, p99.9, cpu, memory, switches, or a column of cells.csv. Latencies are \
response times on open loops and service times on closed ones.\n\
Exit codes: 0 done, and every --fail-on kept; 1 one of them is broken, and that is established; 2 the command line is \
wrong; 3 the data cannot tell.")]
pub struct CompareArgs {
    /// A run's directory, or DIR:SERVER for one of its servers: what it was
    #[arg(value_name = "A")]
    pub a: String,
    /// The same: what it is now
    #[arg(value_name = "B")]
    pub b: String,
    /// Which figures (comma-separated) [default: throughput and cpu, on open loops p50, p99 and cpu]
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    pub metric: Vec<String>,
    /// Exit with 1 if B's figure differs from A's by more than that, as in 'p99>+5%' or 'throughput<-5%'
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub fail_on: Vec<String>,
    /// How to write it
    #[arg(long, value_enum, default_value = "table")]
    pub format: CompareFormat,
}

/// How a comparison is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CompareFormat {
    /// For a terminal.
    Table,
    /// For a README.
    Markdown,
    /// For a program: the table on stdout, everything else on stderr.
    Csv,
}

impl CompareFormat {
    /// How its table is drawn.
    pub fn table(self) -> drawing::Format {
        match self {
            CompareFormat::Markdown => drawing::Format::Markdown,
            CompareFormat::Table | CompareFormat::Csv => drawing::Format::Table,
        }
    }
}

/// A duration with its unit: `30s`, `500ms`, `1.5s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    match duration_or_none(text)? {
        Duration::ZERO => Err("give more than nothing and at most an hour".into()),
        some => Ok(some),
    }
}

/// The same, and `0s`.
fn duration_or_none(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("give a number and its unit, as in 500ms, 30s or 2m".into()),
    };
    match number.parse::<f64>() {
        Ok(n) if n >= 0.0 && n * unit <= 3600.0 => Ok(Duration::from_secs_f64(n * unit)),
        Ok(_) => Err("give at most an hour, and no less than nothing".into()),
        Err(_) => Err("give a number and its unit, as in 500ms, 30s or 2m".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "0s", "-1s", "2h", "1e9s", "NaNs"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duration_or_none("0s"), Ok(Duration::ZERO));
        assert!(duration_or_none("-1s").is_err());
    }
}
