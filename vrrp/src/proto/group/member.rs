//! One virtual router of a group.

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::peers::Peers;
use crate::proto::{AdvertInterval, Counters, Link, MemberSettings, Moment};

/// One virtual router of a group: what it has learned and counted.
#[derive(Debug)]
pub struct Member {
    /// Counters.
    pub(super) counters: Counters,
    /// Routers heard.
    pub(super) peers: Peers,
    /// `Active_Adver_Interval`.
    pub(super) active_interval: AdvertInterval,
    /// When the Active counts as gone.
    pub(super) down_at: Moment,
    /// Who is Active, as far as heard.
    pub(super) active_peer: Option<IpAddr>,
    /// When it was heard last.
    pub(super) heard_active_at: Option<Moment>,
    /// Whether its last word was priority zero.
    pub(super) active_left: bool,
    /// When it said that it leaves as planned, and keeps the addresses silently once somebody took over.
    pub(super) planned_farewell: Option<Moment>,
    /// Source of adverts while the link is usable.
    pub(super) source: Option<IpAddr>,
    /// Whether there ever was a link.
    pub(super) was_linked: bool,
    /// When a link that had been lost came back.
    pub(super) returned: Option<Moment>,
    /// What is wrong with the link, and since when.
    pub(super) lost: Option<(Moment, String)>,
}

impl Member {
    pub(super) fn new(_settings: &MemberSettings, interval: AdvertInterval) -> Self {
        Self {
            counters: Counters::default(),
            peers: Peers::default(),
            active_interval: interval,
            down_at: Moment::ZERO,
            active_peer: None,
            heard_active_at: None,
            active_left: false,
            planned_farewell: None,
            source: None,
            was_linked: false,
            returned: None,
            lost: None,
        }
    }

    /// Counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Routers heard.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Interval learned from the Active.
    pub fn active_interval(&self) -> AdvertInterval {
        self.active_interval
    }

    /// Who is Active, as far as heard.
    pub fn active_peer(&self) -> Option<IpAddr> {
        self.active_peer
    }

    /// Source of adverts while the link is usable.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Takes the state of the link.
    pub(super) fn set_link(&mut self, now: Moment, link: Link) {
        match link {
            Link::Up { source } => {
                // A loss that did not count yet left the neighbours' memory as it was.
                if self.was_linked && self.source.is_none() {
                    self.returned = Some(now);
                }
                self.was_linked = true;
                self.source = Some(source);
                self.lost = None;
            }
            Link::Lost { detail } => {
                let since = self.lost.as_ref().map_or(now, |(since, _)| *since);
                self.lost = Some((since, detail));
            }
        }
    }

    /// Nothing was said about the link yet.
    pub(super) fn link_is_unknown(&self) -> bool {
        self.source.is_none() && self.lost.is_none()
    }

    /// What is wrong with the link once it has been wrong for the debounce time.
    pub(super) fn lost_for_good(&self, now: Moment, debounce: Duration) -> Option<&str> {
        let (since, detail) = self.lost.as_ref()?;
        // A link that never was usable has nothing to bounce.
        let counts = self.source.is_none() || since.after(debounce) <= now;
        counts.then_some(detail)
    }

    pub(super) fn link_is_lost_for_good(&self, now: Moment, debounce: Duration) -> bool {
        self.source.is_some() && self.lost_for_good(now, debounce).is_some()
    }

    /// When a loss under way starts to count.
    pub(super) fn loss_counts_at(&self, debounce: Duration) -> Option<Moment> {
        self.source?;
        self.lost.as_ref().map(|(since, _)| since.after(debounce))
    }

    /// The loss counts: there is no source any more.
    pub(super) fn give_up_link(&mut self) {
        self.source = None;
    }
}
