//! How many connections each client address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts by address. Touched when a connection comes or goes, and only where there is a limit.
/// There are at most as many entries as connections.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// One connection's place in the count.
#[derive(Debug)]
pub(crate) struct Counted {
    addresses: Arc<Addresses>,
    key: IpAddr,
}

/// The address has as many connections as it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Addresses {
    /// Counts one more.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, max: usize) -> Result<Counted, TooMany> {
        let key = subscriber(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= max {
            return Err(TooMany);
        }
        *count += 1;
        Ok(Counted { addresses: Arc::clone(self), key })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// What one subscriber has: an IPv4 address, or a /64 of IPv6, in which a client takes as many addresses
/// as it likes (RFC 8981).
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_count_of_its_own_and_leaves_nothing_behind() {
        let addresses = Arc::new(Addresses::default());
        let enter = |address: &str, max| addresses.enter(address.parse().unwrap(), max);
        let one = enter("192.0.2.1", 2).unwrap();
        let two = enter("::ffff:192.0.2.1", 2).unwrap();
        assert_eq!(enter("192.0.2.1", 2).unwrap_err(), TooMany);
        let other = enter("192.0.2.2", 2).unwrap();
        drop(two);
        let again = enter("192.0.2.1", 2).unwrap();
        let net = enter("2001:db8::1", 1).unwrap();
        assert!(enter("2001:db8::ffff:1", 1).is_err() && enter("2001:db8:0:1::1", 1).is_ok());
        drop((one, other, again, net));
        assert!(addresses.0.lock().unwrap().is_empty());
    }
}
