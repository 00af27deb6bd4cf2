//! Servers that take turns.

use super::super::turns::TurnsEngine;
use super::*;
use crate::protocol::{Message, Piece, Slice, Turns, TurnsReport};
use std::io::{BufRead as _, BufReader};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Instant;

/// A meter that says of the first server that it used a millisecond more each time anything is asked, of the second that it
/// used two more.
fn meter(servers: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepted");
        let lines = BufReader::new(stream.try_clone().expect("TCP")).lines();
        for (asked, question) in lines.map_while(Result::ok).enumerate() {
            let places = match question.parse() {
                Ok(place) => place..=place,
                Err(_) => 0..=servers - 1,
            };
            let cpu: Vec<u64> = places.map(|place| 1_000_000 * (place + 1) * asked as u64).collect();
            say(&mut stream, &format!("{}\n", serde_json::to_string(&cpu).expect("numbers")));
        }
    });
    addr
}

fn carry_out(turns: Turns) -> (Vec<PartReport>, TurnsReport, Report) {
    let engine = TurnsEngine::prepare(turns).expect("it can");
    let report = engine.run(|| Ok(Duration::ZERO), |_| Ok(())).expect("it runs");
    (report.parts.clone(), report.turns.clone().expect("of turns"), report)
}

fn piece(server: usize, round: usize, ms: u64, part: Option<usize>) -> Piece {
    Piece { server, round, duration: Duration::from_millis(ms), scale: 1.0, part }
}

#[test]
fn a_server_is_asked_in_its_turn_and_nothing_is_in_flight_at_its_edges() {
    for driver in DRIVERS {
        // Requests under way at all servers together, and the most at any that another one saw.
        let (under_way, overlaps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let busy: Vec<Arc<AtomicUsize>> = (0..2).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let addrs: Vec<SocketAddr> = (0..2)
            .map(|server| {
                let (under_way, overlaps, busy) = (under_way.clone(), overlaps.clone(), busy.clone());
                super::server(move |stream, _| {
                    under_way.fetch_add(1, Ordering::SeqCst);
                    busy[server].fetch_add(1, Ordering::SeqCst);
                    if busy[1 - server].load(Ordering::SeqCst) > 0 {
                        overlaps.fetch_add(1, Ordering::SeqCst);
                    }
                    thread::sleep(Duration::from_millis(2));
                    busy[server].fetch_sub(1, Ordering::SeqCst);
                    say(stream, ANSWER)
                })
            })
            .collect();
        let orders = addrs.iter().map(|addr| Order { driver, ..order(*addr, &closed(4), 5000) }).collect();
        let mut pieces = Vec::new();
        for round in 1..=4 {
            for server in [round % 2, 1 - round % 2] {
                pieces.push(piece(server, round, 5, None));
                pieces.push(piece(server, round, 20, Some(0)));
                pieces.push(piece(server, round, 10, Some(1)));
            }
        }
        let (parts, told, report) = carry_out(Turns { orders, parts: 2, meter: Some(meter(2)), pieces });
        assert_eq!((report.first_error, report.gave_up), (None, None));
        assert_eq!(overlaps.load(Ordering::SeqCst), 0);
        assert_eq!(parts.len(), 4);
        let counted: u64 = parts.iter().map(|part| part.fates.ok).sum();
        let all = counted + told.uncounted.iter().sum::<u64>();
        assert_eq!(under_way.load(Ordering::SeqCst) as u64, all, "every request has been answered");
        assert_eq!(told.slices.len(), 16);
        for (place, part) in parts.iter().enumerate() {
            let of_part = |slice: &&Slice| (slice.server, slice.part) == (place / 2, place % 2);
            let slices: Vec<&Slice> = told.slices.iter().filter(of_part).collect();
            assert_eq!(slices.iter().map(|slice| slice.round).collect::<Vec<_>>(), [1, 2, 3, 4]);
            assert_eq!(part.fates.ok, slices.iter().map(|slice| slice.ok).sum::<u64>());
            assert_eq!(part.fates.sum(), part.fates.scheduled);
            assert_eq!(part.elapsed, slices.iter().map(|slice| slice.time).sum());
            let halves = part.engine.as_ref().expect("the engine's").halves;
            assert_eq!(halves[0].completed + halves[1].completed, part.fates.ok);
            let ms = if place % 2 == 0 { 20 } else { 10 };
            assert!(slices.iter().all(|slice| slice.time >= Duration::from_millis(ms)), "{slices:?}");
            // Four at a time, in service all the time but for the edges.
            let in_flight = part.in_flight_mean.expect("counted");
            assert!(in_flight > 2.0 && in_flight <= 4.0, "{in_flight}");
            assert_eq!(part.connects, if place % 2 == 0 { 4 } else { 0 }, "kept from turn to turn");
            let samples = histogram::decode(&part.service.histogram).expect("readable").len();
            assert_eq!(samples, part.fates.ok);
        }
        // Between two questions, of which there are two for each of 24 pieces, and two for all.
        let ms = [Duration::from_millis(1), Duration::from_millis(2)];
        assert!(told.slices.iter().all(|slice| slice.server_cpu == Some(ms[slice.server])));
        assert_eq!(told.idle.iter().map(|(cpu, _)| *cpu).collect::<Vec<_>>(), ms.map(|ms| (49 - 12) * ms));
        assert!(told.asking.is_some());
    }
}

#[test]
fn progress_is_said_once_a_second_and_not_after_each_piece() {
    let orders = vec![order(server(|stream, _| say(stream, ANSWER)), &closed(1), 5000)];
    let pieces = (1..=24).map(|round| piece(0, round, 100, Some(0))).collect();
    let engine = TurnsEngine::prepare(Turns { orders, parts: 1, meter: None, pieces }).expect("it can");
    let (said, start) = (Mutex::new(Vec::new()), Instant::now());
    let say = |message: &Message| {
        said.lock().expect("one thread").push(message.clone());
        Ok(())
    };
    engine.run(|| Ok(Duration::ZERO), say).expect("it runs");
    let (said, seconds) = (said.into_inner().expect("one thread"), start.elapsed().as_secs() as usize);
    assert!((1..=seconds).contains(&said.len()), "{said:?} in {seconds} s");
    let done = |message: &Message| matches!(message, Message::Progress(1..=24));
    assert!(said.iter().all(done), "{said:?}");
}

#[test]
fn a_schedule_is_the_same_for_all_servers_of_a_round_and_another_in_each() {
    let load = load(Arrivals::Open { rate: 2000.0, process: Arrival::Poisson }, Connections::Kept(16));
    let addrs = [(); 2].map(|()| server(|stream, _| say(stream, ANSWER)));
    let orders = addrs.iter().map(|addr| order(*addr, &load, 5000)).collect();
    let pieces = (1..=3).flat_map(|round| (0..2).map(move |server| piece(server, round, 50, Some(0))));
    let (parts, told, _) = carry_out(Turns { orders, parts: 1, meter: None, pieces: pieces.collect() });
    let of = |server: usize| -> Vec<u64> {
        told.slices.iter().filter(|slice| slice.server == server).map(|slice| slice.ok).collect()
    };
    assert_eq!(of(0), of(1));
    assert!(of(0).windows(2).any(|two| two[0] != two[1]), "{:?}", of(0));
    assert!(parts.iter().all(|part| part.engine.as_ref().is_some_and(|engine| engine.response.is_some())));
    assert!(told.slices.iter().all(|slice| slice.server_cpu.is_none()));
    assert_eq!((told.idle, told.asking), (Vec::new(), None));
}

#[test]
fn a_server_that_is_alone_is_never_idle() {
    let addr = server(|stream, _| say(stream, ANSWER));
    let pieces = (1..=2).map(|round| piece(0, round, 10, Some(0))).collect();
    let orders = vec![order(addr, &closed(1), 1000)];
    let (_, told, _) = carry_out(Turns { orders, parts: 1, meter: Some(meter(1)), pieces });
    let cpu: Vec<_> = told.slices.iter().map(|slice| slice.server_cpu).collect();
    assert_eq!((cpu, told.idle), (vec![Some(Duration::from_millis(1)); 2], Vec::new()));
}

#[test]
fn nothing_is_asked_in_a_pause() {
    let asked = Arc::new(AtomicUsize::new(0));
    let addr = server({
        let asked = asked.clone();
        move |stream, _| {
            asked.fetch_add(1, Ordering::SeqCst);
            say(stream, ANSWER)
        }
    });
    let pause = Piece { scale: 0.0, ..piece(0, 1, 30, None) };
    let orders = vec![order(addr, &closed(1), 1000)];
    let pieces = vec![pause, pause];
    let (parts, told, _) = carry_out(Turns { orders, parts: 1, meter: None, pieces });
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!((parts, told.slices), (vec![PartReport::default()], Vec::new()));
}

#[test]
fn what_fails_in_a_turn_has_its_fate_and_the_next_turn_goes_on() {
    for driver in DRIVERS {
        // Closes the connection after every third answer, and answers the first request of each wrongly.
        let addr = server(|stream, n| {
            let wrong = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
            say(stream, if n == 1 { wrong } else { ANSWER }) && n < 3
        });
        let orders = vec![Order { driver, ..order(addr, &closed(2), 1000) }];
        let pieces = (1..=5).map(|round| piece(0, round, 20, Some(0))).collect();
        let (parts, told, _) = carry_out(Turns { orders, parts: 1, meter: None, pieces });
        let fates = parts[0].fates;
        assert_eq!(fates.sum(), fates.scheduled);
        assert!(fates.bad_status > 0 && fates.ok > 0, "{fates:?}");
        assert!(told.first_errors[0].is_some());
        assert_eq!(told.gave_up, [None]);
        assert!(told.slices.iter().all(|slice| slice.ok > 0), "{:?}", told.slices);
    }
}

#[test]
fn a_server_of_which_nothing_is_answered_is_asked_no_more_and_the_others_are() {
    for driver in DRIVERS {
        // One hangs from its third request on, and one hangs up.
        let asked = AtomicUsize::new(0);
        let hangs = server(move |stream, _| asked.fetch_add(1, Ordering::SeqCst) >= 2 || say(stream, ANSWER));
        let hangs_up = server(|_, _| false);
        let fine = server(|stream, _| say(stream, ANSWER));
        let order = |addr: &SocketAddr| Order { driver, ..order(*addr, &closed(1), 50) };
        let orders = [hangs, fine, hangs_up].iter().map(order).collect();
        let pieces: Vec<Piece> =
            (1..=4).flat_map(|round| (0..3).map(move |server| piece(server, round, 10, Some(0)))).collect();
        let (parts, told, report) = carry_out(Turns { orders, parts: 1, meter: None, pieces });
        let rounds = |server: usize| told.slices.iter().filter(|slice| slice.server == server).count();
        // The turn in which it began to hang has answers.
        assert_eq!([0, 1, 2].map(rounds), [2, 4, 1], "{:?}", told.slices);
        let errors: Vec<&str> = told.gave_up.iter().map(|why| why.as_deref().unwrap_or("-")).collect();
        assert!(errors[0].starts_with("nothing was answered in a turn: "), "{errors:?}");
        assert_eq!(errors[1], "-");
        assert!(told.first_errors[0].is_some() && told.first_errors[0] != told.first_errors[2]);
        assert_eq!((told.first_errors[1].as_ref(), report.gave_up), (None, None));
        assert!(parts[0].fates.timed_out > 0 && parts[1].fates.failed() == 0);
    }
}

#[test]
fn answers_after_the_last_request_is_due_are_counted_as_late() {
    for driver in DRIVERS {
        let addr = server(|stream, _| {
            thread::sleep(Duration::from_millis(30));
            say(stream, ANSWER)
        });
        let load = load(Arrivals::Open { rate: 100.0, process: Arrival::Constant }, Connections::Kept(16));
        let orders = vec![Order { driver, ..order(addr, &load, 5000) }];
        let pieces = (1..=2).map(|round| piece(0, round, 100, Some(0))).collect();
        let (parts, ..) = carry_out(Turns { orders, parts: 1, meter: None, pieces });
        let halves = parts[0].engine.as_ref().expect("the engine's").halves;
        for half in halves {
            // Of ten the last three, if nobody is late.
            assert!(half.late >= 2 && half.late <= half.completed, "{half:?}");
            assert_eq!((half.due, half.completed), (10, 10));
        }
    }
}

#[test]
fn a_meter_that_goes_away_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let meter = listener.local_addr().expect("bound");
    let gone = thread::spawn(move || drop(listener.accept()));
    let addr = server(|stream, _| say(stream, ANSWER));
    let turns = Turns {
        orders: vec![order(addr, &closed(1), 1000)],
        parts: 1,
        meter: Some(meter),
        pieces: vec![piece(0, 1, 10, Some(0))],
    };
    let engine = TurnsEngine::prepare(turns).expect("it is there");
    gone.join().expect("it goes");
    let problem = engine.run(|| Ok(Duration::ZERO), |_| Ok(())).expect_err("nobody answers");
    assert!(problem.contains("meter"), "{problem}");
}
