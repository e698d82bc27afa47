//! Sockets on one interface that hear what concerns the addresses this node has there, and nothing else: frames of
//! others are dropped by the kernel.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv6Addr, UdpSocket},
    os::fd::{AsFd as _, BorrowedFd},
};

use l2::{
    linux::{
        filter::{Field, Filter},
        packet::PacketSocket,
    },
    wire::{EtherType, MacAddr},
};

use crate::core::responder;

/// Addresses a filter can tell apart; with more, every frame of the kind is looked at.
const MOST: usize = 1500;

const ARP: u32 = 0x0806;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const ICMPV6: u32 = 58;

/// What a socket listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ArpRequest,
    ArpClaim,
    EchoV4,
    Solicitation,
    Advertisement,
    EchoV6,
}

const KINDS: [Kind; 6] = [
    Kind::ArpRequest,
    Kind::ArpClaim,
    Kind::EchoV4,
    Kind::Solicitation,
    Kind::Advertisement,
    Kind::EchoV6,
];

/// The sockets of one interface.
#[derive(Debug)]
pub struct Ears {
    index: u32,
    pub(super) mac: MacAddr,
    sockets: Vec<PacketSocket>,
    /// Joins the groups that solicitations are sent to.
    groups: Option<UdpSocket>,
    joined: BTreeSet<Ipv6Addr>,
    addresses: BTreeSet<IpAddr>,
    /// Filters and groups are those of the addresses.
    attuned: bool,
}

impl Ears {
    /// Opens them, deaf at first.
    ///
    /// # Errors
    /// The kernel's: missing CAP_NET_RAW, no such interface.
    pub fn open(index: u32, mac: MacAddr) -> io::Result<Self> {
        let open = |kind: &Kind| PacketSocket::open(index, kind.ether_type(), &Filter::nothing());
        Ok(Self {
            index,
            mac,
            sockets: KINDS.iter().map(open).collect::<io::Result<_>>()?,
            groups: None,
            joined: BTreeSet::new(),
            addresses: BTreeSet::new(),
            attuned: true,
        })
    }

    /// Listens for what concerns `addresses`; once more when it is called again after an error.
    ///
    /// # Errors
    /// The kernel's, when a filter is refused or a group cannot be joined.
    pub fn attune(&mut self, addresses: BTreeSet<IpAddr>) -> io::Result<()> {
        if self.attuned && self.addresses == addresses {
            return Ok(());
        }
        self.attuned = false;
        for (kind, socket) in KINDS.iter().zip(&self.sockets) {
            if let Err(error) = socket.refilter(&kind.filter(&addresses)) {
                // Filters are charged to a memory that older kernels keep small (`net.core.optmem_max`).
                tracing::debug!(%error, "no filter by address: looks at every frame of the kind");
                socket.refilter(&kind.of_all().0.keep())?;
            }
        }
        self.addresses = addresses;
        self.join()?;
        self.attuned = true;
        Ok(())
    }

    /// Joins as many groups as can be joined.
    fn join(&mut self) -> io::Result<()> {
        let wanted: BTreeSet<Ipv6Addr> = self
            .addresses
            .iter()
            .filter_map(|address| match address {
                IpAddr::V6(v6) => Some(responder::group(*v6)),
                IpAddr::V4(_) => None,
            })
            .collect();
        if self.groups.is_none() && !wanted.is_empty() {
            self.groups = Some(UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?);
        }
        // A host without IPv6 needs none.
        let Some(socket) = &self.groups else {
            return Ok(());
        };
        let mut joined = Ok(());
        for group in self.joined.difference(&wanted) {
            // It may be gone with its interface.
            let _ = socket.leave_multicast_v6(group, self.index);
        }
        self.joined.retain(|group| wanted.contains(group));
        for group in wanted {
            if self.joined.contains(&group) {
                continue;
            }
            match socket.join_multicast_v6(&group, self.index) {
                Ok(()) => drop(self.joined.insert(group)),
                Err(error) => joined = Err(error),
            }
        }
        joined
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.sockets.len()).unwrap_or(0)
    }

    /// What to wait for, by place.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|socket| socket.as_fd())
    }

    /// The next frame that socket `place` has heard.
    ///
    /// # Errors
    /// The kernel's: the interface went down.
    pub fn receive(&mut self, place: usize) -> io::Result<Option<&[u8]>> {
        match self.sockets.get_mut(place) {
            Some(socket) => socket.receive(),
            None => Ok(None),
        }
    }

    /// Sends a frame; never blocks.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.sockets
            .first()
            .map_or(Ok(()), |socket| socket.send(frame))
    }
}

impl Kind {
    const fn ether_type(self) -> EtherType {
        match self {
            Self::ArpRequest | Self::ArpClaim => EtherType::Arp,
            Self::EchoV4 => EtherType::Ipv4,
            Self::Solicitation | Self::Advertisement | Self::EchoV6 => EtherType::Ipv6,
        }
    }

    fn filter(self, addresses: &BTreeSet<IpAddr>) -> Filter {
        let v4 = addresses.iter().filter_map(|address| match address {
            IpAddr::V4(v4) => Some(v4.to_bits()),
            IpAddr::V6(_) => None,
        });
        // The last word; whoever reads the frame compares the rest.
        let v6 = addresses.iter().filter_map(|address| match address {
            IpAddr::V6(v6) => Some(u32::try_from(v6.to_bits() & 0xffff_ffff).unwrap_or(0)),
            IpAddr::V4(_) => None,
        });
        let mut words: Vec<u32> = match self.ether_type() {
            EtherType::Ipv6 => v6.collect(),
            EtherType::Arp | EtherType::Ipv4 => v4.collect(),
        };
        words.sort_unstable();
        words.dedup();
        if words.is_empty() {
            return Filter::nothing();
        }
        let (kind, place) = self.of_all();
        if words.len() > MOST {
            return kind.keep();
        }
        kind.one_of(Field::Word(place), &words).keep()
    }

    /// Frames of the kind, whoever they concern, and where in them the address's last word is.
    fn of_all(self) -> (Filter, u32) {
        let kind = Filter::default();
        let icmpv6 = |of: u32| {
            Filter::default()
                .one_of(Field::Half(12), &[IPV6])
                .one_of(Field::Byte(20), &[ICMPV6])
                .one_of(Field::Byte(54), &[of])
        };
        match self {
            Self::ArpRequest => (
                kind.one_of(Field::Half(12), &[ARP])
                    .one_of(Field::Half(20), &[1]),
                38,
            ),
            Self::ArpClaim => (kind.one_of(Field::Half(12), &[ARP]), 28),
            Self::EchoV4 => {
                let kind = kind
                    .one_of(Field::Half(12), &[IPV4])
                    .one_of(Field::Byte(23), &[1]);
                (kind.one_of(Field::Byte(34), &[8]), 30)
            }
            Self::Solicitation => (icmpv6(135), 74),
            Self::Advertisement => (icmpv6(136), 74),
            Self::EchoV6 => (icmpv6(128), 50),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_stay_within_what_the_kernel_takes() {
        let many = |count: u32| {
            (1..=count)
                .map(|bits| IpAddr::from(bits.to_be_bytes()))
                .collect()
        };
        for count in [0, 1, 1500, 1501, 20_000] {
            for kind in KINDS {
                let length = kind.filter(&many(count)).len();
                assert!(length <= 4096, "{kind:?}: {length}");
            }
        }
    }
}
