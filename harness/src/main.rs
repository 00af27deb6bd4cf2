//! `harness`: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::cli::main()
}
