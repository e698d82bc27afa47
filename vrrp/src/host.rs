//! The thread that talks to the kernel's network configuration: it puts addresses on interfaces, takes
//! them off, and watches both. It decides nothing; it brings the kernel to what was asked for last.

mod leftovers;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use l2::linux::address::{Addresses, Held, Mark};
use l2::linux::link::{Change, Links};
use l2::linux::neighbour::Neighbours;
use l2::linux::netlink::Notifications;
use l2::linux::poller::Poller;

use crate::config::GroupPlan;
use crate::driver::Event;
use crate::hand_over::HandOver;
use crate::mailbox::{Mailbox, Sender};
use crate::place::{Place, home, place};
use crate::proto::{Input, Link};

pub(crate) use leftovers::remove_ours;

/// Marks our addresses in the kernel: the IP protocol number of VRRP.
pub(crate) const MARK: Mark = Mark(112);
/// Without renewal an address goes by itself after this, whatever became of us.
pub(crate) const LIFETIME: Duration = Duration::from_secs(2);

/// How long addresses may need to come into force (112 ms were seen on busy processors): less than their lifetime by far.
const PATIENCE: Duration = Duration::from_millis(400);

/// What the router thread asks for.
#[derive(Debug)]
pub(crate) enum HostCommand {
    /// Have the group's addresses, with a fresh lifetime.
    Own { group: usize, confirm: bool },
    /// Have none of them.
    Release { group: usize },
    /// Keep them silently for the grace.
    Linger { group: usize },
    /// Pass what belongs to older connections on for the grace.
    PassOn {
        group: usize,
        member: usize,
        to: IpAddr,
    },
    /// Other plans; groups that are missing stay until they retire.
    Plan(BTreeMap<usize, GroupPlan>),
    /// The group has stopped.
    Retire { group: usize },
    /// Everything is done: end the thread.
    Finish,
}

/// The host side of all groups.
#[derive(Debug)]
pub(crate) struct Host {
    addresses: Addresses,
    links: Links,
    neighbours: Neighbours,
    notifications: Notifications,
    hand_over: HandOver,
    groups: BTreeMap<usize, HostGroup>,
    events: Sender<Event>,
    /// Whether new addresses came into force the last time.
    settles: bool,
}

#[derive(Debug)]
struct HostGroup {
    plan: GroupPlan,
    wanted: bool,
    told: Vec<Option<Result<Place, String>>>,
    told_unresolved: Vec<Vec<IpAddr>>,
    held: BTreeSet<Held>,
}

const MAIL: u32 = 0;
const NOTIFY: u32 = 1;

impl Host {
    /// Opens the sockets and removes what an earlier process left behind. `stands_back`: an address may be somebody else's.
    pub(crate) fn open(
        plans: &BTreeMap<usize, GroupPlan>,
        stands_back: bool,
        events: Sender<Event>,
    ) -> io::Result<Self> {
        // Notifications first: nothing that changes while everything is read may be missed.
        let notifications = Notifications::open()?;
        let mut addresses = Addresses::open(MARK)?;
        let configured = plans.values().flat_map(|plan| &plan.routers);
        let configured = configured
            .flat_map(|router| router.addresses.iter().copied())
            .collect();
        let mut host = Self {
            hand_over: HandOver::open(&mut addresses, &configured)?,
            addresses,
            links: Links::default(),
            neighbours: Neighbours::read()?,
            notifications,
            groups: BTreeMap::new(),
            events,
            settles: true,
        };
        // Whoever stands back takes nobody's address away that does not carry our mark.
        let own = configured.into_iter().filter(|_| !stands_back).collect();
        for held in remove_ours(&mut host.addresses, &own)? {
            tracing::info!(address = %held.address, interface = held.index, "removed an address left behind by an earlier run");
        }
        host.links = Links::read()?;
        host.plan(plans.clone());
        Ok(host)
    }

    /// Works until told to finish.
    pub(crate) fn run(mut self, mut mail: Mailbox<HostCommand>) -> io::Result<()> {
        let mut poller = Poller::new()?;
        poller.add(&mail, MAIL)?;
        poller.add(&self.notifications, NOTIFY)?;
        let mut ready = Vec::new();
        loop {
            poller.wait(self.hand_over.due(), &mut ready)?;
            self.hand_over.tidy(&mut self.addresses);
            if ready.contains(&NOTIFY) {
                self.read_notifications()?;
            }
            for command in mail.drain() {
                if matches!(command, HostCommand::Finish) {
                    return Ok(());
                }
                self.obey(command);
            }
        }
    }

    fn obey(&mut self, command: HostCommand) {
        match command {
            HostCommand::Own { group, confirm } => self.own(group, confirm),
            HostCommand::Release { group } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.wanted = false;
                    self.hand_over
                        .end(&group.plan, &self.links, &mut self.addresses);
                }
                self.remove_unwanted();
            }
            HostCommand::Linger { group } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.wanted = false;
                    self.hand_over
                        .linger(&group.plan, &self.links, &mut self.addresses);
                }
                self.remove_unwanted();
            }
            HostCommand::PassOn { group, member, to } => {
                if let Some(group) = self.groups.get(&group) {
                    self.hand_over
                        .pass_on(&group.plan, member, to, &self.links, &self.neighbours);
                }
            }
            HostCommand::Plan(plans) => {
                self.plan(plans);
                self.remove_unwanted();
            }
            HostCommand::Retire { group } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.wanted = false;
                }
                self.remove_unwanted();
                self.groups.remove(&group);
            }
            HostCommand::Finish => {}
        }
    }

    fn plan(&mut self, plans: BTreeMap<usize, GroupPlan>) {
        for (id, plan) in plans {
            let routers = plan.routers.len();
            let group = self.groups.entry(id).or_insert_with(|| HostGroup {
                plan: plan.clone(),
                wanted: false,
                told: Vec::new(),
                told_unresolved: Vec::new(),
                held: BTreeSet::new(),
            });
            group.plan = plan;
            group.told = vec![None; routers];
            group.told_unresolved = vec![Vec::new(); routers];
        }
        self.tell_links();
    }

    fn own(&mut self, id: usize, confirm: bool) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.wanted = true;
        let mut refusal = None;
        let mut added = Vec::new();
        for router in &group.plan.routers {
            let Some(interface) = home(router, &self.links) else {
                refusal = Some(format!("no interface for {}", router.source));
                continue;
            };
            let label = label(&interface.name);
            for address in &router.addresses {
                let held = Held {
                    index: interface.index,
                    address: *address,
                };
                group.held.insert(held);
                added.push(held);
                if let Err(error) = self.addresses.own(held, label.as_deref(), LIFETIME) {
                    refusal = Some(format!("{address} on `{}`: {error}", interface.name));
                }
            }
        }
        // Before the second place goes, so that the address is not nowhere meanwhile.
        if confirm && refusal.is_none() {
            self.settle(&added);
        }
        if let Some(group) = self.groups.get(&id) {
            self.hand_over
                .own(&group.plan, &self.links, &mut self.addresses);
        }
        self.remove_unwanted();
        let answer = match refusal {
            None if confirm => Input::Owned,
            Some(detail) if confirm => Input::OwnRefused { detail },
            Some(detail) => {
                tracing::debug!(detail, "an address could not be renewed");
                return;
            }
            None => return,
        };
        self.events.send(Event::Input {
            group: id,
            input: answer,
        });
    }

    /// Waits until the kernel takes what comes for the addresses: they are announced next, and a client's first segment
    /// is dropped before. Where that was in vain it is not waited for again: renewals of other groups wait meanwhile.
    fn settle(&mut self, added: &[Held]) {
        let patience = if self.settles {
            PATIENCE
        } else {
            Duration::ZERO
        };
        let settles = self.addresses.settle(added, patience);
        if self.settles && !matches!(settles, Ok(true)) {
            tracing::warn!(
                ?settles,
                "the kernel does not say of every address that packets to it are this node's; they are announced all the same"
            );
        }
        self.settles = matches!(settles, Ok(true));
    }

    /// Takes off what no group wants any more.
    fn remove_unwanted(&mut self) {
        let mut wanted = BTreeSet::new();
        for group in self.groups.values().filter(|group| group.wanted) {
            for router in &group.plan.routers {
                if let Some(interface) = home(router, &self.links) {
                    let index = interface.index;
                    wanted.extend(router.addresses.iter().map(|address| Held {
                        index,
                        address: *address,
                    }));
                }
            }
        }
        for group in self.groups.values_mut() {
            let gone: Vec<_> = group.held.difference(&wanted).copied().collect();
            for held in gone {
                group.held.remove(&held);
                if let Err(error) = self.addresses.release(held) {
                    tracing::error!(address = %held.address, %error, "cannot take an address off; it goes by itself within two seconds");
                }
            }
        }
    }

    fn read_notifications(&mut self) -> io::Result<()> {
        loop {
            let Some(messages) = self.notifications.receive()? else {
                for held in self.links.read_again()? {
                    self.tell_removed(held);
                }
                self.neighbours = Neighbours::read()?;
                self.tell_links();
                continue;
            };
            if messages.is_empty() {
                return Ok(());
            }
            let mut changed = false;
            for message in messages {
                changed |= self.neighbours.apply(&message).is_some();
                let change = self.links.apply(&message);
                changed |= change.is_some();
                if let Some(Change::Removed(held)) = change {
                    self.tell_removed(held);
                }
            }
            if changed {
                self.tell_links();
            }
        }
    }

    /// Whether it is an address of groups of which none wants it, and on no interface.
    fn is_gone(&self, address: IpAddr) -> bool {
        let has = |plan: &GroupPlan| {
            let mut routers = plan.routers.iter();
            routers.any(|router| router.addresses.contains(&address))
        };
        let mut with_it = self.groups.values().filter(|group| has(&group.plan));
        self.links.holding(address).is_none()
            && with_it.next().is_some_and(|group| !group.wanted)
            && with_it.all(|group| !group.wanted)
    }

    /// An address is gone: somebody took it away from a group that still wants it, or it has left as it should.
    fn tell_removed(&mut self, held: Held) {
        for (id, group) in &self.groups {
            if group.wanted && group.held.contains(&held) {
                tracing::warn!(address = %held.address, group = group.plan.settings.name, "somebody removed the address, or its lifetime ran out; it is put back while this node is Active");
                self.events.send(Event::Input {
                    group: *id,
                    input: Input::AddressLost,
                });
            }
        }
        if self.is_gone(held.address) {
            self.hand_over.left(held.address);
        }
    }

    /// Tells the router thread where each router lives, if that changed.
    fn tell_links(&mut self) {
        for (id, group) in &mut self.groups {
            for (member, router) in group.plan.routers.iter().enumerate() {
                let place = place(router, &self.links);
                if group.told[member].as_ref() == Some(&place) {
                    continue;
                }
                group.told[member] = Some(place.clone());
                let event = match place {
                    Ok(place) => Event::Placed {
                        group: *id,
                        member,
                        place,
                    },
                    Err(detail) => Event::Input {
                        group: *id,
                        input: Input::Link {
                            member,
                            link: Link::Lost { detail },
                        },
                    },
                };
                self.events.send(event);
            }
        }
        self.tell_unresolved();
    }

    /// Tells the router thread which unicast peers the kernel cannot reach, if that changed.
    fn tell_unresolved(&mut self) {
        for (id, group) in &mut self.groups {
            let members = group.plan.settings.members.iter().zip(&group.told);
            for (member, (settings, told)) in members.enumerate() {
                let Some(Ok(place)) = told else { continue };
                let is_unresolved = |peer: &IpAddr| {
                    place.is_on_link(*peer) && !self.neighbours.is_resolved(place.index, *peer)
                };
                let peers = settings.peers.iter().copied();
                let peers: Vec<_> = peers.filter(is_unresolved).collect();
                if group.told_unresolved[member] != peers {
                    group.told_unresolved[member].clone_from(&peers);
                    let input = Input::Unresolved { member, peers };
                    self.events.send(Event::Input { group: *id, input });
                }
            }
        }
    }
}

/// Names our addresses for `ip addr`, unless the interface's name leaves no room.
fn label(interface: &str) -> Option<String> {
    const LONGEST: usize = 15;
    let label = format!("{interface}:vip");
    (label.len() <= LONGEST).then_some(label)
}
