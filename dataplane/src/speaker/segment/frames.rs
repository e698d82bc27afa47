//! Frames: ears on the interfaces of what this node has, answers, announcements, and other machines that answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use l2::{
    linux::{
        clock,
        guard::Guarded,
        source_ranges::{Admitted, SourceRanges},
    },
    wire::MacAddr,
};

use super::{BURST, EARS, Segment, packet_filter::Watch};
use crate::{
    core::{
        atlas::Access,
        responder::{self, Addresses, Answered, Verdict},
        segment::Interface,
        speaker::Speaker,
    },
    speaker::ears::Ears,
};

/// Pause before ears that could not be opened or attuned are tried again.
const REFIT: Duration = Duration::from_secs(1);

impl Segment {
    pub(super) fn hear_frames(&mut self, token: u32) {
        let found = self.ears.iter_mut().find_map(|(index, (first, ears))| {
            let place = token
                .checked_sub(*first)
                .filter(|place| *place < ears.count())?;
            Some((*index, usize::try_from(place).ok()?, ears))
        });
        let Some((index, place, ears)) = found else {
            return;
        };
        let mac = ears.mac;
        let mut verdicts = Vec::new();
        let now = self.started + clock::boottime().saturating_sub(self.started_at);
        for _ in 0..BURST {
            let frame = match ears.receive(place) {
                Ok(Some(frame)) => frame.to_vec(),
                // The interface went down: its end is seen by netlink.
                Ok(None) | Err(_) => break,
            };
            let addresses = Held {
                speaker: &self.speaker,
                index,
                healthy: &self.healthy,
            };
            // What is no whole message is of no interest.
            if let Ok(verdict) = responder::respond(now, &frame, mac, &addresses, &mut self.echo) {
                verdicts.push(verdict);
            }
        }
        for verdict in verdicts {
            self.carry_out(index, verdict);
        }
    }

    pub(super) fn carry_out(&mut self, index: u32, verdict: Verdict) {
        match verdict {
            Verdict::Answer(frame, answered) => {
                self.bulletin.count_answer(match answered {
                    Answered::Resolution(_) => "resolution",
                    Answered::Echo(_) => "echo",
                });
                self.send(index, &frame);
            }
            Verdict::Foreign { address, mac } => self.suspect(index, address, mac),
            Verdict::Ignore(_) => {}
        }
    }

    /// Another machine says that it has an address of ours; of another speaker that is no news, and mostly its last word.
    pub(super) fn suspect(&mut self, index: u32, address: IpAddr, mac: MacAddr) {
        if self.links.iter().any(|link| link.mac == Some(mac)) {
            return;
        }
        let now = self.now();
        if let Some(peer) = self.speaker.peer_with(mac.octets()).map(str::to_owned) {
            let unheard = self.speaker.handle_peer_answer(now, &peer, address);
            // It was answered already, as often as two may.
            if unheard && self.conflicts.handle_foreign(now, address, mac).alarm {
                self.bulletin.count_unheard_rival();
                tracing::warn!(
                    %address, %mac, %peer,
                    "another speaker answers for an address of ours, and its heartbeats do not arrive: does UDP 7946 pass?"
                );
                self.stale = true;
            }
            return;
        }
        let reaction = self.conflicts.handle_foreign(now, address, mac);
        if reaction.alarm {
            self.bulletin.count_conflict();
            tracing::warn!(%address, %mac, "another machine answers for an address of ours: find it");
            self.stale = true;
        }
        if reaction.defend {
            self.announce_on(index, address);
        }
    }

    pub(super) fn announce_on(&self, index: u32, address: IpAddr) {
        if let Some((_, ears)) = self.ears.get(&index) {
            for frame in responder::announce(address, ears.mac) {
                self.send(index, &frame);
            }
        }
    }

    pub(super) fn send(&self, index: u32, frame: &[u8]) {
        if let Some((_, ears)) = self.ears.get(&index)
            && let Err(error) = ears.send(frame)
        {
            tracing::debug!(index, %error, "a frame was not sent");
        }
    }

    pub(super) fn fit_ears(&mut self) {
        let mut wanted: BTreeMap<u32, BTreeSet<IpAddr>> = BTreeMap::new();
        for (address, _) in self.speaker.holdings() {
            for index in self.speaker.serves(address).unwrap_or_default() {
                wanted.entry(*index).or_default().insert(address);
            }
        }
        if let Some(clerk) = &mut self.clerk {
            let addresses: BTreeSet<IpAddr> = wanted.values().flatten().copied().collect();
            let segments: BTreeSet<u32> = wanted.keys().copied().collect();
            // Of all addresses, also of those that others have: none of it changes when an address moves.
            let source_ranges = SourceRanges {
                admitted: Arc::clone(&self.admitted),
                segments: &segments | &self.limited_segments,
            };
            clerk.watch(Watch {
                guarded: Guarded {
                    addresses,
                    segments,
                },
                source_ranges,
            });
        }
        let macs: BTreeMap<u32, MacAddr> = self
            .links
            .iter()
            .filter_map(|link| Some((link.index, link.mac?)))
            .collect();
        // Closing takes the sockets out of the poller.
        self.ears.retain(|index, (_, ears)| {
            wanted.contains_key(index) && macs.get(index) == Some(&ears.mac)
        });
        let was_deaf = self.refit_at.take().is_some();
        for (index, addresses) in wanted {
            let Some(&mac) = macs.get(&index) else {
                continue;
            };
            if let Err(error) = self.listen_for(addresses, index, mac) {
                if !was_deaf {
                    tracing::warn!(index, %error, "cannot listen for all addresses of an interface; tried again each second");
                }
                self.refit_at = Some(self.now() + REFIT);
            }
        }
        if was_deaf && self.refit_at.is_none() {
            // Nothing left an interface without ears.
            self.speaker.remind_neighbours(self.now());
        }
    }

    fn listen_for(
        &mut self,
        addresses: BTreeSet<IpAddr>,
        index: u32,
        mac: MacAddr,
    ) -> io::Result<()> {
        if !self.ears.contains_key(&index) {
            let ears = self.listen_on(index, mac)?;
            self.ears.insert(index, ears);
        }
        match self.ears.get_mut(&index) {
            Some((_, ears)) => ears.attune(addresses),
            None => Ok(()),
        }
    }

    fn listen_on(&mut self, index: u32, mac: MacAddr) -> io::Result<(u32, Ears)> {
        let ears = Ears::open(index, mac)?;
        let first = self.next_token;
        self.next_token = self.next_token.checked_add(EARS).unwrap_or(EARS);
        for (token, descriptor) in (first..).zip(ears.descriptors()) {
            self.poller.add(descriptor, token)?;
        }
        Ok((first, ears))
    }
}

/// What this node answers for on one interface.
struct Held<'a> {
    speaker: &'a Speaker,
    index: u32,
    healthy: &'a BTreeMap<IpAddr, Access>,
}

impl Addresses for Held<'_> {
    fn has(&self, address: IpAddr) -> bool {
        self.speaker
            .serves(address)
            .is_some_and(|interfaces| interfaces.contains(&self.index))
    }

    fn echoes(&self, address: IpAddr, source: IpAddr) -> bool {
        self.has(address)
            && self
                .healthy
                .get(&address)
                .is_some_and(|access| access.admits(source))
    }
}

/// Interfaces on which some address with a list may be served, by whomever.
pub(super) fn limited_segments(speaker: &Speaker, admitted: &Admitted) -> BTreeSet<u32> {
    let addresses = &speaker.directory().addresses;
    let fits = |interface: &&Interface| {
        admitted.keys().any(|endpoint| {
            let wanted = addresses.get(&endpoint.address);
            let mut reaches = wanted.into_iter().flat_map(|wanted| wanted.reaches.iter());
            reaches.any(|reach| reach.interfaces.admits(interface, endpoint.address))
        })
    };
    let interfaces = speaker.interfaces().iter();
    interfaces
        .filter(fits)
        .map(|interface| interface.index)
        .collect()
}
