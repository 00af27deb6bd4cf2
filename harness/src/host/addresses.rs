//! Which addresses are this machine's own.

use nix::ifaddrs::getifaddrs;
use std::net::IpAddr;

/// Returns true if what is sent to `ip` stays on this machine: a loopback address, or one of an interface.
pub fn is_own(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    // A connection to 0.0.0.0 goes to this machine.
    ip.is_loopback() || ip.is_unspecified() || interfaces().any(|own| own == ip)
}

/// The addresses of this machine's interfaces; none where the kernel does not say.
fn interfaces() -> impl Iterator<Item = IpAddr> {
    getifaddrs().into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> bool {
        is_own(text.parse().expect("an address"))
    }

    #[test]
    fn loopback_and_the_interfaces_are_this_machine_s() {
        for text in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"] {
            assert!(own(text), "{text}");
        }
        let interfaces: Vec<IpAddr> = interfaces().collect();
        assert!(interfaces.contains(&IpAddr::from([127, 0, 0, 1])), "{interfaces:?}");
        assert!(interfaces.iter().all(|ip| is_own(*ip)), "{interfaces:?}");
    }

    #[test]
    fn every_other_address_is_another_machine_s() {
        // Of the blocks that are for documents: no machine has them.
        for text in ["192.0.2.1", "198.51.100.7", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(!own(text), "{text}");
        }
    }
}
