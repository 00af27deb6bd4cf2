//! One replicate: a fresh server, a fresh client, one row.

use crate::judge::ceiling;
use crate::load::protocol::{Driver, Load, Order, Report, Task};
use crate::outcome::row::{Row, SCHEMA_VERSION, per_request};
use crate::plan::{Amount, Cell};
use crate::process::client::ClientProcess;
use crate::process::server::{Server, StartOptions, Window};
use crate::subject::{Running, Subject, expected};
use contract::route::Route;
use std::time::Duration;

/// What is the same for every replicate of a run.
#[derive(Debug)]
pub struct Setting {
    /// The run's directory name.
    pub run_id: String,
    /// What decides the order.
    pub seed: u64,
    /// How long one request may take.
    pub timeout: Duration,
    /// What servers are started with.
    pub start: StartOptions,
    /// How the load engine talks to the kernel.
    pub driver: Driver,
}

/// A row, where its requests went, and how bad what happened is.
#[derive(Debug)]
pub struct Outcome {
    /// The row.
    pub row: Row,
    /// The URL that was measured, for the progress line.
    pub url: String,
    /// Whether a server or the environment failed, which is worse than failed requests.
    pub broken: bool,
    /// What the client reported, with its histograms.
    pub report: Option<Report>,
}

/// Runs `cell` once. Whatever happens becomes part of the row. `client_ceiling` is what the same client
/// reached with no server to wait for.
pub fn run(
    setting: &Setting,
    subject: &Subject,
    cell: &Cell,
    block: usize,
    order_index: usize,
    client_ceiling: Option<f64>,
) -> Outcome {
    let mut row = Row {
        schema_version: SCHEMA_VERSION,
        run_id: setting.run_id.clone(),
        block,
        order_index,
        started_at: jiff::Timestamp::now().round(jiff::Unit::Millisecond).unwrap_or_default().to_string(),
        seed: setting.seed,
        server: subject.name().to_owned(),
        processes: cell.condition.processes,
        route: cell.target.clone(),
        interference: cell.condition.interference.as_ref().map(ToString::to_string).unwrap_or_default(),
        strategy: cell.work.strategy.name().to_owned(),
        loop_kind: cell.work.loop_name().to_owned(),
        requests: cell.work.requests(),
        concurrency: cell.work.in_flight(),
        keep_alive: cell.work.strategy.keeps_alive(),
        timeout_ms: u64::try_from(setting.timeout.as_millis()).unwrap_or(u64::MAX),
        client_ceiling_rps: client_ceiling,
        ..Row::default()
    };
    let mut url = format!("http://{}{}", subject.name(), cell.target);
    let mut report = None;
    let problems = match subject {
        Subject::Managed(managed) => match &managed.refused {
            Some(reason) => vec![reason.clone()],
            None => {
                let processes = cell.condition.processes;
                match Server::start(&managed.def, managed.program.as_ref(), processes, &setting.start) {
                    Ok(server) => {
                        url = format!("http://{}{}", server.addr, cell.target);
                        managed_server(setting, server, cell, &mut row, &mut report)
                    }
                    Err(problem) => vec![problem],
                }
            }
        },
        Subject::Running(running) => running_server(setting, running, cell, &mut row, &mut report),
    };
    let broken = !problems.is_empty();
    for problem in problems {
        row.add_error(&problem);
    }
    Outcome { row: row.formula_safe(), url, broken, report }
}

fn managed_server(
    setting: &Setting,
    mut server: Server,
    cell: &Cell,
    row: &mut Row,
    reported: &mut Option<Report>,
) -> Vec<String> {
    row.worker_threads = server.worker_threads();
    row.blocking_threads = server.blocking_threads();
    if let Some(ready) = server.ready() {
        row.runtime = ready.runtime.clone();
        row.runtime_version = ready.runtime_version.clone();
        row.flavor = ready.flavor.clone();
        row.http_stack = ready.http_stack.clone();
    }
    let mut problems = Vec::new();
    let order = Order {
        addr: server.addr,
        host: server.addr.to_string(),
        target: cell.target.clone(),
        expect: expected(&cell.target),
        timeout: setting.timeout,
        task: task(cell, setting),
    };
    let measured = with_interference(&order, cell, &mut problems, || {
        let mut client = ClientProcess::start(&order)?;
        client.wait_until_ready()?;
        let mut window = Window::open(&server);
        client.go();
        let report = client.report(|| {
            window.look();
            server.died().is_none()
        })?;
        Ok((report, window.close()))
    });
    if let Some((report, used)) = measured {
        problems.extend(note_report(row, &report));
        row.server_cpu_us_per_request = per_request(used.cpu.as_secs_f64(), report.fates.ok);
        row.server_peak_rss_bytes = used.peak_memory;
        row.threads_seen = used.threads;
        *reported = Some(report);
    }
    note_ceiling(row, cell, server.blocking_threads());
    // Requests that interfere are cut off in the middle: the server need not finish them.
    problems.extend(server.stop(cell.condition.interference.is_some()).err());
    problems
}

fn running_server(
    setting: &Setting,
    running: &Running,
    cell: &Cell,
    row: &mut Row,
    reported: &mut Option<Report>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let order = Order {
        addr: running.addr,
        host: running.name.clone(),
        target: running.target.clone(),
        expect: running.expect.clone(),
        timeout: setting.timeout,
        task: task(cell, setting),
    };
    let measured = with_interference(&order, cell, &mut problems, || {
        let mut client = ClientProcess::start(&order)?;
        client.wait_until_ready()?;
        client.go();
        client.report(|| true)
    });
    if let Some(report) = measured {
        problems.extend(note_report(row, &report));
        *reported = Some(report);
    }
    note_ceiling(row, cell, None);
    problems
}

fn task(cell: &Cell, setting: &Setting) -> Task {
    let work = &cell.work;
    match work.amount {
        Amount::Requests(requests) => {
            Task::Measure { strategy: work.strategy, requests, in_flight: work.in_flight() }
        }
        Amount::Time { warmup, duration } => Task::Load(Load {
            strategy: work.strategy,
            connections: work.in_flight(),
            rate: work.rate,
            arrival: work.arrival,
            seed: setting.seed,
            warmup,
            duration,
            driver: setting.driver,
            cpus: Vec::new(),
            spin: Duration::ZERO,
            mutation: None,
        }),
    }
}

/// Carries out `measure` while the cell's interference is held: it begins before the first request and
/// ends after the last. Interference that broke off in the meantime is a problem.
fn with_interference<T>(
    order: &Order,
    cell: &Cell,
    problems: &mut Vec<String>,
    measure: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    let held = match cell.condition.interference.as_ref() {
        None => None,
        Some(interference) => {
            let hold = Order {
                target: interference.target.clone(),
                expect: expected(&interference.target),
                task: Task::Hold { count: interference.count },
                ..order.clone()
            };
            match start_holding(&hold) {
                Ok(client) => Some(client),
                Err(problem) => {
                    problems.push(format!("interference failed: {problem}"));
                    return None;
                }
            }
        }
    };
    let measured = measure().map_err(|problem| problems.push(problem)).ok();
    if let Some(mut client) = held {
        match client.end_holding() {
            Ok(Report { first_error: Some(error), .. }) => {
                problems.push(format!("interference broke off: {error}"));
            }
            Ok(_) => {}
            Err(problem) => problems.push(format!("interference broke off: {problem}")),
        }
    }
    measured
}

fn start_holding(order: &Order) -> Result<ClientProcess, String> {
    let mut client = ClientProcess::start(order)?;
    client.wait_until_holding()?;
    Ok(client)
}

/// Takes the report over into the row. Failed requests are an error of the row's; that fates do not add
/// up, or the client gave up, is a problem.
fn note_report(row: &mut Row, report: &Report) -> Vec<String> {
    let mut problems: Vec<String> = row.set_report(report).err().into_iter().collect();
    let fates = report.fates;
    if fates.failed() > 0 {
        let first = report.first_error.as_deref().unwrap_or("no reason was given");
        row.add_error(&format!("{} of {} requests failed: {first}", fates.failed(), fates.scheduled));
    }
    if fates.sum() != fates.scheduled {
        problems.push(format!("{} requests have {} fates", fates.scheduled, fates.sum()));
    }
    problems.extend(report.gave_up.clone());
    problems
}

fn note_ceiling(row: &mut Row, cell: &Cell, blocking_threads: Option<usize>) {
    let Ok(route) = Route::parse_target(&cell.target) else { return };
    let taken = cell.condition.interference.as_ref().map_or(0, |interference| {
        Route::parse_target(&interference.target)
            .map_or(0, |r| if r.blocks() { interference.count } else { 0 })
    });
    if let Some(ceiling) = ceiling::of(route, cell.work.in_flight(), blocking_threads, taken) {
        row.ceiling_rps = Some(ceiling.rps);
        row.ceiling_by = ceiling.by.to_owned();
    }
}
