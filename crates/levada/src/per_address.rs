//! How many streams one client may have at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the streams of each client that has one.
///
/// A client is known by its IPv4 address, or by the first 64 bits of an IPv6 one: whoever has one such
/// address has as many more as it likes (RFC 4291 section 2.5.4).
#[derive(Debug)]
pub(crate) struct PerAddress {
    limit: usize,
    streams: Mutex<HashMap<IpAddr, usize>>,
}

/// Room for one stream of a client, until it is dropped.
#[derive(Debug)]
pub(crate) struct AddressPermit {
    all: Arc<PerAddress>,
    client: IpAddr,
}

impl PerAddress {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, streams: Mutex::default() })
    }

    /// Takes room for one more stream of a client, if it has any left.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<AddressPermit> {
        let client = client(address);
        let mut streams = self.streams();
        let count = streams.entry(client).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(AddressPermit { all: Arc::clone(self), client })
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut streams = self.all.streams();
        if let Entry::Occupied(mut count) = streams.entry(self.client) {
            *count.get_mut() -= 1;
            // Whoever has gone is forgotten.
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_client_has_its_own_room_and_gets_it_back() {
        let all = PerAddress::new(2);
        let one = all.admit(ip("192.0.2.1")).unwrap();
        let _two = all.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert!(all.admit(ip("192.0.2.1")).is_none());
        assert!(all.admit(ip("192.0.2.2")).is_some());
        drop(one);
        assert!(all.admit(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let all = PerAddress::new(1);
        let _one = all.admit(ip("2001:db8::1")).unwrap();
        assert!(all.admit(ip("2001:db8::ffff:1")).is_none());
        assert!(all.admit(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn nothing_is_kept_of_who_has_gone() {
        let all = PerAddress::new(1);
        drop(all.admit(ip("192.0.2.1")));
        assert!(all.streams().is_empty());
    }
}
