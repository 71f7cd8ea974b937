//! How many connections there may be, in all and from one address.
use crate::broker::Counters;
use crate::config;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// Users: the accept loops and connections that end. Held for a count.
    open: Arc<Mutex<Open>>,
    limits: Arc<AdmissionLimits>,
}

#[derive(Debug)]
struct AdmissionLimits {
    connections_max: AtomicUsize,
    /// 0 sets no limit.
    per_address_max: AtomicUsize,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Pass {
    admission: Admission,
    /// `None` for a peer without one.
    address: Option<IpAddr>,
}

impl Admission {
    pub fn new(limits: &config::Limits) -> Self {
        let limits = AdmissionLimits {
            connections_max: limits.connections_max.into(),
            per_address_max: limits.connections_per_address_max.into(),
        };
        Self { open: Arc::default(), limits: Arc::new(limits) }
    }

    /// Limits who comes from now on; who is there stays.
    pub fn limit(&self, limits: &config::Limits) {
        self.limits.connections_max.store(limits.connections_max, Ordering::Relaxed);
        self.limits.per_address_max.store(limits.connections_per_address_max, Ordering::Relaxed);
    }

    /// A place for one more connection; `None` if a limit is reached: the connection is closed without a word.
    pub fn admit(&self, address: Option<IpAddr>, counters: &Counters) -> Option<Pass> {
        let mut open = self.open.lock();
        if open.total >= self.limits.connections_max.load(Ordering::Relaxed) {
            counters.connections_refused_total.add(1);
            return None;
        }
        if let Some(address) = address {
            let here = open.by_address.get(&address).copied().unwrap_or(0);
            let here_max = self.limits.per_address_max.load(Ordering::Relaxed);
            if here_max > 0 && here >= here_max {
                counters.connections_refused_address.add(1);
                return None;
            }
            open.by_address.insert(address, here + 1);
        }
        open.total += 1;
        drop(open);
        counters.connections_accepted.add(1);
        Some(Pass { admission: self.clone(), address })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.total -= 1;
        if let Some(address) = self.address
            && let Some(here) = open.by_address.get_mut(&address)
        {
            *here -= 1;
            if *here == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_in_all_and_per_address_and_make_room_when_they_end() {
        let limits = config::Limits { connections_max: 3, connections_per_address_max: 2, ..config::Limits::default() };
        let (admission, counters) = (Admission::new(&limits), Counters::default());
        let admit = |last| admission.admit(Some(IpAddr::from([127, 0, 0, last])), &counters);
        let first = admit(1);
        let _second = admit(1);
        assert!(first.is_some() && admit(1).is_none());
        let _third = admit(2);
        assert!(admit(3).is_none());
        drop(first);
        assert!(admit(1).is_some());
        assert_eq!(counters.connections_refused_address.value(), 1);
        assert_eq!(counters.connections_refused_total.value(), 1);
        admission.limit(&config::Limits { connections_max: 2, ..limits });
        assert!(admit(4).is_none(), "two are there already, and stay");
    }
}
