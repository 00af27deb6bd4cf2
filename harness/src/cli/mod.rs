//! The command line: one file a command, which calls one function below.

pub mod args;
mod compare;
mod completions;
mod count;
mod help;
mod in_order;
mod list;
mod man;
mod merge;
mod report;
mod run;
mod selftest;
mod serve;
mod verify;

use crate::exit::{self, Exit};
pub use args::command;
use args::{Cli, Command};
use clap::FromArgMatches as _;
use std::process::ExitCode;

/// Parses the command line, does what it says, and turns the outcome into an exit code.
pub fn main() -> ExitCode {
    let parsed =
        command().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => {
            eprintln!("{}", one_line(&error.to_string()));
            return Exit::Usage.into();
        }
        // --help and --version.
        Err(error) => error.exit(),
    };
    let done = match cli.command.unwrap_or(Command::Run(Box::new(cli.run))) {
        Command::Run(mut args) => {
            args.note_given(matches.subcommand().map_or(&matches, |(_, matches)| matches));
            run::run(&args)
        }
        Command::List(args) => list::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Count(args) => count::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { dir } => man::run(dir.as_deref()),
        Command::Client => load::client::run().map(|()| Exit::Done),
        Command::Agent { lease } => crate::agent::serve::run(lease).map(|()| Exit::Done),
        Command::Guard { command } => match crate::agent::guard::run(&command) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            exit::code_of(&error).into()
        }
    }
}

/// What is wrong and the tip, without the usage that clap prints around them.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    told.collect::<Vec<_>>().join("; ")
}
