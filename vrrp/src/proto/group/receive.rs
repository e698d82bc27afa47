//! From a datagram to an advert that counts: the checks of RFC 9568 §7.1 and ours.

use std::net::IpAddr;

use crate::proto::{
    Action, Advert, Alarm, Datagram, Destination, Family, Moment, PacketError, Version, packet,
};

use super::{Group, Phase};

impl Group {
    pub(super) fn receive(&mut self, now: Moment, index: usize, datagram: &Datagram<'_>) {
        let Some(member) = self.members.get_mut(index) else {
            return;
        };
        if member.source == Some(datagram.source) {
            member.counters.looped_back += 1;
            return;
        }
        let advert = match self.check(now, index, datagram) {
            Ok(Some(advert)) => advert,
            Ok(None) => return,
            Err(error) => {
                self.members[index].counters.drop(error);
                self.alarm_about(now, index, datagram.source, error);
                return;
            }
        };
        let member = &mut self.members[index];
        member.counters.adverts_received += 1;
        if advert.priority == 0 {
            member.counters.priority_zero_received += 1;
        }
        let at = datagram.at.min(now);
        member.peers.hear(at, datagram.source, &advert);
        self.solicitor.hear(index, datagram.source);
        if advert.priority == 255 {
            self.alarm(
                now,
                Alarm::OwnerExists {
                    from: datagram.source,
                },
            );
        }
        match self.phase {
            Phase::Initialize | Phase::Fault => {}
            Phase::Backup(backup) => self.backup_hears(at, index, datagram.source, &advert, backup),
            Phase::Active(active) => {
                self.active_hears(now, index, datagram.source, &advert, active)
            }
            Phase::Leaving(leaving) => {
                self.leaving_hears(now, datagram.source, &advert, leaving);
            }
        }
    }

    /// The advert, `None` for one that is right but does not count, or why it is dropped.
    fn check<'a>(
        &mut self,
        now: Moment,
        index: usize,
        datagram: &Datagram<'a>,
    ) -> Result<Option<Advert<'a>>, PacketError> {
        let settings = &self.settings.members[index];
        let multicast = is_multicast(datagram.destination);
        let unicast_peer = !multicast && !settings.peers.is_empty();
        let minimum = if unicast_peer {
            settings.minimum_ttl
        } else {
            packet::TTL
        };
        if datagram.ttl < minimum {
            return Err(PacketError::Ttl);
        }
        let advert = Advert::parse(datagram.message, datagram.source, datagram.destination)?;
        if !self.settings.versions.accepts(advert.version) {
            return Err(PacketError::Version);
        }
        if advert.vrid != settings.vrid {
            return Err(PacketError::Vrid);
        }
        if advert.version == Version::V2 {
            let expected = settings
                .password
                .map_or((0, [0; 8]), |password| (1, password));
            // The data of type 0 means nothing (RFC 3768 §5.3.10).
            let same = if expected.0 == 0 {
                advert.authentication.0 == 0
            } else {
                advert.authentication == expected
            };
            if !same {
                return Err(PacketError::Authentication);
            }
            let only_v2 = !self.settings.versions.accepts(Version::V3);
            if only_v2 && advert.interval.seconds() != self.settings.interval.seconds() {
                return Err(PacketError::Interval);
            }
        }
        if !settings.peers.is_empty() && !settings.peers.contains(&datagram.source) {
            return Err(PacketError::Source);
        }
        let member = &mut self.members[index];
        if advert.version == Version::V2
            && let Some(peer) = member.peers.find(datagram.source)
            && peer.version == Version::V3
            && now.since(peer.last_advert) < peer.interval.duration() * 4
        {
            // RFC 9568 §8.4.2: of a router that speaks both, VRRPv3 counts.
            return Ok(None);
        }
        if !advert.addresses.is_same_set(&settings.addresses) {
            let related = advert.addresses.iter().any(|theirs| {
                !packet::is_link_local(theirs) && settings.addresses.contains(&theirs)
            });
            if self.settings.refuse_foreign_addresses && !related {
                return Err(PacketError::ForeignAddresses);
            }
            member.counters.address_list_differs += 1;
            self.alarm(
                now,
                Alarm::VridClash {
                    from: datagram.source,
                },
            );
        }
        if multicast != self.settings.members[index].peers.is_empty() {
            let theirs = if multicast { "multicast" } else { "unicast" };
            self.alarm(
                now,
                Alarm::OtherMode {
                    from: datagram.source,
                    theirs,
                },
            );
        }
        let ours = self.settings.members[index].checksum;
        if let (Some(ours), Version::V3, IpAddr::V4(_)) = (ours, advert.version, datagram.source)
            && ours != advert.checksum
        {
            self.alarm(
                now,
                Alarm::ChecksumForm {
                    from: datagram.source,
                    theirs: advert.checksum,
                    ours,
                },
            );
        }
        Ok(Some(advert))
    }

    /// A dropped advert is worth an alarm when it comes from where adverts should come from.
    fn alarm_about(&mut self, now: Moment, index: usize, source: IpAddr, error: PacketError) {
        let peers = &self.settings.members[index].peers;
        let expected = peers.is_empty() || peers.contains(&source);
        match error {
            PacketError::ForeignAddresses => self.alarm(now, Alarm::VridClash { from: source }),
            PacketError::Vrid | PacketError::Source => {}
            _ if expected => self.alarm(
                now,
                Alarm::Unusable {
                    from: source,
                    error,
                },
            ),
            _ => {}
        }
    }

    pub(super) fn alarm(&mut self, now: Moment, alarm: Alarm) {
        self.alarms.offer(now, alarm);
        self.raise_due(now);
    }

    pub(super) fn raise_due(&mut self, now: Moment) {
        let due = self.alarms.due(now);
        self.actions.extend(due.map(Action::Alarm));
    }

    /// Queues an advert of every member that has a link.
    pub(super) fn send_adverts(&mut self, priority: u8) {
        for index in 0..self.members.len() {
            if self.members[index].source.is_some() {
                self.send_advert(index, priority);
            }
        }
    }

    fn send_advert(&mut self, index: usize, priority: u8) {
        let settings = &self.settings.members[index];
        let versions = self.settings.versions.sent(settings.family);
        let mut sent = 0;
        for version in versions.iter().copied() {
            let mut queue = |destination| {
                self.actions.push_back(Action::Send {
                    member: index,
                    destination,
                    version,
                    priority,
                });
                sent += 1;
            };
            if settings.peers.is_empty() {
                queue(Destination::Group);
            }
            settings
                .peers
                .iter()
                .for_each(|peer| queue(Destination::Peer(*peer)));
        }
        let counters = &mut self.members[index].counters;
        counters.adverts_sent += sent;
        if priority == 0 {
            counters.priority_zero_sent += sent;
        }
    }

    /// The bytes of an [`Action::Send`], its receiver and its source; `None` without a link.
    pub fn encode<'b>(
        &self,
        index: usize,
        destination: Destination,
        version: Version,
        priority: u8,
        buffer: &'b mut [u8; packet::MAX_LEN],
    ) -> Option<(&'b [u8], IpAddr, IpAddr)> {
        let settings = self.settings.members.get(index)?;
        let member = self.members.get(index)?;
        let source = member.source?;
        let receiver = match destination {
            Destination::Group => packet::group(settings.family),
            Destination::Peer(peer) => peer,
        };
        let heard = match destination {
            Destination::Peer(peer) => member.peers.find(peer).map(|peer| peer.checksum),
            // One message for all: if anybody needs the pseudo-header, it is the form that all
            // keepalived take; ours take both.
            Destination::Group => member
                .peers
                .iter()
                .map(|peer| peer.checksum)
                .find(|form| *form == packet::ChecksumSeen::Keepalived),
        };
        let checksum = settings
            .checksum
            .or(heard)
            .unwrap_or(packet::ChecksumSeen::Rfc);
        let outgoing = packet::Outgoing {
            version,
            vrid: settings.vrid,
            priority,
            lingers: self.is_leaving() && !self.settings.hand_over_grace.is_zero(),
            interval: self.settings.interval,
            addresses: &settings.addresses,
            password: settings.password,
            checksum,
            source,
            destination: receiver,
        };
        Some((outgoing.emit(buffer), source, receiver))
    }
}

fn is_multicast(address: IpAddr) -> bool {
    address == packet::group(Family::of(address))
}
