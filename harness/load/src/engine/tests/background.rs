//! Loads in the background.

use super::*;
use std::sync::mpsc::channel;

/// Carries out an order in the background that is told to stop so long after its load is under way, and
/// returns its report and how often it said that it is.
fn in_the_background(order: &Order, stop_after: Duration) -> (Report, usize) {
    let engine = Engine::prepare(order).expect("it can");
    let stop = engine.stop();
    let holding = RefCell::new(0);
    let say = |message: &Message| {
        assert_eq!(*message, Message::Holding);
        *holding.borrow_mut() += 1;
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            thread::sleep(stop_after);
            stop.store(true, Ordering::Relaxed);
        });
        Ok(())
    };
    let report = engine.run(|| Ok(Duration::ZERO), say).expect("it runs");
    (report, holding.into_inner())
}

#[test]
fn a_load_in_the_background_goes_on_until_it_is_stopped() {
    let slow = |stream: &mut TcpStream, _| {
        thread::sleep(Duration::from_millis(5));
        say(stream, ANSWER)
    };
    for driver in DRIVERS {
        for load in [closed(4), churn(None), open(500.0, 4), churn(Some(500.0))] {
            let load = Load { amount: Amount::UntilStopped, ..load };
            let order = Order { driver, cpus: vec![0, 0], ..order(server(slow), &load, 86_400_000) };
            let (report, holding) = in_the_background(&order, Duration::from_millis(100));
            assert_eq!((holding, &report.first_error, &report.gave_up), (1, &None, &None), "{load:?}");
            let fates = report.parts[0].fates;
            assert_eq!(fates.sum(), fates.scheduled, "{fates:?}");
            assert!(fates.ok > 10 && fates.ok + fates.in_flight_at_end == fates.scheduled, "{fates:?}");
        }
    }
}

#[test]
fn a_load_in_the_background_holds_all_its_requests_before_it_says_so() {
    for driver in DRIVERS {
        let (asked, count) = channel();
        let addr = server(move |_, _| asked.send(()).is_ok());
        let load = Load { amount: Amount::UntilStopped, ..closed(4) };
        let engine = Engine::prepare(&Order { driver, ..order(addr, &load, 86_400_000) }).expect("it can");
        let stop = engine.stop();
        let report = engine.run(
            || Ok(Duration::ZERO),
            |_| {
                let limit = Duration::from_secs(10);
                assert!((0..4).all(|_| count.recv_timeout(limit).is_ok()), "the server has them all");
                stop.store(true, Ordering::Relaxed);
                Ok(())
            },
        );
        let fates = report.expect("it runs").parts[0].fates;
        assert_eq!((fates.scheduled, fates.in_flight_at_end), (4, 4), "{fates:?}");
    }
}

#[test]
fn a_load_in_the_background_ends_with_its_first_failure() {
    for driver in DRIVERS {
        let breaks = server(|stream, n| n < 3 && say(stream, ANSWER));
        let nobody = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
        for addr in [breaks, nobody] {
            let load = Load { amount: Amount::UntilStopped, ..closed(4) };
            let order = Order { driver, cpus: vec![0, 0], ..order(addr, &load, 86_400_000) };
            let (report, _) = in_the_background(&order, Duration::from_secs(60));
            assert!(report.first_error.is_some(), "{report:?}");
            assert!(report.parts[0].elapsed < Duration::from_secs(30), "it did not wait to be stopped");
        }
    }
}
