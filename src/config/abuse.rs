//! What a single address, user or client may ask for: the settings, with their defaults.
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// `[abuse]`: how much is too much, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Abuse {
    /// Networks that are not counted and never kept out.
    pub exempt: Vec<IpNet>,
    /// Logins of one user from one address that may fail within the window; 0 bans nobody.
    pub failed_logins_max: u32,
    /// Logins from one address, which many users may share, that may fail within it; 0 bans none.
    pub failed_logins_per_address_max: u32,
    pub failed_logins_window_s: u32,
    /// The first ban; each that follows is twice as long, up to the longest.
    pub ban_s: u32,
    pub ban_s_max: u32,
    /// Connects of one Client Identifier within the window; 0 sets no limit.
    pub client_connects_max: u32,
    pub client_connects_window_s: u32,
    /// How long a client that connects more often is refused.
    pub client_refused_s: u32,
    /// Seconds of a rate that may come at once.
    pub burst_s: u64,
    /// Addresses, users and clients remembered, of each kind of count.
    pub remembered_max: usize,
    pub address: Rates,
    pub user: Rates,
    pub client: Rates,
}

/// What may come in one second; 0 sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    pub connects_per_second_max: u64,
    pub messages_per_second_max: u64,
    pub bytes_per_second_max: u64,
    pub subscriptions_per_second_max: u64,
}

impl Default for Abuse {
    fn default() -> Self {
        Self {
            exempt: ["127.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse().ok()).collect(),
            failed_logins_max: 10,
            failed_logins_per_address_max: 50,
            failed_logins_window_s: 60,
            ban_s: 30,
            ban_s_max: 3600,
            client_connects_max: 60,
            client_connects_window_s: 60,
            client_refused_s: 60,
            burst_s: 2,
            remembered_max: 100_000,
            address: Rates::default(),
            user: Rates::default(),
            client: Rates::default(),
        }
    }
}

impl Abuse {
    /// Key, value, the least and the most.
    pub(super) fn ranges(&self) -> [(&'static str, u64, u64, u64); 7] {
        const YEAR_S: u64 = 31_536_000;
        let seconds = u64::from;
        [
            ("abuse.failed_logins_window_s", seconds(self.failed_logins_window_s), 1, YEAR_S),
            ("abuse.ban_s", seconds(self.ban_s), 1, YEAR_S),
            ("abuse.ban_s_max", seconds(self.ban_s_max), seconds(self.ban_s), YEAR_S),
            ("abuse.client_connects_window_s", seconds(self.client_connects_window_s), 1, YEAR_S),
            ("abuse.client_refused_s", seconds(self.client_refused_s), 1, YEAR_S),
            ("abuse.burst_s", self.burst_s, 1, 86_400),
            ("abuse.remembered_max", self.remembered_max as u64, 1, 100_000_000),
        ]
    }
}

/// `[memory]`: what happens before there is none left.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryMarks {
    /// MiB of the process above which publishers are not read from; 0 is 70 % of what the process may have.
    pub slow_publishers_at_mib: u64,
    /// MiB above which new clients are refused; 0 is 85 %.
    pub refuse_connects_at_mib: u64,
}
