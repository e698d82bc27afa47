//! Which server gets a connection.
//!
//! Servers stand in tiers: primaries before backups, and within both those nobody suspects before those whose
//! connects went unanswered a moment ago. Only the best tier that has a usable server is asked; within it the
//! policy decides. The caller hands in a view of each server and owns the counters.

use std::net::IpAddr;

pub(crate) use cluster_config::node::proxy::Balance as Policy;

/// What a choice needs to know about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Healthy, not draining, not full, not tried yet.
    pub(crate) usable: bool,
    /// Did not answer lately; a check will tell.
    pub(crate) suspect: bool,
    /// Only for when no primary is usable.
    pub(crate) backup: bool,
    /// On this node, and that counts.
    pub(crate) preferred: bool,
    /// Sessions it has.
    pub(crate) sessions: u32,
    /// Share, in thousandths of a plain server's.
    pub(crate) weight: u32,
    /// Stays the same over reloads and on every node.
    pub(crate) identity: u64,
}

impl Candidate {
    fn tier(&self) -> u8 {
        u8::from(self.backup) << 2 | u8::from(self.suspect) << 1 | u8::from(!self.preferred)
    }
}

/// Chooses among servers and remembers whose turn it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Balancer {
    policy: Policy,
    /// Smooth weighted round robin: credit per server.
    credits: Vec<i64>,
    /// Where the search for the least loaded starts, so that equals take turns.
    start: usize,
}

impl Balancer {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// The index of the server for a client at `source`, among `servers` seen through `view`.
    pub(crate) fn choose(
        &mut self,
        servers: usize,
        source: IpAddr,
        view: impl Fn(usize) -> Candidate,
    ) -> Option<usize> {
        let tier = (0..servers)
            .map(&view)
            .filter(|c| c.usable)
            .map(|c| c.tier())
            .min()?;
        let in_tier = |i: &usize| {
            let candidate = view(*i);
            candidate.usable && candidate.tier() == tier
        };
        match self.policy {
            Policy::LeastConnections => {
                let start = self.start;
                let best = (0..servers)
                    .map(|i| (start + i) % servers)
                    .filter(in_tier)
                    .min_by(|a, b| load(&view(*a), &view(*b)))?;
                self.start = (best + 1) % servers;
                Some(best)
            }
            Policy::RoundRobin => {
                self.credits.resize(servers, 0);
                let mut total = 0;
                for i in (0..servers).filter(in_tier) {
                    let weight = i64::from(view(i).weight);
                    self.credits[i] += weight;
                    total += weight;
                }
                let best = (0..servers)
                    .filter(in_tier)
                    .max_by_key(|i| (self.credits[*i], std::cmp::Reverse(*i)))?;
                self.credits[best] -= total;
                Some(best)
            }
            Policy::SourceHash => (0..servers)
                .filter(in_tier)
                .max_by(|a, b| score(source, &view(*a)).total_cmp(&score(source, &view(*b)))),
        }
    }
}

/// Orders by sessions per weight, counting the session to come.
fn load(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    let cross =
        |x: &Candidate, y: &Candidate| (u64::from(x.sessions) + 1) * u64::from(y.weight.max(1));
    cross(a, b).cmp(&cross(b, a))
}

/// Weighted rendezvous hash: a server that leaves moves only its own clients.
fn score(source: IpAddr, candidate: &Candidate) -> f64 {
    let source = match source.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let [high, low] = [source >> 64, source & u128::from(u64::MAX)]
        .map(|half| u64::try_from(half).unwrap_or(u64::MAX));
    let hash = mix(mix(low ^ candidate.identity) ^ high);
    // 53 bits fill a double's mantissa; the half keeps the logarithm finite.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(candidate.weight.max(1)) / unit.ln()
}

/// A stable 64-bit identity of a name and address.
pub(crate) fn identity(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of `SplitMix64`: every input bit reaches every output bit.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_connections_takes_the_emptiest_and_equals_in_turn() {
        let mut balancer = Balancer::new(Policy::LeastConnections);
        let mut loads = [5, 3, 3];
        let picks: Vec<_> = (0..4)
            .map(|_| {
                let pick = choose(&mut balancer, &loads.map(with_sessions));
                loads[pick] += 1;
                pick
            })
            .collect();
        assert_eq!(picks, [1, 2, 1, 2]);
        assert_eq!(loads, [5, 5, 5]);
    }

    #[test]
    fn a_restarted_server_is_filled_first() {
        let mut balancer = Balancer::new(Policy::LeastConnections);
        let mut loads = [1000, 0, 1000];
        for _ in 0..999 {
            loads[choose(&mut balancer, &loads.map(with_sessions))] += 1;
        }
        assert_eq!(loads, [1000, 999, 1000]);
    }

    #[test]
    fn weights_divide_sessions() {
        for policy in [Policy::LeastConnections, Policy::RoundRobin] {
            let mut balancer = Balancer::new(policy);
            let mut servers = [1000, 2000, 3000].map(|weight| Candidate { weight, ..PLAIN });
            for _ in 0..600 {
                servers[choose(&mut balancer, &servers)].sessions += 1;
            }
            assert_eq!(servers.map(|s| s.sessions), [100, 200, 300], "{policy:?}");
        }
    }

    #[test]
    fn tiers_come_before_load() {
        let backup = Candidate {
            backup: true,
            ..PLAIN
        };
        let suspect = Candidate {
            suspect: true,
            ..PLAIN
        };
        let busy = with_sessions(900);
        let down = Candidate {
            usable: false,
            ..PLAIN
        };
        let mut balancer = Balancer::new(Policy::LeastConnections);
        assert_eq!(choose(&mut balancer, &[backup, suspect, busy]), 2);
        assert_eq!(choose(&mut balancer, &[backup, suspect, down]), 1);
        assert_eq!(choose(&mut balancer, &[backup, down, down]), 0);
        let local = Candidate {
            preferred: true,
            ..busy
        };
        assert_eq!(choose(&mut balancer, &[PLAIN, local, PLAIN]), 1);
        assert_eq!(balancer.choose(1, SOURCE, |_| down), None);
    }

    #[test]
    fn a_source_keeps_its_server_and_moves_only_when_it_leaves() {
        let mut balancer = Balancer::new(Policy::SourceHash);
        let mut servers = [1, 2, 3].map(|identity| Candidate { identity, ..PLAIN });
        let sources: Vec<IpAddr> = (0..3000_u32)
            .map(|i| std::net::Ipv4Addr::from(0x0a00_0000 + i).into())
            .collect();
        let mut map = |servers: &[Candidate; 3]| -> Vec<usize> {
            sources
                .iter()
                .filter_map(|source| balancer.choose(3, *source, |i| servers[i]))
                .collect()
        };
        let before = map(&servers);
        assert_eq!(before, map(&servers));
        for server in 0..3 {
            let share = before.iter().filter(|s| **s == server).count();
            assert!(
                (900..1100).contains(&share),
                "server {server} got {share} of 3000"
            );
        }
        servers[1].usable = false;
        for (was, is) in before.iter().zip(map(&servers)) {
            assert!(is != 1 && (*was == 1 || *was == is));
        }
    }

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const PLAIN: Candidate = Candidate {
        usable: true,
        suspect: false,
        backup: false,
        preferred: false,
        sessions: 0,
        weight: 1000,
        identity: 0,
    };

    fn with_sessions(sessions: u32) -> Candidate {
        Candidate { sessions, ..PLAIN }
    }

    fn choose(balancer: &mut Balancer, servers: &[Candidate]) -> usize {
        balancer
            .choose(servers.len(), SOURCE, |i| servers[i])
            .unwrap()
    }
}
