//! Loads of several phases.

use super::*;

#[test]
fn every_phase_has_its_own_requests() {
    let phases = [(50, 1.0, false), (100, 1.0, true), (100, 5.0, true), (50, 2.0, false), (100, 1.0, true)];
    // One connection answers 200 a second, so that the second phase is answered during those after it.
    let slow = |stream: &mut TcpStream, _| {
        thread::sleep(Duration::from_millis(5));
        say(stream, ANSWER)
    };
    for driver in DRIVERS {
        let load = in_phases(open(100.0, 1), &phases);
        let parts = run_parts(&Order { driver, ..order(server(slow), &load, 10_000) });
        let due = |part: &PartReport| part.engine.as_ref().expect("the engine's").halves.map(|half| half.due);
        let fates: Vec<(u64, u64)> = parts.iter().map(|part| (part.fates.scheduled, part.fates.ok)).collect();
        assert_eq!(fates, [(10, 10), (50, 50), (10, 10)]);
        assert_eq!(parts.iter().map(due).collect::<Vec<_>>(), [[5, 5], [25, 25], [5, 5]]);
        let completed = |part: &PartReport| {
            part.engine.as_ref().expect("the engine's").halves.map(|half| half.completed).iter().sum::<u64>()
        };
        assert!(completed(&parts[1]) <= 20 && completed(&parts[2]) <= 20, "{parts:?}");
        assert!(parts[1].elapsed > Duration::from_millis(200), "until its last request is answered");
        assert!(parts[1].in_flight_mean > parts[0].in_flight_mean, "{parts:?}");
        assert_eq!(parts.iter().map(|part| part.connects).sum::<u64>(), 1);
    }
}

#[test]
fn phases_do_not_scale_a_closed_loop() {
    let load = in_phases(closed(2), &[(50, 1.0, false), (100, 5.0, true), (100, 1.0, true)]);
    for driver in DRIVERS {
        let serve = |stream: &mut TcpStream, _| {
            thread::sleep(Duration::from_millis(5));
            say(stream, ANSWER)
        };
        let parts = run_parts(&Order { driver, ..order(server(serve), &load, 1000) });
        assert_eq!(parts.len(), 2);
        for part in parts {
            // Two connections, 5 ms each, for 100 ms.
            assert!(only_ok(part.fates) && part.fates.ok <= 42, "{:?}", part.fates);
            let in_flight = part.in_flight_mean.expect("counted");
            assert!((1.5..=2.0).contains(&in_flight), "{in_flight}");
        }
    }
}
