//! What the kernel knows of its neighbours.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Requests;
use crate::wire::MacAddr;

/// One neighbour of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface.
    pub index: u32,
    /// Its address.
    pub address: IpAddr,
    /// The kernel has a hardware address for it, so that packets go out at once.
    pub resolved: bool,
    /// That hardware address, on Ethernet.
    pub mac: Option<MacAddr>,
}

/// The neighbours to whom packets go out at once, kept up to date from notifications.
#[derive(Debug, Default)]
pub struct Neighbours {
    resolved: BTreeMap<(u32, IpAddr), Option<MacAddr>>,
}

impl Neighbours {
    /// Asks the kernel for all of them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read() -> io::Result<Self> {
        let mut neighbours = Self::default();
        let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        for message in Requests::open()?.dump(question)? {
            neighbours.apply(&message);
        }
        Ok(neighbours)
    }

    /// Takes a notification and says whose state it changed.
    pub fn apply(&mut self, message: &RouteNetlinkMessage) -> Option<Neighbour> {
        let neighbour = neighbour_in(message)?;
        let key = (neighbour.index, neighbour.address);
        let changed = if neighbour.resolved {
            self.resolved.insert(key, neighbour.mac).is_none()
        } else {
            self.resolved.remove(&key).is_some()
        };
        changed.then_some(neighbour)
    }

    /// Whether the kernel has a hardware address for a neighbour.
    pub fn is_resolved(&self, index: u32, address: IpAddr) -> bool {
        self.resolved.contains_key(&(index, address))
    }

    /// The hardware address of a neighbour to whom packets go out at once.
    pub fn mac(&self, index: u32, address: IpAddr) -> Option<MacAddr> {
        *self.resolved.get(&(index, address))?
    }
}

/// What a message of the kernel says about a neighbour; an entry that was forgotten resolves nothing.
fn neighbour_in(message: &RouteNetlinkMessage) -> Option<Neighbour> {
    let (message, exists) = match message {
        RouteNetlinkMessage::NewNeighbour(message) => (message, true),
        RouteNetlinkMessage::DelNeighbour(message) => (message, false),
        _ => return None,
    };
    // Bridges tell of their stations in the same messages.
    if !matches!(
        message.header.family,
        AddressFamily::Inet | AddressFamily::Inet6
    ) {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| {
        let NeighbourAttribute::Destination(address) = attribute else {
            return None;
        };
        match address {
            NeighbourAddress::Inet(v4) => Some(IpAddr::from(*v4)),
            NeighbourAddress::Inet6(v6) => Some(IpAddr::from(*v6)),
            _ => None,
        }
    })?;
    let resolved = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Noarp
            | NeighbourState::Permanent
    );
    Some(Neighbour {
        index: message.header.ifindex,
        address,
        resolved: exists && resolved,
        mac: message.attributes.iter().find_map(mac_in),
    })
}

fn mac_in(attribute: &NeighbourAttribute) -> Option<MacAddr> {
    let NeighbourAttribute::LinkLayerAddress(bytes) = attribute else {
        return None;
    };
    let octets: [u8; 6] = bytes.as_slice().try_into().ok()?;
    Some(MacAddr::new(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(state: NeighbourState, family: AddressFamily) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        message.header.ifindex = 7;
        message.header.state = state;
        let address = NeighbourAddress::Inet([192, 0, 2, 9].into());
        message.attributes = vec![NeighbourAttribute::Destination(address)];
        message
    }

    fn told(state: NeighbourState) -> RouteNetlinkMessage {
        RouteNetlinkMessage::NewNeighbour(message(state, AddressFamily::Inet))
    }

    #[test]
    fn only_changes_between_known_and_unknown_are_told() {
        let mut neighbours = Neighbours::default();
        let address = IpAddr::from([192, 0, 2, 9]);
        let neighbour = |resolved| {
            Some(Neighbour {
                index: 7,
                address,
                resolved,
                mac: None,
            })
        };
        assert_eq!(neighbours.apply(&told(NeighbourState::Incomplete)), None);
        assert_eq!(
            neighbours.apply(&told(NeighbourState::Reachable)),
            neighbour(true)
        );
        for state in [
            NeighbourState::Stale,
            NeighbourState::Delay,
            NeighbourState::Probe,
        ] {
            assert_eq!(neighbours.apply(&told(state)), None, "{state}");
            assert!(neighbours.is_resolved(7, address));
        }
        assert_eq!(
            neighbours.apply(&told(NeighbourState::Failed)),
            neighbour(false)
        );
        assert!(!neighbours.is_resolved(7, address));
    }

    #[test]
    fn the_hardware_address_of_a_reachable_neighbour_is_known() {
        let mut neighbours = Neighbours::default();
        let address = IpAddr::from([192, 0, 2, 9]);
        let mut known = message(NeighbourState::Stale, AddressFamily::Inet);
        let octets = [2, 0, 0, 0, 0, 9];
        let attribute = NeighbourAttribute::LinkLayerAddress(octets.to_vec());
        known.attributes.push(attribute);
        neighbours.apply(&RouteNetlinkMessage::NewNeighbour(known));
        assert_eq!(neighbours.mac(7, address), Some(MacAddr::new(octets)));
        neighbours.apply(&told(NeighbourState::Failed));
        assert_eq!(neighbours.mac(7, address), None);
    }

    #[test]
    fn a_forgotten_neighbour_is_unknown() {
        let mut neighbours = Neighbours::default();
        neighbours.apply(&told(NeighbourState::Stale));
        let gone = message(NeighbourState::Stale, AddressFamily::Inet);
        let change = neighbours.apply(&RouteNetlinkMessage::DelNeighbour(gone));
        assert!(change.is_some_and(|neighbour| !neighbour.resolved));
    }

    #[test]
    fn stations_of_a_bridge_are_no_neighbours() {
        let station = message(NeighbourState::Permanent, AddressFamily::Bridge);
        let change = Neighbours::default().apply(&RouteNetlinkMessage::NewNeighbour(station));
        assert_eq!(change, None);
    }
}
