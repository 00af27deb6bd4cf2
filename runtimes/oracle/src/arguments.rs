//! The command line: which laws the answers follow.

use crate::faults::Faults;
use crate::units;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use std::net::SocketAddr;
use std::process;
use std::time::Duration;

/// How many servers a virtual queue may have.
const MAX_SERVERS: usize = 100_000;

/// A server whose every answer time is known in advance. Prints one JSON line when it is ready.
///
/// It keeps virtual time. With one server, departure(n) = max(arrival(n), departure(n-1)) + S(n): request n
/// is answered at that instant, and a late answer does not move the next departure. arrival(n) is when the
/// last byte of the request's head was read. The header x-process-time says departure(n) - arrival(n).
#[derive(Debug, Clone, Parser)]
#[command(name = "rt-oracle")]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) addr: SocketAddr,

    /// S(n): none, constant:2ms or exponential:2ms
    ///
    /// At rate r, with rho = r D: constant D behind one server is M/D/1 for Poisson arrivals, mean sojourn
    /// D + rho D / 2(1 - rho); exponential D is M/M/1, mean D / (1 - rho), p-quantile -ln(1 - p) D / (1 -
    /// rho). C clients in a closed loop over k servers get min(C, k) / D requests per second.
    #[arg(long, value_name = "LAW", default_value = "none", value_parser = distribution)]
    pub(crate) service: Distribution,

    /// k servers behind one queue, first come first served; 0 or inf: nobody waits, a pure delay
    #[arg(long, value_name = "K", default_value = "1", value_parser = servers)]
    pub(crate) servers: usize,

    /// What the exponential service times are drawn from (ChaCha8) [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// For 1 s in every 10 s nothing is answered: LENGTH/PERIOD or LENGTH/PERIOD@PHASE
    ///
    /// Work stands still in a stall; what arrives in one begins at its end. Of a steady stream 10% meet it,
    /// and wait evenly between 0 and 1 s. The first stall starts PHASE after the first request arrived,
    /// (PERIOD - LENGTH) / 2 if nothing is said, and any whole number of periods has as many stalls. Choose
    /// a phase half a gap off a multiple of the gap between requests (1s/10s@4.505s for 100/s): a request
    /// due just when a stall starts falls on either side by chance.
    #[arg(long, value_name = "STALL", value_parser = stall)]
    pub(crate) stall: Option<StallPlan>,

    /// CPU time burnt for every request before its answer, by the thread's CPU clock (50us)
    ///
    /// The one thread burns, so what is due meanwhile is late.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = units::duration)]
    pub(crate) burn: Duration,

    /// From the N-th request on it burns this instead: TIME@N, as in 100us@1501
    ///
    /// A server whose cost changes while it is measured is in no steady state.
    #[arg(long, value_name = "TIME@N", value_parser = burn_later)]
    pub(crate) burn_later: Option<(Duration, u64)>,

    /// A request burns this more for some time after nothing was asked for long enough: TIME/FOR@IDLE, as in
    /// 50us/200ms@50ms
    ///
    /// A server that has a state: it is another one in short turns than without a pause.
    #[arg(long, value_name = "TIME/FOR@IDLE", value_parser = after_idle)]
    pub(crate) burn_after_idle: Option<AfterIdle>,

    /// Instructions executed for every request before its answer, in a loop whose length is known
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    pub(crate) instructions: u64,

    /// Memory written to at the first request, and kept (64MiB)
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = units::size)]
    pub(crate) touch: usize,

    /// Memory written to for each connection, and kept as long as that is open (16KiB)
    ///
    /// It comes on top of about 0.1 KiB that a connection takes anyway.
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = units::size)]
    pub(crate) per_connection: usize,

    /// Every N-th request fails: status:100,close:1000,truncate:500,silent:500,body:N,reset:N
    ///
    /// status: a 503. body: one wrong byte. truncate: the head, half of the body, the end. close: the end
    /// without an answer. reset: the same by RST. silent: no answer, the connection stays. Requests are
    /// counted from 1 over all connections, and each takes its service time; those behind a close,
    /// truncate, reset or silent on one connection are not looked at. The fault at place i of the list, from 0, falls on
    /// the requests n with (n + i) divisible by N, so that the example's four never meet; where two do, the
    /// first named wins. close-after:K ends every connection after its K-th answer, header-close:K also says
    /// connection: close in it.
    #[arg(long, value_name = "LIST")]
    pub(crate) faults: Option<Faults>,

    /// Accept, read, and never answer
    #[arg(long, conflicts_with = "faults")]
    pub(crate) deaf: bool,

    /// Reset every connection as soon as it is accepted
    #[arg(long, conflicts_with_all = ["faults", "deaf", "stall", "service", "touch", "burn", "burn_later", "burn_after_idle"])]
    pub(crate) reset_on_accept: bool,

    /// Accepted because every server is given it; all laws are one thread's
    #[arg(long, hide = true, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    workers: Option<u16>,

    /// Accepted because every server is given it; nothing blocks here
    #[arg(long, hide = true, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    blocking_threads: Option<u16>,
}

/// How long, how often and when nothing is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StallPlan {
    /// L.
    pub(crate) length: Duration,
    /// P.
    pub(crate) period: Duration,
    /// From the first arrival to the start of the first stall.
    pub(crate) phase: Duration,
}

/// What a request costs more after the server had nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AfterIdle {
    /// CPU time.
    pub(crate) more: Duration,
    /// For how long.
    pub(crate) length: Duration,
    /// How long nothing has to have been asked.
    pub(crate) idle: Duration,
}

/// How service times are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// None is taken.
    None,
    /// Always this.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
}

impl Arguments {
    /// The arguments, or one line on stderr and status 2.
    pub(crate) fn parse_or_exit() -> Arguments {
        let checked = Arguments::try_parse().and_then(Arguments::checked);
        checked.unwrap_or_else(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            let text = error.render().to_string();
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            eprintln!("{}", lines.next().unwrap_or("error: wrong arguments"));
            process::exit(2);
        })
    }

    /// An argument that would have no effect is a mistake.
    fn checked(self) -> Result<Arguments, clap::Error> {
        let idle = if self.seed.is_some() && !matches!(self.service, Distribution::Exponential(_)) {
            Some("--seed has no effect without --service exponential")
        } else if self.servers != 1 && self.service == Distribution::None {
            Some("--servers has no effect without --service")
        } else {
            None
        };
        match idle {
            Some(problem) => Err(Arguments::command().error(ErrorKind::ArgumentConflict, problem)),
            None => Ok(self),
        }
    }

    /// What goes wrong.
    pub(crate) fn faults(&self) -> Faults {
        if self.deaf { Faults::deaf() } else { self.faults.clone().unwrap_or_default() }
    }
}

fn distribution(text: &str) -> Result<Distribution, String> {
    match text.split_once(':') {
        None if text == "none" => Ok(Distribution::None),
        Some(("constant", time)) => positive(time).map(Distribution::Constant),
        Some(("exponential", mean)) => positive(mean).map(Distribution::Exponential),
        _ => Err("write none, constant:2ms or exponential:2ms".into()),
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    units::duration(text)
        .and_then(|time| if time.is_zero() { Err("it must be above 0".into()) } else { Ok(time) })
}

fn servers(text: &str) -> Result<usize, String> {
    match text.parse() {
        _ if text == "inf" => Ok(0),
        Ok(k) if k <= MAX_SERVERS => Ok(k),
        _ => Err(format!("write a whole number up to {MAX_SERVERS}, or inf")),
    }
}

fn burn_later(text: &str) -> Result<(Duration, u64), String> {
    let (time, number) = text.split_once('@').ok_or("write TIME@N, as in 100us@1501")?;
    let number = number.parse().ok().filter(|n| *n > 1);
    Ok((units::duration(time)?, number.ok_or("the first request has --burn: give a number from 2")?))
}

fn after_idle(text: &str) -> Result<AfterIdle, String> {
    let (times, idle) = text.split_once('@').ok_or("write TIME/FOR@IDLE, as in 50us/200ms@50ms")?;
    let (more, length) = times.split_once('/').ok_or("write TIME/FOR@IDLE, as in 50us/200ms@50ms")?;
    Ok(AfterIdle { more: positive(more)?, length: positive(length)?, idle: positive(idle)? })
}

fn stall(text: &str) -> Result<StallPlan, String> {
    let (times, phase) = match text.split_once('@') {
        Some((times, phase)) => (times, Some(units::duration(phase)?)),
        None => (text, None),
    };
    let (length, period) = times.split_once('/').ok_or("write LENGTH/PERIOD, as in 1s/10s")?;
    let (length, period) = (positive(length)?, positive(period)?);
    let open = period.checked_sub(length).filter(|open| !open.is_zero());
    let open = open.ok_or("the stall must be shorter than its period")?;
    match phase {
        Some(phase) if phase > open => Err("the stall must end within its period".into()),
        phase => Ok(StallPlan { length, period, phase: phase.unwrap_or(open / 2) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = ["rt-oracle"].into_iter().chain(line.split_whitespace());
        Arguments::try_parse_from(words).and_then(Arguments::checked).map_err(|e| e.to_string())
    }

    #[test]
    fn the_laws_are_read() {
        let arguments =
            parse("--service exponential:2ms --servers inf --seed 7 --stall 1s/10s").expect("valid");
        assert_eq!(arguments.service, Distribution::Exponential(Duration::from_millis(2)));
        assert_eq!((arguments.servers, arguments.seed), (0, Some(7)));
        let stall = arguments.stall.expect("given");
        assert_eq!(stall.phase, Duration::from_millis(4500));
        let stall = parse("--stall 1s/10s@4.505s").expect("valid").stall.expect("given");
        assert_eq!(stall.phase, Duration::from_millis(4505));
    }

    #[test]
    fn the_command_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn mistakes_are_refused_by_their_first_line() {
        for (line, said) in [
            ("--service 2ms", "write none, constant:2ms or exponential:2ms"),
            ("--service constant:0", "above 0"),
            ("--service constant:2", "is no duration"),
            ("--servers -1", "error"),
            ("--servers many", "or inf"),
            ("--servers 4", "no effect without --service"),
            ("--seed 4 --service constant:2ms", "no effect without --service exponential"),
            ("--burn-later 5us", "write TIME@N"),
            ("--burn-later 5us@1", "from 2"),
            ("--burn-after-idle 5us/1s", "write TIME/FOR@IDLE"),
            ("--stall 1s", "LENGTH/PERIOD"),
            ("--stall 10s/10s", "shorter than its period"),
            ("--stall 1s/10s@9.5s", "within its period"),
            ("--touch 64MB", "is no size"),
            ("--faults status:0", "from 1"),
            ("--faults status:9 --deaf", "cannot be used with"),
            ("--flavor x", "unexpected argument"),
            ("--workers 0", "0 is not in 1..=10000"),
        ] {
            let problem = parse(line).expect_err(line);
            assert!(problem.lines().next().is_some_and(|first| first.contains(said)), "{line}: {problem}");
        }
    }
}
