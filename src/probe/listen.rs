//! Which virtual routers are on the segment?

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use cluster_config::probe::RouterHeard;
use l2::linux::clock::boottime;
use l2::linux::link::Interface;
use l2::linux::poller::Poller;
use l2::linux::raw_ip::{RawReceiver, Received, Reception};
use serde::Serialize;
use vrrp::proto::packet::{PROTOCOL, group};
use vrrp::proto::{Advert, ChecksumSeen, Family, Version};

/// A virtual router that was heard.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Heard {
    interface: String,
    source: IpAddr,
    vrid: u8,
    version: Version,
    priority: u8,
    interval_millis: u64,
    addresses: Vec<IpAddr>,
    checksum: ChecksumSeen,
    ttl: u8,
    adverts: u64,
}

/// Listens for `time` on the interfaces, for multicast adverts and those sent to this host.
pub(super) fn virtual_routers(
    interfaces: &[&Interface],
    time: Duration,
) -> anyhow::Result<Vec<Heard>> {
    let mut poller = Poller::new()?;
    let mut receivers = Vec::new();
    for interface in interfaces {
        for family in [Family::V4, Family::V6] {
            let (name, index) = (&interface.name, interface.index);
            let receiver = RawReceiver::open(name, index, PROTOCOL, group(family));
            match receiver {
                Ok(receiver) => {
                    poller.add(&receiver, u32::try_from(receivers.len())?)?;
                    receivers.push((name, receiver));
                }
                // A host without IPv6 hears nothing there.
                Err(_) if family == Family::V6 => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot listen on `{name}`"));
                }
            }
        }
    }
    let end = boottime() + time;
    let mut routers = Routers::default();
    let mut ready = Vec::new();
    while boottime() < end {
        poller.wait(Some(end), &mut ready)?;
        for token in &ready {
            let Some((name, receiver)) = receivers.get_mut(*token as usize) else {
                continue;
            };
            while let Ok(Reception::Packet(packet)) = receiver.receive() {
                routers.note(name, &packet);
            }
        }
    }
    Ok(routers.0.into_values().collect())
}

/// Routers by interface, source and ID.
#[derive(Debug, Default)]
pub(super) struct Routers(BTreeMap<(String, IpAddr, u8), Heard>);

/// More than any segment has; a flood of invented routers ends there.
const MOST: usize = 1024;

impl Routers {
    /// Takes a packet; what is no advert is left alone.
    pub(super) fn note(&mut self, interface: &str, packet: &Received<'_>) {
        let Ok(advert) = Advert::parse(packet.payload, packet.source, packet.destination) else {
            return;
        };
        let key = (interface.to_owned(), packet.source, u8::from(advert.vrid));
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            return;
        }
        let adverts = self.0.get(&key).map_or(0, |heard| heard.adverts) + 1;
        let heard = Heard {
            interface: interface.to_owned(),
            source: packet.source,
            vrid: advert.vrid.into(),
            version: advert.version,
            priority: advert.priority,
            interval_millis: u64::from(advert.interval.centis()) * 10,
            addresses: advert.addresses.iter().collect(),
            checksum: advert.checksum,
            ttl: packet.ttl,
            adverts,
        };
        self.0.insert(key, heard);
    }

    /// What a station tells of them.
    pub(super) fn report(&self) -> Vec<RouterHeard> {
        let routers = self.0.values().map(|heard| RouterHeard {
            source: heard.source,
            vrid: heard.vrid,
            priority: heard.priority,
            addresses: heard.addresses.clone(),
        });
        routers.collect()
    }
}
