//! The router thread: waits, hands what happened to the groups, does what they want.
//!
//! It never blocks except in its wait and for a millisecond under a flood, takes no lock that another
//! thread holds for long, and in the steady state allocates nothing.

mod act;
mod breather;
mod lifeline;
mod receive;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use daemon::recorder::Recorder;
use l2::linux::poller::Poller;

use crate::clock::now;
use crate::config::GroupPlan;
use crate::host::HostCommand;
use crate::mailbox::{Mailbox, Sender};
use crate::place::Place;
use crate::ports::{Ports, RouterKey};
use crate::proto::replay::Record;
use crate::proto::{Group, Health, Input, Link, Moment};
use crate::status::Snapshot;
use breather::Breather;
use lifeline::Lifeline;

/// What the other threads tell.
#[derive(Debug)]
pub(crate) enum Event {
    /// An input of one group.
    Input { group: usize, input: Input },
    /// The node's health changed.
    Health(Health),
    /// A router's interface is usable, here.
    Placed {
        group: usize,
        member: usize,
        place: Place,
    },
    /// Other settings.
    Plan(BTreeMap<usize, GroupPlan>),
    /// Somebody wants to know.
    Snapshot(SyncSender<Snapshot>),
    /// Hand over and end.
    Stop,
}

/// The router thread.
pub(crate) struct Driver {
    pub(crate) groups: BTreeMap<usize, Group>,
    pub(crate) places: BTreeMap<RouterKey, Place>,
    pub(crate) send_errors: u64,
    pub(crate) unknown_vrid: u64,
    ports: Ports,
    poller: Poller,
    mail: Mailbox<Event>,
    host: Sender<HostCommand>,
    tracked: bool,
    health: Option<Health>,
    stopping: bool,
    waiting: BTreeMap<RouterKey, Place>,
    retry_at: Option<Moment>,
    records: Records,
    started: Moment,
    lifeline: Option<Lifeline>,
    notice: Notice,
}

/// The flight recorder: what is rare apart from what would wash it away.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) inputs: Recorder,
    pub(crate) packets: Recorder,
}

/// Told whenever a group changed its state.
type Notice = Box<dyn Fn(&BTreeMap<usize, Group>) + Send>;

/// Poller token of the mailbox; ports count from zero.
const MAIL: u32 = u32::MAX;
const RETRY: Duration = Duration::from_millis(500);

impl Driver {
    /// A thread's work; `notice` is told whenever a group changed its state.
    pub(crate) fn new(
        mail: Mailbox<Event>,
        host: Sender<HostCommand>,
        tracked: bool,
        records: Records,
        lifeline: Option<UnixStream>,
        notice: impl Fn(&BTreeMap<usize, Group>) + Send + 'static,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&mail, MAIL)?;
        Ok(Self {
            groups: BTreeMap::new(),
            places: BTreeMap::new(),
            send_errors: 0,
            unknown_vrid: 0,
            ports: Ports::default(),
            poller,
            mail,
            host,
            tracked,
            health: None,
            stopping: false,
            waiting: BTreeMap::new(),
            retry_at: None,
            records,
            started: now(),
            lifeline: lifeline.map(Lifeline::new),
            notice: Box::new(notice),
        })
    }

    /// Works until every group has stopped.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(64);
        let mut breather = Breather::new(now());
        loop {
            let deadline = self.groups.values().filter_map(Group::poll_timeout).min();
            let deadline = deadline.into_iter().chain(self.retry_at).min();
            let deadline = deadline.map(|at| Duration::from_nanos(at.as_nanos()));
            self.poller.wait(deadline, &mut ready)?;
            self.ports.idle(&ready, now());
            let (mut packets, mut emptied) = (0, true);
            for token in ready.iter().copied() {
                if token == MAIL {
                    self.read_mail();
                } else {
                    let taken = self.read_port(token);
                    packets += taken;
                    emptied &= Self::emptied(taken);
                }
            }
            self.fire_timers();
            if let Some(pause) = breather.after(packets, now())
                && emptied
            {
                thread::sleep(pause);
            }
            if let Some(lifeline) = &mut self.lifeline {
                lifeline.beat(&self.groups);
            }
            if self.stopping && self.groups.is_empty() {
                self.host.send(HostCommand::Finish);
                return Ok(());
            }
        }
    }

    fn read_mail(&mut self) {
        let events: Vec<Event> = self.mail.drain().collect();
        for event in events {
            match event {
                Event::Input { group, input } => self.input(group, input),
                Event::Health(health) => {
                    self.health = Some(health.clone());
                    self.input_all(&Input::Health(health));
                }
                Event::Placed {
                    group,
                    member,
                    place,
                } => self.place((group, member), place),
                // Who is leaving takes nothing up.
                Event::Plan(_) if self.stopping => {}
                Event::Plan(plans) => self.plan(&plans),
                Event::Snapshot(asker) => {
                    let _ = asker.try_send(Snapshot::of(self));
                }
                Event::Stop => {
                    self.stopping = true;
                    self.input_all(&Input::Stop);
                }
            }
        }
    }

    fn input_all(&mut self, input: &Input) {
        let ids: Vec<usize> = self.groups.keys().copied().collect();
        for id in ids {
            self.input(id, input.clone());
        }
    }

    fn input(&mut self, id: usize, input: Input) {
        let now = now();
        if let Input::Link {
            member,
            link: Link::Lost { .. },
        } = &input
        {
            self.waiting.remove(&(id, *member));
        }
        if let Some(group) = self.groups.get_mut(&id) {
            let record = Record::Input {
                group: id,
                told: input.clone(),
            };
            self.records.inputs.record(now.since(self.started), &record);
            group.handle_input(now, input);
            self.act(id);
        }
    }

    fn plan(&mut self, plans: &BTreeMap<usize, GroupPlan>) {
        self.host.send(HostCommand::Plan(plans.clone()));
        for (id, plan) in plans {
            let input = if self.groups.contains_key(id) {
                Input::Reconfigure(Box::new(plan.settings.clone()))
            } else {
                let record = Record::Group {
                    group: *id,
                    tracked: self.tracked,
                    settings: Box::new(plan.settings.clone()),
                };
                self.records
                    .inputs
                    .record(now().since(self.started), &record);
                self.groups
                    .insert(*id, Group::new(plan.settings.clone(), self.tracked));
                if let Some(health) = self.health.clone() {
                    self.input(*id, Input::Health(health));
                }
                Input::Start
            };
            self.input(*id, input);
        }
        let gone: Vec<usize> = self
            .groups
            .keys()
            .copied()
            .filter(|id| !plans.contains_key(id))
            .collect();
        for id in gone {
            self.input(id, Input::Stop);
        }
        (self.notice)(&self.groups);
    }

    /// Opens the sockets of a router and tells its group that it has a link; tries again when the kernel
    /// is not ready for it (an address that was just added, for example).
    fn place(&mut self, key: RouterKey, place: Place) {
        let Some(settings) = self.groups.get(&key.0).map(Group::settings) else {
            return;
        };
        let Some(member) = settings.members.get(key.1) else {
            return;
        };
        let (vrid, addresses) = (member.vrid.into(), member.addresses.clone());
        let mut again = None;
        let link = match self
            .ports
            .attach(&self.poller, key, &place, vrid, &addresses)
        {
            Ok(()) => {
                self.waiting.remove(&key);
                let source = place.source;
                self.places.insert(key, place);
                Link::Up { source }
            }
            Err(error) => {
                let detail = format!("sockets on `{}`: {error}", place.interface);
                again = Some(place);
                Link::Lost { detail }
            }
        };
        self.input(
            key.0,
            Input::Link {
                member: key.1,
                link,
            },
        );
        // After the loss was told: whatever waited before is over with it.
        if let Some(place) = again {
            self.retry_at = Some(now().after(RETRY));
            self.waiting.insert(key, place);
        }
    }

    fn fire_timers(&mut self) {
        let now = now();
        let heard_until = self.ports.drained(now);
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            for (key, place) in std::mem::take(&mut self.waiting) {
                self.place(key, place);
            }
        }
        // Groups come and go only between turns, so the range is stable while they act.
        let mut next = self.groups.keys().next().copied();
        while let Some(id) = next {
            if let Some(group) = self.groups.get_mut(&id)
                && group.poll_timeout().is_some_and(|at| at <= now)
            {
                group.handle_timeout(now, heard_until);
                self.act(id);
            }
            next = self.groups.range(id + 1..).next().map(|(id, _)| *id);
        }
    }
}
