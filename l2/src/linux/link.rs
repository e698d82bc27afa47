//! Links and their addresses, as they are and as they change.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

use super::address::{Found, Held, found_in};
use super::netlink::Requests;
use crate::wire::MacAddr;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address; absent on links without one.
    pub mac: Option<MacAddr>,
    /// Switched on, with a carrier.
    pub up: bool,
    /// Its own master (bridge, bond), by index.
    pub master: Option<u32>,
    /// Its addresses.
    pub addresses: Vec<Found>,
}

/// A change that somebody may have to react to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A link appeared, disappeared, or changed its state, name or hardware address.
    Link(u32),
    /// An address appeared.
    Added(Held),
    /// An address disappeared.
    Removed(Held),
}

/// All interfaces, kept up to date from notifications.
#[derive(Debug, Default)]
pub struct Links {
    known: BTreeMap<u32, Interface>,
}

impl Links {
    /// Asks the kernel for all of them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read() -> io::Result<Self> {
        let mut requests = Requests::open()?;
        let mut links = Self::default();
        let questions = [
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
        ];
        for question in questions {
            for message in requests.dump(question)? {
                links.apply(&message);
            }
        }
        Ok(links)
    }

    /// Takes a notification and says what it changed.
    pub fn apply(&mut self, message: &RouteNetlinkMessage) -> Option<Change> {
        match message {
            RouteNetlinkMessage::NewLink(message) => {
                let fresh = interface(message, self.known.get(&message.header.index))?;
                let index = fresh.index;
                let old = self.known.insert(index, fresh);
                (old.as_ref() != self.known.get(&index)).then_some(Change::Link(index))
            }
            RouteNetlinkMessage::DelLink(message) => {
                self.known.remove(&message.header.index)?;
                Some(Change::Link(message.header.index))
            }
            RouteNetlinkMessage::NewAddress(message) => {
                let found = found_in(message)?;
                let interface = self.known.get_mut(&found.held.index)?;
                let held = found.held;
                let same =
                    |known: &Found| known.held == held && known.prefix_len == found.prefix_len;
                match interface.addresses.iter_mut().find(|known| same(known)) {
                    Some(known) => {
                        // It can be used from now on, or no longer: as news as a new one.
                        let changed = known.tentative != found.tentative;
                        *known = found;
                        changed.then_some(Change::Added(held))
                    }
                    None => {
                        interface.addresses.push(found);
                        Some(Change::Added(held))
                    }
                }
            }
            RouteNetlinkMessage::DelAddress(message) => {
                let found = found_in(message)?;
                let interface = self.known.get_mut(&found.held.index)?;
                interface.addresses.retain(|known| {
                    known.held != found.held || known.prefix_len != found.prefix_len
                });
                Some(Change::Removed(found.held))
            }
            _ => None,
        }
    }

    /// All interfaces, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.known.values()
    }

    /// Asks the kernel again, after notifications were lost: the addresses that interfaces have no longer.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_again(&mut self) -> io::Result<Vec<Held>> {
        let before = std::mem::replace(self, Self::read()?);
        Ok(self.removed_since(&before))
    }

    fn removed_since(&self, before: &Self) -> Vec<Held> {
        let has = |held: &Held| {
            let interface = self.known.get(&held.index);
            interface.is_some_and(|interface| interface.holds(held.address))
        };
        let addresses = before.iter().flat_map(|interface| &interface.addresses);
        let held = addresses.map(|found| found.held);
        held.filter(|held| !has(held)).collect()
    }

    /// One interface.
    pub fn by_index(&self, index: u32) -> Option<&Interface> {
        self.known.get(&index)
    }

    /// One interface.
    pub fn by_name(&self, name: &str) -> Option<&Interface> {
        self.known.values().find(|interface| interface.name == name)
    }

    /// The interface that holds an address.
    pub fn holding(&self, address: IpAddr) -> Option<&Interface> {
        self.known
            .values()
            .find(|interface| interface.holds(address))
    }
}

impl Interface {
    /// Whether it has this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses
            .iter()
            .any(|found| found.held.address == address)
    }

    /// Its IPv6 link-local address, unless it is still being checked for duplicates.
    pub fn link_local(&self) -> Option<IpAddr> {
        self.addresses
            .iter()
            .filter(|found| !found.tentative && !found.is_finite())
            .map(|found| found.held.address)
            .find(|address| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
    }
}

fn interface(message: &LinkMessage, before: Option<&Interface>) -> Option<Interface> {
    let (mut name, mut mac, mut master) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Address(bytes) => {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr::new);
            }
            LinkAttribute::Controller(index) => master = Some(*index),
            _ => {}
        }
    }
    let flags = message.header.flags;
    Some(Interface {
        index: message.header.index,
        // Notifications of a bridge's port leave it out.
        name: name.or_else(|| before.map(|before| before.name.clone()))?,
        mac: mac.or_else(|| before.and_then(|before| before.mac)),
        up: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::Running),
        master,
        addresses: before
            .map(|before| before.addresses.clone())
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(addresses: &[(u32, [u8; 4])]) -> Links {
        let mut links = Links::default();
        for (index, address) in addresses {
            let known = links.known.entry(*index).or_insert_with(|| Interface {
                index: *index,
                name: format!("eth{index}"),
                mac: None,
                up: true,
                master: None,
                addresses: Vec::new(),
            });
            known.addresses.push(Found {
                held: held(*index, *address),
                prefix_len: 32,
                mark: None,
                label: None,
                tentative: false,
                valid: None,
            });
        }
        links
    }

    fn held(index: u32, address: [u8; 4]) -> Held {
        let address = address.into();
        Held { index, address }
    }

    #[test]
    fn addresses_that_are_gone_are_told_by_interface() {
        let [one, two, three] = [1, 2, 3].map(|last| [10, 0, 0, last]);
        let before = links(&[(1, one), (1, two), (2, one), (3, three)]);
        let after = links(&[(1, one), (1, three), (2, two)]);
        let removed = [held(1, two), held(2, one), held(3, three)];
        assert_eq!(after.removed_since(&before), removed);
        assert_eq!(before.removed_since(&before), []);
    }
}
