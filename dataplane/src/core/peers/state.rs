//! What a speaker tells the others about itself.

use std::{collections::BTreeMap, net::IpAddr};

use super::bytes::{Reader, put_address, put_text};
use crate::core::{family::Family, segment::Interface};

/// Where a speaker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It takes nothing yet: it has not heard the others, or does not know the Services.
    Listening,
    /// It has heard everybody it knows of and will serve as soon as they have, too: nodes that start together
    /// share from the beginning.
    Acquainted,
    /// It takes what falls to it.
    Serving,
    /// It hands over what it has and takes only what nobody else can.
    Leaving,
}

/// How well a node can serve an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fitness {
    /// Not at all.
    Unfit,
    /// For the moment, until somebody better takes over.
    Stopgap,
    /// Well.
    Fit,
}

/// A speaker's hold on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Grows with every change of hands; of two claims the higher one wins.
    pub term: u64,
    /// What the holder thinks of itself: others take over only what is not held by a fit one.
    pub fitness: Fitness,
}

/// What a speaker tells the others about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// Where it is in its life.
    pub phase: Phase,
    /// Interfaces on which it could serve addresses.
    pub interfaces: Vec<Interface>,
    /// Addresses it has.
    pub claims: BTreeMap<IpAddr, Claim>,
}

impl Default for NodeState {
    fn default() -> Self {
        Self {
            phase: Phase::Listening,
            interfaces: Vec::new(),
            claims: BTreeMap::new(),
        }
    }
}

const V6: u8 = 1;
const FITNESS_SHIFT: u8 = 1;
/// No node has more interfaces with addresses of their own than this.
const MAX_INTERFACES: usize = 255;

impl NodeState {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.claims.len() * 13);
        bytes.push(match self.phase {
            Phase::Listening => 0,
            Phase::Acquainted => 1,
            Phase::Serving => 2,
            Phase::Leaving => 3,
        });
        let interfaces = &self.interfaces[..self.interfaces.len().min(MAX_INTERFACES)];
        bytes.push(u8::try_from(interfaces.len()).unwrap_or(u8::MAX));
        for interface in interfaces {
            put_text(&mut bytes, &interface.name);
            bytes.extend_from_slice(&interface.mac);
            bytes.push(u8::from(interface.up));
            let networks = &interface.networks[..interface.networks.len().min(MAX_INTERFACES)];
            bytes.push(u8::try_from(networks.len()).unwrap_or(u8::MAX));
            for (network, prefix) in networks {
                bytes.push(u8::from(network.is_ipv6()));
                bytes.push(*prefix);
                put_address(&mut bytes, *network);
            }
        }
        let count = u32::try_from(self.claims.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_be_bytes());
        for (address, claim) in &self.claims {
            let fitness = match claim.fitness {
                Fitness::Unfit => 0,
                Fitness::Stopgap => 1,
                Fitness::Fit => 2,
            };
            let v6 = if address.is_ipv6() { V6 } else { 0 };
            bytes.push(fitness << FITNESS_SHIFT | v6);
            bytes.extend_from_slice(&claim.term.to_be_bytes());
            put_address(&mut bytes, *address);
        }
        bytes
    }

    /// Reads the bytes of a whole state; `None` when they are not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let phase = match reader.u8()? {
            0 => Phase::Listening,
            1 => Phase::Acquainted,
            2 => Phase::Serving,
            3 => Phase::Leaving,
            _ => return None,
        };
        let mut interfaces = Vec::new();
        for _ in 0..reader.u8()? {
            interfaces.push(decode_interface(&mut reader)?);
        }
        let mut claims = BTreeMap::new();
        for _ in 0..reader.u32()? {
            let flags = reader.u8()?;
            let fitness = match flags >> FITNESS_SHIFT {
                0 => Fitness::Unfit,
                1 => Fitness::Stopgap,
                2 => Fitness::Fit,
                _ => return None,
            };
            let term = reader.u64()?;
            claims.insert(reader.address(flags & V6 != 0)?, Claim { term, fitness });
        }
        reader.0.is_empty().then_some(Self {
            phase,
            interfaces,
            claims,
        })
    }
}

fn decode_interface(reader: &mut Reader<'_>) -> Option<Interface> {
    let name = reader.text()?.to_owned();
    let mac = reader.octets()?;
    let up = reader.u8()? != 0;
    let mut networks = Vec::new();
    for _ in 0..reader.u8()? {
        let v6 = reader.u8()? != 0;
        let prefix = reader.u8()?;
        let network = reader.address(v6)?;
        if prefix > Family::of(network).bits() {
            return None;
        }
        networks.push((network, prefix));
    }
    Some(Interface {
        index: 0,
        name,
        mac,
        up,
        networks,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> NodeState {
        let claim = |term, fitness| Claim { term, fitness };
        NodeState {
            phase: Phase::Serving,
            interfaces: vec![Interface {
                index: 0,
                name: "bond0.1".to_owned(),
                mac: [2, 0, 0, 0, 0, 1],
                up: true,
                networks: vec![
                    ("10.0.0.0".parse().unwrap(), 24),
                    ("fd00::".parse().unwrap(), 64),
                ],
            }],
            claims: BTreeMap::from([
                ("10.0.0.1".parse().unwrap(), claim(7, Fitness::Fit)),
                ("fd00::1".parse().unwrap(), claim(u64::MAX, Fitness::Unfit)),
            ]),
        }
    }

    #[test]
    fn a_state_survives_the_wire_and_no_part_of_it_does() {
        let bytes = sample().encode();
        assert_eq!(NodeState::decode(&bytes), Some(sample()));
        for length in 0..bytes.len() {
            assert_eq!(NodeState::decode(&bytes[..length]), None, "{length}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(NodeState::decode(&longer), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = NodeState::decode(&bytes);
        }
    }
}
