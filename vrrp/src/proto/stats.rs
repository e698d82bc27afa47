//! Counters of a virtual router, by reason.

use serde::Serialize;

use super::PacketError;

/// What happened since the start (RFC 6527's counters and a few of ours).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Adverts of our VRID that passed all checks.
    pub adverts_received: u64,
    /// Adverts sent, one per peer.
    pub adverts_sent: u64,
    /// Received adverts with priority zero.
    pub priority_zero_received: u64,
    /// Sent adverts with priority zero, one per peer.
    pub priority_zero_sent: u64,
    /// Times this router became Active.
    pub became_active: u64,
    /// Times this router stopped being Active.
    pub left_active: u64,
    /// Adverts that lost against us while Active.
    pub lower_priority_received: u64,
    /// Own adverts that came back.
    pub looped_back: u64,
    /// Gratuitous ARP and unsolicited NA sent.
    pub announcements_sent: u64,
    /// Questions for peers that the kernel could not reach.
    pub solicitations_sent: u64,
    /// Claims of our addresses by another station while Active.
    pub conflicts: u64,
    /// Times somebody else took our address off the interface.
    pub addresses_restored: u64,
    /// Times this process woke so late that it listened before it acted.
    pub late_wakes: u64,
    /// Adverts with another address list that were used nevertheless.
    pub address_list_differs: u64,
    /// Dropped adverts by reason, in the order of [`PacketError::ALL`].
    pub dropped: [u64; PacketError::ALL.len()],
}

impl Counters {
    /// Counts a dropped advert.
    pub fn drop(&mut self, error: PacketError) {
        self.dropped[error as usize] += 1;
    }

    /// Dropped adverts for one reason.
    pub fn dropped_for(&self, error: PacketError) -> u64 {
        self.dropped[error as usize]
    }

    /// Every counter with its name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        [
            ("advertsReceived", self.adverts_received),
            ("advertsSent", self.adverts_sent),
            ("priorityZeroReceived", self.priority_zero_received),
            ("priorityZeroSent", self.priority_zero_sent),
            ("becameActive", self.became_active),
            ("leftActive", self.left_active),
            ("lowerPriorityReceived", self.lower_priority_received),
            ("loopedBack", self.looped_back),
            ("announcementsSent", self.announcements_sent),
            ("solicitationsSent", self.solicitations_sent),
            ("conflicts", self.conflicts),
            ("addressesRestored", self.addresses_restored),
            ("lateWakes", self.late_wakes),
            ("addressListDiffers", self.address_list_differs),
        ]
        .into_iter()
    }
}

impl Serialize for Counters {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.named() {
            map.serialize_entry(name, &value)?;
        }
        let dropped: std::collections::BTreeMap<_, _> = PacketError::ALL
            .iter()
            .map(|error| (error.kind(), self.dropped_for(*error)))
            .collect();
        map.serialize_entry("dropped", &dropped)?;
        map.end()
    }
}
