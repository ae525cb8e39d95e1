//! How many connections each address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by address. Its size is bounded by the connections of the server.
#[derive(Debug)]
pub struct AddressPermits {
    max: u32,
    held: Mutex<HashMap<IpAddr, u32>>,
}

/// One connection of an address; it ends with this.
#[derive(Debug)]
pub struct AddressPermit {
    permits: Arc<AddressPermits>,
    address: IpAddr,
}

impl AddressPermits {
    /// Returns permits for `max` connections of each address; 0 means any number.
    pub fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { max, held: Mutex::default() })
    }

    /// Returns a permit, or `None` if the address has as many connections as it may.
    pub fn acquire(self: &Arc<Self>, address: IpAddr) -> Option<AddressPermit> {
        let address = network(address);
        if self.max > 0 {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let count = held.entry(address).or_default();
            if *count >= self.max {
                return None;
            }
            *count += 1;
        }
        Some(AddressPermit { permits: Arc::clone(self), address })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut held = self.permits.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// What one client can choose from: an IPv4 address, or all of an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_address_has_its_own() {
        let permits = AddressPermits::new(2);
        let take = |address: &str| permits.acquire(address.parse().unwrap());
        let first = take("10.0.0.1");
        let mapped = take("::ffff:10.0.0.1");
        assert!(first.is_some() && mapped.is_some());
        assert!(take("10.0.0.1").is_none());
        let others = [take("10.0.0.2"), take("2001:db8::1"), take("2001:db8::2:1")];
        assert!(others.iter().all(Option::is_some));
        assert!(take("2001:db8::3:1").is_none(), "the same network");
        assert!(take("2001:db8:0:1::1").is_some(), "the next network");
        drop(first);
        assert!(take("10.0.0.1").is_some());
        drop((mapped, others));
        assert!(permits.held.lock().unwrap().is_empty(), "nothing is left of those that went");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let permits = AddressPermits::new(0);
        let held: Vec<_> = (0..100).map(|_| permits.acquire([10, 0, 0, 1].into())).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(permits.held.lock().unwrap().is_empty());
    }
}
