//! The host's part in planned moves: the predecessor keeps its addresses silently, the successor passes on what
//! belongs to connections that live there (`l2::linux::handover`).
//!
//! Whatever is told to the kernel here ends by itself after the grace, so a process that stops or dies in between
//! leaves nothing that has an effect. What fails is logged, and the move goes on without it.
//!
//! A node has either side of it, never both, whatever the time between two moves. Two nodes A and B, A Active first:
//!
//! | move | A does | A has | B does | B has |
//! |---|---|---|---|---|
//! | A to B | [`HandOver::linger`] | silence, address on `lo` | [`HandOver::pass_on`] to A, [`HandOver::own`] | passing on to A |
//! | B to A | `pass_on` to B, `own`: ends lingering | passing on to B | `linger`: ends passing on | silence, address on `lo` |
//! | A to B | `linger`: ends passing on | silence, address on `lo` | `pass_on` to A, `own`: ends lingering | passing on to A |
//! | A fails | [`HandOver::end`] | nothing | | |
//!
//! So a segment is passed on once: among nodes that passed on and were passed on to it could go round.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use l2::linux::address::{Addresses, Held, LOOPBACK};
use l2::linux::handover::{Handover, Own, PassOn, Silence};
use l2::linux::link::Links;
use l2::linux::neighbour::Neighbours;
use l2::linux::nftables::Family;

use crate::clock::now;
use crate::config::{GroupPlan, RouterPlan};
use crate::orphans::Orphans;
use crate::place::home;
use crate::proto::Moment;
use crate::proto::packet::is_link_local;

/// Begins the names of our tables in the packet filter.
const TABLES: &str = "lbnode-vrrp-";
/// The predecessor stays for longer than it is needed: the kernel counts its seconds in whole ones.
const MARGIN: Duration = Duration::from_secs(1);
/// And is silent for longer than that: the kernel is late with addresses that are over.
const SILENT_LONGER: Duration = Duration::from_secs(5);
/// How long the second place may need to come into force. The first one still answers for it, so not for long.
const SECOND_PLACE: Duration = Duration::from_millis(100);
/// No grace is longer: clients of a predecessor that dies meanwhile would wait for so long.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// Whether this kernel can do what a planned move without lost connections needs, for these groups.
///
/// # Errors
/// The kernel's.
pub(crate) fn supported(groups: &[GroupPlan]) -> io::Result<()> {
    let mut kernel = Handover::open()?;
    let name = format!("{TABLES}probe");
    let routers = groups.iter().flat_map(|group| &group.routers);
    let families: BTreeSet<bool> = routers.map(|router| router.source.is_ipv4()).collect();
    for is_ipv4 in families {
        let some: IpAddr = if is_ipv4 {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        };
        kernel.probe(&name, some, Own::Begun)?;
    }
    Ok(())
}

/// What goes on in the kernel because of planned moves.
#[derive(Debug)]
pub(crate) struct HandOver {
    kernel: Option<Handover>,
    orphans: Orphans,
    /// Addresses that are on the loopback interface for a while, and when their grace is over.
    lingering: BTreeMap<IpAddr, Moment>,
    /// Tables, and when they have no effect any more.
    tables: BTreeMap<(String, Family), Moment>,
}

impl HandOver {
    /// Removes what an earlier process left behind, except those of the `configured` addresses that linger still.
    pub(crate) fn open(
        addresses: &mut Addresses,
        configured: &BTreeSet<IpAddr>,
    ) -> io::Result<Self> {
        // Kernels before 5.18 keep no marks: whatever of them goes by itself there is ours.
        let found = addresses.list()?.into_iter();
        let lingering: BTreeMap<IpAddr, Moment> = found
            .filter(|found| found.held.index == LOOPBACK)
            .filter(|found| configured.contains(&found.held.address))
            .filter_map(|found| Some((found.held.address, over(found.valid?))))
            .collect();
        let mut hand_over = Self {
            kernel: Handover::open().ok(),
            orphans: Orphans::open(),
            lingering,
            tables: BTreeMap::new(),
        };
        let kernel = hand_over.kernel.as_mut();
        // A kernel without any of it has no such tables either.
        let left = kernel.and_then(|kernel| kernel.tables(TABLES).ok());
        for table in left.into_iter().flatten() {
            if table.1 == Family::Arp && !hand_over.lingering.is_empty() {
                let over = now().after(LONGEST + SILENT_LONGER);
                hand_over.tables.insert(table, over);
            } else {
                hand_over.remove(table);
            }
        }
        Ok(hand_over)
    }

    /// When [`Self::tidy`] has something to do.
    pub(crate) fn due(&self) -> Option<Duration> {
        let first = self.tables.values().chain(self.lingering.values()).min();
        first.map(|at| Duration::from_nanos(at.as_nanos()))
    }

    /// Removes addresses whose grace is over, and tables without effect.
    pub(crate) fn tidy(&mut self, addresses: &mut Addresses) {
        let now = now();
        let over = |(address, at): (&IpAddr, &Moment)| (*at <= now).then_some(*address);
        let over: Vec<_> = self.lingering.iter().filter_map(over).collect();
        for address in over {
            // A reset can only be sent from an address that is here.
            self.orphans.end_with_others(address);
            self.stop_lingering(address, addresses);
        }
        let over = |(table, at): (&(String, Family), &Moment)| (*at <= now).then(|| table.clone());
        let over: Vec<_> = self.tables.iter().filter_map(over).collect();
        for table in over {
            self.remove(table);
        }
    }

    /// An address is not on this node any more.
    pub(crate) fn left(&mut self, address: IpAddr) {
        self.orphans.end_with_itself(address);
    }

    /// As a successor: what belongs to connections of `to` goes there.
    pub(crate) fn pass_on(
        &mut self,
        plan: &GroupPlan,
        member: usize,
        to: IpAddr,
        links: &Links,
        neighbours: &Neighbours,
    ) {
        let Some(router) = plan.routers.get(member) else {
            return;
        };
        let (Some(interface), Some(kernel)) = (home(router, links), &mut self.kernel) else {
            return;
        };
        let grace = plan.settings.hand_over_grace;
        let what = PassOn {
            interface: interface.index,
            addresses: reachable(router).collect(),
            predecessor: to,
            predecessor_macs: neighbours.mac(interface.index, to).into_iter().collect(),
            own: Own::Begun,
            grace,
        };
        let name = table(interface.index, router);
        match kernel.pass_on(&name, &what) {
            Ok(()) => {
                tracing::info!(group = plan.settings.name, predecessor = %to, grace_millis = grace.as_millis(), "connections of the predecessor go on there");
                let family = Family::of(to);
                self.tables.insert((name, family), now().after(grace));
            }
            Err(error) => {
                tracing::warn!(%error, predecessor = %to, "connections of the predecessor cannot be passed on to it: they are reset");
            }
        }
    }

    /// As a predecessor: the addresses stay on the loopback interface, silently.
    pub(crate) fn linger(&mut self, plan: &GroupPlan, links: &Links, addresses: &mut Addresses) {
        let grace = plan.settings.hand_over_grace;
        let lifetime = grace + MARGIN;
        let mut lingering = Vec::new();
        for router in &plan.routers {
            let Some(interface) = home(router, links) else {
                continue;
            };
            // First silence, then the second place: at no time is there an answer too many.
            let name = table(interface.index, router);
            self.stop_passing_on(&name, router);
            if let Err(error) = self.silence(name, router, lifetime + SILENT_LONGER) {
                tracing::warn!(%error, "the address cannot be kept silently: connections that live here end");
                continue;
            }
            for address in reachable(router) {
                match addresses.linger(address, lifetime) {
                    Ok(()) => {
                        tracing::info!(%address, grace_millis = grace.as_millis(), "the address stays silently for the connections that live here");
                        self.lingering.insert(address, now().after(grace));
                        lingering.push(Held {
                            index: LOOPBACK,
                            address,
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%address, %error, "the address cannot be kept: connections that live here end");
                    }
                }
            }
        }
        // Before they leave their first places, so that they are not nowhere meanwhile.
        if !matches!(addresses.settle(&lingering, SECOND_PLACE), Ok(true)) {
            tracing::warn!(
                "the kernel does not say that packets to the lingering addresses are this node's: connections that live here may end"
            );
        }
    }

    fn silence(&mut self, name: String, router: &RouterPlan, grace: Duration) -> io::Result<()> {
        // IPv6 neither asks nor answers on an interface with an address that is on another one.
        let IpAddr::V4(own) = router.source else {
            return Ok(());
        };
        let v4 = |address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let what = Silence {
            addresses: reachable(router).filter_map(v4).collect(),
            own,
            grace,
        };
        let kernel = self.kernel.as_mut();
        let kernel = kernel.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        kernel.silence(&name, &what)?;
        self.tables.insert((name, Family::Arp), now().after(grace));
        Ok(())
    }

    /// The addresses are on their interface (again): they are answered for.
    pub(crate) fn own(&mut self, plan: &GroupPlan, links: &Links, addresses: &mut Addresses) {
        for router in &plan.routers {
            let again: Vec<_> = reachable(router)
                .filter(|address| self.lingering.contains_key(address))
                .collect();
            if let Some(interface) = home(router, links) {
                let silence = (table(interface.index, router), Family::Arp);
                // Also where the address did not get its second place.
                if self.tables.contains_key(&silence) {
                    self.remove(silence);
                }
            }
            for address in again {
                self.stop_lingering(address, addresses);
            }
        }
    }

    /// Nothing of it goes on for this group.
    pub(crate) fn end(&mut self, plan: &GroupPlan, links: &Links, addresses: &mut Addresses) {
        self.own(plan, links, addresses);
        for router in &plan.routers {
            let Some(interface) = home(router, links) else {
                continue;
            };
            self.stop_passing_on(&table(interface.index, router), router);
        }
    }

    fn stop_passing_on(&mut self, name: &str, router: &RouterPlan) {
        let table = (name.to_owned(), Family::of(router.source));
        if self.tables.contains_key(&table) {
            self.remove(table);
        }
    }

    fn stop_lingering(&mut self, address: IpAddr, addresses: &mut Addresses) {
        let held = Held {
            index: LOOPBACK,
            address,
        };
        // Also when it stays: its connections are not ended when the grace is over if it is this node's again by then.
        self.lingering.remove(&address);
        if let Err(error) = addresses.release(held) {
            tracing::warn!(%address, %error, "cannot take the address off the loopback interface; it goes by itself");
        }
    }

    fn remove(&mut self, table: (String, Family)) {
        if let Some(kernel) = &mut self.kernel
            && let Err(error) = kernel.remove(&table.0, table.1)
        {
            tracing::warn!(table = table.0, %error, "cannot remove a table of the packet filter; it has no effect after the grace");
        }
        self.tables.remove(&table);
    }
}

/// When the grace of an address ends that the kernel keeps for so long still.
fn over(valid: Duration) -> Moment {
    now().after(valid.saturating_sub(MARGIN))
}

/// The name of a router's tables.
fn table(interface: u32, router: &RouterPlan) -> String {
    format!("{TABLES}{interface}-{}", router.vrid)
}

/// Addresses that clients have connections to.
fn reachable(router: &RouterPlan) -> impl Iterator<Item = IpAddr> + '_ {
    let addresses = router.addresses.iter().copied();
    addresses.filter(|address| !is_link_local(*address))
}
