//! The command line: its commands, flags and their defaults.

use super::help;
use crate::exit::usage;
use crate::experiment::request::{Request, strategy};
use crate::report::{cells, drawing};
use crate::selftest;
use crate::selftest::case::Case;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, ColorChoice, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use load::protocol::{Driver, Mutation, Strategy};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "harness",
    version,
    about = "Measures servers on async executors, and says how far to believe each number",
    override_usage = "harness [COMMAND] [OPTIONS]",
    after_help = help::EXAMPLES,
    after_long_help = help::LONG,
    disable_help_subcommand = true,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Print version
    #[arg(short = 'V', long, action = ArgAction::Version, hide_short_help = true)]
    version: Option<bool>,
}

/// The command line, as it is parsed, completed, and shown by the manual.
pub fn command() -> clap::Command {
    help::arranged(Cli::command())
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measure: what `harness` does without a command
    #[command(after_help = help::EXAMPLES, after_long_help = help::LONG)]
    Run(Box<RunArgs>),
    /// Show the servers, strategies, routes and experiments
    List(ListArgs),
    /// Run one server in the foreground, to try it with curl
    Serve(ServeArgs),
    /// Check servers against the contract, byte by byte, over a socket
    Verify(VerifyArgs),
    /// Test the harness itself against known answers
    Selftest(SelftestArgs),
    /// Show the tables of a run again
    Report(ReportArgs),
    /// Count instructions, allocations and system calls of a request
    Count(CountArgs),
    /// Join the parts of a run that several machines measured
    Merge(MergeArgs),
    /// Say which differences between two runs, or two servers, are real
    Compare(CompareArgs),
    /// Print the completions of a shell
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands
    #[command(hide = true)]
    Man {
        /// Write them into this directory
        dir: Option<PathBuf>,
    },
    /// A client process; its agent starts it
    #[command(hide = true)]
    Client,
    /// What starts, watches and ends all processes of a run on its host; the coordinator starts it
    #[command(hide = true)]
    Agent {
        /// End when nothing is heard of the coordinator, as over a network
        #[arg(long)]
        lease: bool,
    },
    /// The guard of an outside server; its agent starts it
    #[command(hide = true)]
    Guard {
        #[arg(last = true)]
        command: Vec<String>,
    },
}

/// Where the project is.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// The checkout whose servers are built [default: the one around the working directory]
    #[arg(long, value_name = "DIR", env = "HARNESS_ROOT", hide_env_values = true, hide_short_help = true)]
    pub root: Option<PathBuf>,
}

/// What to measure, and where the results go.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// What to measure, and how.
    #[command(flatten)]
    pub request: Request,
    /// The checkout of the project.
    #[command(flatten)]
    pub place: Place,
    /// Where to write [default: results/TIME-HOST-NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Continue the run in this directory, which was interrupted or killed
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// Print nothing but the names of the files and what went wrong
    #[arg(long)]
    pub quiet: bool,
    /// Print every table of the run after it, not only the one that sums it up
    #[arg(long)]
    pub details: bool,
    /// When to use colours; `auto` is on a terminal, and not where NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: ColorChoice,
    /// The flags that were given, in the order of their declaration.
    #[arg(skip)]
    pub given: Vec<String>,
}

/// The flags that a run which is continued may be given: everything else is decided already.
const WITH_RESUME: [&str; 5] = ["resume", "root", "quiet", "details", "color"];

/// The flags that mean something for a server that is already running.
const WITH_URL: [&str; 23] = [
    "url",
    "yes_it_is_mine",
    // Its server of the client's ceilings.
    "root",
    "experiment",
    "strategy",
    "interfere",
    "requests",
    "duration",
    "warmup",
    "concurrency",
    "rate",
    "arrival",
    // Told by the placement, which knows what each would do.
    "placement",
    "server_cpus",
    "client_cpus",
    "driver",
    "blocks",
    "seed",
    "timeout",
    "out",
    "quiet",
    "details",
    "color",
];

impl RunArgs {
    /// Notes which flags `matches` has from the command line.
    pub(super) fn note_given(&mut self, matches: &ArgMatches) {
        let given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let command = RunArgs::augment_args(clap::Command::new("run"));
        let ids: Vec<&str> = command.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        self.given = ids.into_iter().filter(given).map(str::to_owned).collect();
    }

    /// Refuses flags that mean nothing for a run that is continued, or for a server that is already running.
    /// A new flag is refused until it is on the list.
    ///
    /// # Errors
    /// One line about the first such flag.
    pub fn no_effect(&self) -> anyhow::Result<()> {
        let other = |allowed: &[&str]| {
            let flag = self.given.iter().find(|flag| !allowed.contains(&flag.as_str()))?;
            Some(format!("--{}", flag.replace('_', "-")))
        };
        if let Some(flag) = self.resume.as_ref().and_then(|_| other(&WITH_RESUME)) {
            return Err(usage!("{flag} has no effect with --resume, which continues a run as it was"));
        }
        if let Some(flag) = self.request.url.as_ref().and_then(|_| other(&WITH_URL)) {
            return Err(usage!("{flag} has no effect with --url, whose server is already running"));
        }
        Ok(())
    }
}

/// Colours as asked for; else on a terminal, and not where `NO_COLOR` is set.
pub(super) fn color(choice: ColorChoice) {
    match choice {
        ColorChoice::Auto if std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()) => {
            console::set_colors_enabled(false);
        }
        ColorChoice::Auto => {}
        ColorChoice::Always => console::set_colors_enabled(true),
        ColorChoice::Never => console::set_colors_enabled(false),
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
    /// The checkout of the project.
    #[command(flatten)]
    pub place: Place,
    /// How
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
    /// Add the servers of this runtime.toml; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
}

/// What to serve.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The checkout of the project.
    #[command(flatten)]
    pub place: Place,
    /// Which server
    #[arg(long)]
    pub server: String,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub addr: SocketAddr,
    /// Add the servers of this runtime.toml; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
    /// The server's other arguments, as they are (--workers 4 …)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The checkout of the project.
    #[command(flatten)]
    pub place: Place,
    /// Only these servers, comma-separated: names, 'tokio*', all [default: all but those that harness list says to name]
    #[arg(long, value_delimiter = ',', conflicts_with = "url")]
    pub server: Vec<String>,
    /// A server that is already running, as http://host:port
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Ask a URL of another machine, which is yours to load
    #[arg(long, requires = "url", hide_short_help = true)]
    pub yes_it_is_mine: bool,
    /// Add the servers of this runtime.toml; may be given more than once
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub manifest: Vec<PathBuf>,
}

/// What to test of the harness itself.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// The checkout of the project.
    #[command(flatten)]
    pub place: Place,
    /// Everything, with either driver: takes about 30 minutes instead of 8
    #[arg(long)]
    pub full: bool,
    /// Only these cases (comma-separated), as in K1,K3a [default: all but K11 and K11b]
    #[arg(long, value_name = "CASE", value_delimiter = ',', ignore_case = true, hide_possible_values = true)]
    pub only: Vec<Case>,
    /// Only these client strategies (comma-separated)
    #[arg(long, value_delimiter = ',', value_parser = strategy)]
    pub strategy: Vec<Strategy>,
    /// Only this system interface of the load engine [default: both]
    #[arg(long, value_enum, default_value_t, hide_default_value = true)]
    pub driver: Driver,
    /// How to write the figures
    #[arg(long, value_enum, default_value = "table")]
    pub format: selftest::table::Format,
    /// Test over the machines of this file, as run --hosts measures
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub hosts: Option<PathBuf>,
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
    /// The directory of a run or of a count
    pub dir: PathBuf,
    /// Only these of the servers that were measured (comma-separated)
    #[arg(long, value_name = "SERVER", value_delimiter = ',', conflicts_with = "rewrite")]
    pub server: Vec<String>,
    /// Print every table of the run, not only the one that sums it up
    #[arg(long)]
    pub details: bool,
    /// Print the table alone, without alarms
    #[arg(long)]
    pub quiet: bool,
    /// When to use colours; `auto` is on a terminal, and not where NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, hide_short_help = true)]
    pub color: ColorChoice,
    /// Print every table, each about a server or a workload
    #[arg(long, value_enum)]
    pub by: Option<cells::By>,
    /// How to draw the tables
    #[arg(long, value_enum, default_value = "table")]
    pub format: drawing::Format,
    /// The figures that answer the experiment's question
    #[arg(long, conflicts_with = "by")]
    pub figures: bool,
    /// Draw the run's one table as two pictures, STEM-light.svg and STEM-dark.svg
    #[arg(long, value_name = "STEM", hide_short_help = true)]
    pub map: Option<PathBuf>,
    /// Draw where the instructions of a request go, of a count: STEM-light.svg and STEM-dark.svg
    #[arg(long, value_name = "STEM", conflicts_with = "map", hide_short_help = true)]
    pub instructions: Option<PathBuf>,
    /// Draw instructions release by release, of a count of NAME@1.40..: STEM-light.svg and STEM-dark.svg
    #[arg(long, value_name = "STEM", conflicts_with_all = ["map", "instructions"], hide_short_help = true)]
    pub history: Option<PathBuf>,
    /// What was told apart, in sentences: a Markdown list
    #[arg(long, conflicts_with_all = ["by", "figures", "details"], hide_short_help = true)]
    pub findings: bool,
    /// For each workload who is as good as the best, and what the others differ by: a Markdown table
    #[arg(long, conflicts_with_all = ["by", "figures", "details", "findings"], hide_short_help = true)]
    pub choices: bool,
    /// Put what would be printed between the marks of this Markdown page, or between those of NAME
    #[arg(long, value_name = "FILE[#NAME]", hide_short_help = true)]
    pub splice: Option<String>,
    /// Draw the first of them as an SVG picture
    #[arg(long, value_name = "FILE", requires = "figures", hide_short_help = true)]
    pub picture: Option<PathBuf>,
    /// Also write the tables as a workbook for LibreOffice or Excel
    #[arg(long, value_name = "FILE")]
    pub xlsx: Option<PathBuf>,
    /// Make summary.csv, pairs.csv, datapackage.json and report.html anew from cells.csv
    #[arg(long)]
    pub rewrite: bool,
}

/// What to count.
#[derive(Debug, Args)]
#[command(after_help = "Example: harness count --server A,B --route plaintext")]
#[command(after_long_help = "\
Needs valgrind, and perf or strace.

Example:
  harness count --server A,B --route plaintext

Exit codes: 0 done; 2 the command line is wrong; 4 something is not installed, or a server failed (its row says why); \
130 interrupted.")]
pub struct CountArgs {
    /// The checkout of the project.
    #[command(flatten)]
    pub place: Place,
    /// Only these servers (comma-separated)
    #[arg(long, value_delimiter = ',')]
    pub server: Vec<String>,
    /// Only these routes (comma-separated), as in fib/20; with little work where no parameter is given
    #[arg(long, value_delimiter = ',')]
    pub route: Vec<String>,
    /// Connections, each with a request in flight
    #[arg(long, value_delimiter = ',', default_value = "1,64", value_parser = connections)]
    pub connections: Vec<usize>,
    /// How often, each time with fresh processes
    #[arg(long, default_value_t = 3, value_parser = repeats)]
    pub repeats: usize,
    /// Where to write [default: results/TIME-HOST-count]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Show two servers' difference by function
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    pub explain: Vec<String>,
    /// Add the servers of this runtime.toml; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
}

fn connections(text: &str) -> Result<usize, String> {
    in_range(text, 1000)
}

fn repeats(text: &str) -> Result<usize, String> {
    in_range(text, 100)
}

fn in_range(text: &str, most: usize) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| format!("give a number from 1 to {most}"))
}

/// What to join.
#[derive(Debug, Args)]
#[command(after_help = "Example: harness merge part-1 part-2 --out whole")]
#[command(after_long_help = "\
The parts are runs with --blocks-of 1/2 and 2/2, with the same --seed and everything else alike, on as many machines as \
you like: a block is measured as a whole on one of them, so that servers are compared within a machine.

Example:
  harness merge part-1 part-2 --out whole

Exit codes: 0 done; 2 they are not all the parts of one run, and nothing was written.")]
pub struct MergeArgs {
    /// The directories of all parts
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
    /// Where to write [default: results/TIME-HOST-NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// What to compare.
#[derive(Debug, Args)]
#[command(after_help = "Example: harness compare results/RUN:A results/RUN:B --fail-on 'cpu>+5%'")]
#[command(after_long_help = "\
METRIC: throughput, mean, p50, p90, p99, p99.9, cpu, memory, switches, or a column of cells.csv. Latencies are \
response times on open loops and service times on closed ones. Of a count: instructions, allocations, syscalls.

Examples:
  harness compare results/RUN:A results/RUN:B                   two servers of a run
  harness compare results/RUN results/RUN --fail-on 'p99>+5%'   two runs, in CI

Exit codes: 0 done, and every --fail-on kept; 1 one of them is broken, and that is established; 2 the command line is \
wrong; 3 the data cannot tell.")]
pub struct CompareArgs {
    /// The directory of a run or of a count, or DIR:SERVER for one of its servers: what it was
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

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_flag_that_nobody_has_thought_of_is_refused() {
        let given = |flags: &[&str], resume: bool| RunArgs {
            resume: resume.then(|| "x".into()),
            request: Request { url: (!resume).then(|| "http://x".into()), ..Request::default() },
            given: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            ..RunArgs::default()
        };
        let all = RunArgs::augment_args(clap::Command::new("run"));
        for flag in all.get_arguments().map(|argument| argument.get_id().as_str()) {
            let resumed = given(&["resume", flag], true).no_effect();
            assert_eq!(
                resumed.is_ok(),
                matches!(flag, "resume" | "root" | "quiet" | "details" | "color"),
                "{flag}"
            );
        }
        for flag in ["server", "route", "processes", "workers", "blocking_threads", "manifest", "resume"] {
            let problem = given(&["url", flag], false).no_effect().expect_err(flag).to_string();
            assert!(problem.contains("has no effect with --url"), "{problem}");
        }
        assert!(given(&["url", "yes_it_is_mine", "rate", "blocks"], false).no_effect().is_ok());
    }

    #[test]
    fn a_known_answer_is_asked_for_by_its_name_in_either_case() {
        for case in Case::VARIANTS {
            let name = case.to_string();
            for given in [name.to_lowercase(), name] {
                let cli = Cli::try_parse_from(["harness", "selftest", "--only", &given]).expect("known");
                let Some(Command::Selftest(args)) = cli.command else { panic!("another command") };
                assert_eq!(args.only, [*case]);
            }
        }
        let unknown = Cli::try_parse_from(["harness", "selftest", "--only", "K8"]).expect_err("unknown");
        assert!(unknown.to_string().contains("K1, K2, K3a"), "{unknown}");
    }

    #[test]
    fn flags_are_known_as_given_with_and_without_the_command() {
        for words in
            [vec!["harness", "--rate", "5", "--quiet"], vec!["harness", "run", "--rate", "5", "--quiet"]]
        {
            let matches = Cli::command().get_matches_from(&words);
            let mut args = RunArgs::default();
            args.note_given(matches.subcommand().map_or(&matches, |(_, matches)| matches));
            assert_eq!(args.given, ["rate", "quiet"]);
        }
    }
}
