//! How a machine takes part in its networks, and who else does so on it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Listener;

/// Routes, settings of interfaces, sockets and services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wiring {
    /// Default routes: interface and gateway.
    pub gateways: Vec<(String, IpAddr)>,
    /// Interfaces of default routes that have no gateway of IPv4 (point to point, or by way of IPv6).
    pub ways_out: Vec<String>,
    /// Hardware addresses of its interfaces.
    pub macs: BTreeSet<String>,
    /// Settings by interface; `all` is one that holds for each of them.
    pub settings: BTreeMap<String, InterfaceSettings>,
    /// kube-proxy keeps the addresses of Services on an interface of its own.
    pub ipvs: bool,
    /// Bound UDP sockets.
    pub udp: Vec<Listener>,
    /// Services of others that run, of those that matter: `firewalld`, `ufw`, `keepalived`, `haproxy`.
    pub services: BTreeSet<String>,
    /// Static pods of others that keep virtual addresses or balance.
    pub static_pods: BTreeSet<String>,
}

/// `net.ipv4.conf.*` of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InterfaceSettings {
    /// Answers must leave where questions came in (1: strictly).
    pub rp_filter: u8,
    /// For which addresses ARP is answered.
    pub arp_ignore: u8,
    /// Which addresses ARP asks in the name of.
    pub arp_announce: u8,
}

impl Wiring {
    /// Takes a line of the report; another's is left alone.
    pub(super) fn take(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "gateway" => {
                let (interface, gateway) = value.split_once(' ')?;
                self.gateways
                    .push((interface.to_owned(), gateway.parse().ok()?));
            }
            "way_out" => self.ways_out.push(value.to_owned()),
            "conf" => {
                let mut words = value.split(' ');
                let interface = words.next()?.to_owned();
                let mut number = || words.next()?.parse().ok();
                let settings = InterfaceSettings {
                    rp_filter: number()?,
                    arp_ignore: number()?,
                    arp_announce: number()?,
                };
                self.settings.insert(interface, settings);
            }
            "mac" => drop(self.macs.insert(value.to_owned())),
            "ipvs" => self.ipvs = true,
            "listen_udp" => self.udp.push(Listener::parse(value)?),
            "service" => drop(self.services.insert(value.to_owned())),
            "static_pod" => drop(self.static_pods.insert(value.to_owned())),
            _ => {}
        }
        Some(())
    }

    /// What is in force on an interface: the larger of its own setting and the one for all.
    pub fn in_force(&self, interface: &str) -> InterfaceSettings {
        let of = |name: &str| self.settings.get(name).copied().unwrap_or_default();
        let (all, own) = (of("all"), of(interface));
        InterfaceSettings {
            rp_filter: all.rp_filter.max(own.rp_filter),
            arp_ignore: all.arp_ignore.max(own.arp_ignore),
            arp_announce: all.arp_announce.max(own.arp_announce),
        }
    }

    /// Interfaces that default routes leave through.
    pub fn exits(&self) -> impl Iterator<Item = &str> {
        let gateways = self.gateways.iter().map(|(name, _)| name.as_str());
        gateways.chain(self.ways_out.iter().map(String::as_str))
    }

    /// The gateway of the default route over an interface.
    pub fn gateway_on(&self, interface: &str) -> Option<IpAddr> {
        let mut gateways = self.gateways.iter();
        gateways
            .find(|(name, _)| name == interface)
            .map(|(_, gateway)| *gateway)
    }
}
