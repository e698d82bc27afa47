//! Who is on the lab's segment `10.10.0.0/24`, and with which address.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use anyhow::{Result, anyhow};

/// The virtual IP that the lab's clusters use for their API server.
pub const API_VIP: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 100);

/// The router's address on the machines' segment: everybody's default gateway.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 1);

/// The client behind the router, outside the machines' network.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 2);

/// The router's address on the outside network.
pub(crate) const OUTSIDE_GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);

/// What a machine is meant for; it only decides about name and address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Purpose {
    ControlPlane,
    LoadBalancer,
    Worker,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::ControlPlane, Self::LoadBalancer, Self::Worker];

    const fn stem(self) -> &'static str {
        match self {
            Self::ControlPlane => "cp",
            Self::LoadBalancer => "lb",
            Self::Worker => "w",
        }
    }

    const fn first_host_part(self) -> u8 {
        match self {
            Self::ControlPlane => 10,
            Self::LoadBalancer => 20,
            Self::Worker => 30,
        }
    }
}

/// A bare machine: `cp1`…`cp9` are 10.10.0.11…19, `lb1`…`lb9` .21…29, `w1`…`w9` .31…39.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine {
    purpose: Purpose,
    number: u8,
}

impl Machine {
    /// The machines that every machine knows by name (`/etc/hosts`).
    pub const USUAL: [Self; 10] = [
        Self::cp(1),
        Self::cp(2),
        Self::cp(3),
        Self::cp(4),
        Self::cp(5),
        Self::lb(1),
        Self::lb(2),
        Self::lb(3),
        Self::w(1),
        Self::w(2),
    ];

    /// Three machines for a control plane: what `up` starts when told nothing else.
    pub const CONTROL_PLANE: [Self; 3] = [Self::cp(1), Self::cp(2), Self::cp(3)];

    /// The control-plane machine `number`, 1 to 9.
    pub const fn cp(number: u8) -> Self {
        Self::numbered(Purpose::ControlPlane, number)
    }

    /// The load-balancer machine `number`, 1 to 9.
    pub const fn lb(number: u8) -> Self {
        Self::numbered(Purpose::LoadBalancer, number)
    }

    /// The worker machine `number`, 1 to 9.
    pub const fn w(number: u8) -> Self {
        Self::numbered(Purpose::Worker, number)
    }

    const fn numbered(purpose: Purpose, number: u8) -> Self {
        assert!(number >= 1 && number <= 9, "machines are numbered 1 to 9");
        Self { purpose, number }
    }

    /// The machine's address on the segment.
    pub const fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 10, 0, self.host_part())
    }

    /// The MAC address of the machine's `eth0`.
    pub fn mac(self) -> String {
        mac(self.host_part())
    }

    const fn host_part(self) -> u8 {
        self.purpose.first_host_part() + self.number
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.purpose.stem(), self.number)
    }
}

impl FromStr for Machine {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Purpose::ALL
            .into_iter()
            .find_map(|purpose| {
                let number = text.strip_prefix(purpose.stem())?;
                match number.as_bytes() {
                    [digit @ b'1'..=b'9'] => Some(Self::numbered(purpose, digit - b'0')),
                    _ => None,
                }
            })
            .ok_or_else(|| {
                anyhow!("no machine is called `{text}`; there are cp1…cp9, lb1…lb9 and w1…w9")
            })
    }
}

/// A network namespace of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The switch that all are plugged into (`sw`).
    Switch,
    /// The operator's machine, 10.10.0.2 (`op`).
    Operator,
    /// A client on the machines' own segment, 10.10.0.50 (`client`).
    Client,
    /// The router between the segment and the outside, 10.10.0.1 and 172.30.0.1 (`rt`).
    Router,
    /// A client behind the router, 172.30.0.2 (`ext`).
    Outside,
    /// One of the machines.
    Machine(Machine),
}

impl Place {
    /// The places that exist in every lab, beside the machines.
    pub const FIXTURES: [Self; 5] = [
        Self::Switch,
        Self::Operator,
        Self::Client,
        Self::Router,
        Self::Outside,
    ];

    /// Last byte of the address on the segment; the switch and the outside client have none there.
    pub(crate) const fn host_part(self) -> Option<u8> {
        match self {
            Self::Switch | Self::Outside => None,
            Self::Router => Some(1),
            Self::Operator => Some(2),
            Self::Client => Some(50),
            Self::Machine(machine) => Some(machine.host_part()),
        }
    }
}

impl From<Machine> for Place {
    fn from(machine: Machine) -> Self {
        Self::Machine(machine)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("sw"),
            Self::Operator => f.write_str("op"),
            Self::Client => f.write_str("client"),
            Self::Router => f.write_str("rt"),
            Self::Outside => f.write_str("ext"),
            Self::Machine(machine) => machine.fmt(f),
        }
    }
}

impl FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(place) = Self::FIXTURES
            .into_iter()
            .find(|place| place.to_string() == text)
        {
            return Ok(place);
        }
        text.parse().map(Self::Machine).map_err(|_| {
            anyhow!("no place is called `{text}`; there are sw, op, client, rt, ext, cp1…cp9, lb1…lb9 and w1…w9")
        })
    }
}

/// The MAC address that goes with the host part of an address on the segment.
pub(crate) fn mac(host_part: u8) -> String {
    format!("02:00:0a:0a:00:{host_part:02x}")
}

/// The machine with that MAC address, however its hex digits are written.
pub fn machine_with_mac(text: &str) -> Option<Machine> {
    let text = text.to_ascii_lowercase();
    Purpose::ALL
        .into_iter()
        .flat_map(|purpose| (1..=9).map(move |number| Machine::numbered(purpose, number)))
        .find(|machine| machine.mac() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_macs_belong_together() {
        for (name, address, mac) in [
            ("cp1", "10.10.0.11", "02:00:0a:0a:00:0b"),
            ("lb3", "10.10.0.23", "02:00:0a:0a:00:17"),
            ("w2", "10.10.0.32", "02:00:0a:0a:00:20"),
        ] {
            let machine: Machine = name.parse().expect(name);
            assert_eq!(machine.to_string(), name);
            assert_eq!(machine.address().to_string(), address);
            assert_eq!(machine.mac(), mac);
            assert_eq!(machine_with_mac(&mac.to_uppercase()), Some(machine));
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_names_there_are() {
        for name in ["", "cp", "cp0", "cp10", "x1", "CP1", "cp1 "] {
            let error = name.parse::<Machine>().expect_err(name).to_string();
            assert!(error.contains("cp1…cp9"), "{error}");
        }
    }

    #[test]
    fn every_fixture_is_found_by_its_name() {
        for place in Place::FIXTURES {
            assert_eq!(place.to_string().parse::<Place>().expect("a name"), place);
        }
        assert_eq!(
            "w1".parse::<Place>().expect("a name"),
            Place::Machine(Machine::w(1))
        );
    }
}
