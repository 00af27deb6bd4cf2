//! A load that several clients share: what each of them does.

use super::order::{Amount, Arrivals, Connections, Load, Share};

impl Load {
    /// Shares the load out among so many clients, or among fewer where there are not as many connections or
    /// requests. Connections and requests are split, the first ones take what is left over. A rate stays that of all
    /// of them: each draws the whole schedule, and leaves out what is the others'.
    pub fn split(&self, clients: usize) -> Vec<(Share, Load)> {
        let mut of = clients.min(self.connections.most());
        if let Arrivals::Closed { in_flight } = self.arrivals {
            of = of.min(in_flight);
        }
        if let Amount::Requests(requests) = self.amount {
            of = of.min(usize::try_from(requests).unwrap_or(usize::MAX));
        }
        let of = of.max(1);
        (0..of).map(|index| (Share { index, of }, self.of_one(index, of))).collect()
    }

    fn of_one(&self, index: usize, of: usize) -> Load {
        let part = |all: usize| all / of + usize::from(index < all % of);
        let arrivals = match self.arrivals {
            Arrivals::Closed { in_flight } => Arrivals::Closed { in_flight: part(in_flight) },
            open @ Arrivals::Open { .. } => open,
        };
        let connections = match self.connections {
            Connections::Kept(most) => Connections::Kept(part(most)),
            Connections::OnePerRequest(most) => Connections::OnePerRequest(part(most)),
        };
        let amount = match &self.amount {
            Amount::Requests(requests) => {
                let of = of as u64;
                Amount::Requests(requests / of + u64::from((index as u64) < requests % of))
            }
            other => other.clone(),
        };
        Load { arrivals, connections, amount, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::Client;
    use super::*;
    use crate::schedule::Arrival;

    fn load(arrivals: Arrivals, connections: usize, amount: Amount) -> Load {
        Load { client: Client::Engine, arrivals, connections: Connections::Kept(connections), amount }
    }

    #[test]
    fn connections_and_requests_add_up() {
        let closed = load(Arrivals::Closed { in_flight: 7 }, 7, Amount::Requests(11));
        let parts = closed.split(3);
        let of = |part: &(Share, Load)| (part.0.index, part.1.in_flight(), part.1.amount.clone());
        let expected = [(0, 3, 4), (1, 2, 4), (2, 2, 3)];
        let expected = expected.map(|(index, n, requests)| (index, n, Amount::Requests(requests)));
        assert_eq!(parts.iter().map(of).collect::<Vec<_>>(), expected);
        assert!(
            parts.iter().all(|(share, load)| share.of == 3 && load.connections.most() == load.in_flight())
        );
    }

    #[test]
    fn there_are_no_more_clients_than_there_is_to_do() {
        let one_at_a_time = load(Arrivals::Closed { in_flight: 1 }, 1, Amount::Requests(100));
        assert_eq!(one_at_a_time.split(4), [(Share::default(), one_at_a_time.clone())]);
        let few = load(Arrivals::Closed { in_flight: 64 }, 64, Amount::Requests(3));
        assert_eq!(few.split(4).len(), 3);
        let nothing = load(Arrivals::Closed { in_flight: 0 }, 0, Amount::UntilStopped);
        assert_eq!(nothing.split(4).len(), 1);
    }

    #[test]
    fn a_rate_stays_that_of_all() {
        let open = Arrivals::Open { rate: 900.0, process: Arrival::Poisson };
        let parts = load(open, 10, Amount::UntilStopped).split(3);
        assert!(parts.iter().all(|(_, load)| load.arrivals == open));
        assert_eq!(parts.iter().map(|(_, load)| load.connections.most()).collect::<Vec<_>>(), [4, 3, 3]);
    }
}
