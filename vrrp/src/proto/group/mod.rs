//! The state machine: one or more virtual routers that move together.
//!
//! The files beside this one: `receive` checks what arrives, `backup` listens, `active` owns, `leaving`
//! hands over, `settle` moves between the states and takes new settings.

mod active;
mod alarms;
mod backup;
mod leaving;
mod member;
mod receive;
mod settle;

use std::collections::VecDeque;

use super::announcer::Announcer;
use super::solicitor::Solicitor;
use super::{Action, Counters, Datagram, GroupSettings, Health, Input, Moment, State, Why};
use active::Active;
use alarms::AlarmLimiter;
use backup::Backup;
use leaving::Leaving;
pub use member::Member;

/// Virtual routers that move together.
#[derive(Debug)]
pub struct Group {
    settings: GroupSettings,
    members: Vec<Member>,
    phase: Phase,
    /// The state that was last spoken of.
    noted: State,
    since: Moment,
    why: Why,
    started: Option<Moment>,
    health: Health,
    /// The addresses stay silently until then.
    lingers_until: Option<Moment>,
    /// The kernel refused the addresses: not to be tried again before this.
    refused: Option<(Moment, String)>,
    announcer: Announcer,
    solicitor: Solicitor,
    alarms: AlarmLimiter,
    actions: VecDeque<Action>,
}

/// Where the group is, with what only matters there.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Initialize,
    Fault,
    Backup(Backup),
    Active(Active),
    Leaving(Leaving),
}

impl Group {
    /// A group that has not started. With `tracked` health starts as unknown, otherwise as good.
    pub fn new(settings: GroupSettings, tracked: bool) -> Self {
        let members: Vec<Member> = settings
            .members
            .iter()
            .map(|member| Member::new(member, settings.interval))
            .collect();
        let announcer = Announcer::new(
            settings.announce.clone(),
            addresses(&settings),
            settings.seed,
        );
        Self {
            members,
            phase: Phase::Initialize,
            noted: State::Initialize,
            since: Moment::ZERO,
            why: Why::NotStarted,
            started: None,
            health: if tracked {
                Health::Unknown
            } else {
                Health::Good
            },
            lingers_until: None,
            refused: None,
            announcer,
            solicitor: Solicitor::new(&settings),
            alarms: AlarmLimiter::default(),
            actions: VecDeque::with_capacity(64),
            settings,
        }
    }

    /// Takes an input.
    pub fn handle_input(&mut self, now: Moment, input: Input) {
        self.wake(now);
        match input {
            Input::Start => self.start(now),
            Input::Stop => self.stop(now),
            Input::Health(health) => {
                self.health = health;
                self.settle(now);
            }
            Input::Link { member, link } => self.handle_link(now, member, link),
            Input::LinkRestored { member } => self.handle_link_restored(now, member),
            Input::Unresolved { member, peers } => self.handle_unresolved(now, member, &peers),
            Input::Owned => self.handle_owned(now),
            Input::OwnRefused { detail } => self.handle_refused(now, detail),
            Input::AddressLost => self.handle_address_lost(now),
            Input::Claimed { address, mac } => self.handle_claim(now, address, mac),
            Input::Reconfigure(settings) => self.reconfigure(now, *settings),
        }
    }

    /// Takes a datagram that arrived on the interface of `member`.
    pub fn handle_datagram(&mut self, now: Moment, member: usize, datagram: &Datagram<'_>) {
        self.wake(now);
        self.receive(now, member, datagram);
    }

    /// Does what is due. Everything received before `heard_until` was handed over: silence may only be
    /// concluded up to there (it is `now` when the sockets are empty).
    pub fn handle_timeout(&mut self, now: Moment, heard_until: Moment) {
        self.wake(now);
        for index in 0..self.members.len() {
            if self.members[index].link_is_lost_for_good(now, self.settings.link_debounce) {
                self.settle(now);
                break;
            }
        }
        match self.phase {
            Phase::Initialize => {}
            Phase::Fault => {
                if self
                    .refused
                    .as_ref()
                    .is_some_and(|(until, _)| *until <= now)
                {
                    self.refused = None;
                    self.settle(now);
                }
            }
            Phase::Backup(backup) => self.backup_timeout(now, heard_until, backup),
            Phase::Active(active) => self.active_timeout(now, active),
            Phase::Leaving(leaving) => self.leaving_timeout(now, leaving),
        }
        self.solicit_due(now);
        self.raise_due(now);
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Moment> {
        let phase = match &self.phase {
            Phase::Initialize => None,
            Phase::Fault => self.refused.as_ref().map(|(until, _)| *until),
            Phase::Backup(backup) => Some(self.takeover_at(*backup)),
            Phase::Active(active) => self
                .announcer
                .poll_timeout()
                .into_iter()
                .chain([active.due()])
                .min(),
            Phase::Leaving(leaving) => Some(leaving.due()),
        };
        let debounce = self
            .members
            .iter()
            .filter_map(|member| member.loss_counts_at(self.settings.link_debounce))
            .min();
        let question = self.solicitor.poll_timeout(self.part());
        phase
            .into_iter()
            .chain(debounce)
            .chain(question)
            .chain(self.alarms.poll_timeout())
            .min()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Where it is.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Initialize => State::Initialize,
            Phase::Fault => State::Fault,
            Phase::Backup(_) => State::Backup,
            Phase::Active(_) | Phase::Leaving(_) => State::Active,
        }
    }

    /// Whether it is handing over.
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving(_))
    }

    /// Since when it is there.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// Why it is there.
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// What is known of the node's health.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Its settings.
    pub fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    /// Its members, in the order of the settings.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Counters of a member, for what the driver sees and the machine does not.
    pub fn counters_mut(&mut self, member: usize) -> Option<&mut Counters> {
        self.members
            .get_mut(member)
            .map(|member| &mut member.counters)
    }

    /// How long the peers wait for this router, while it is Active.
    pub fn patience_while_active(&self) -> Option<std::time::Duration> {
        (self.state() == State::Active).then(|| self.peers_patience())
    }

    /// Notices that this process did not run for so long that the peers must have given it up.
    fn wake(&mut self, now: Moment) {
        if let Phase::Active(active) = self.phase {
            let silent = now.since(active.last_sent());
            if silent > self.peers_patience() {
                self.yield_after_freeze(now, silent);
            }
        }
    }
}

/// Every address with the index of its member.
fn addresses(settings: &GroupSettings) -> impl Iterator<Item = (usize, std::net::IpAddr)> + '_ {
    settings
        .members
        .iter()
        .enumerate()
        .flat_map(|(index, member)| {
            member
                .addresses
                .iter()
                .map(move |address| (index, *address))
        })
}
