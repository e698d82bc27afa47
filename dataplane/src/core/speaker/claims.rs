//! Taking and letting go of addresses.

use std::{collections::BTreeMap, net::IpAddr, time::Instant};

use super::{Action, Speaker};
use crate::core::{
    ownership::{NodeView, score},
    peers::state::Fitness,
};

/// An address this node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Term of the claim.
    pub term: u64,
    /// How well this node can serve it.
    pub fitness: Fitness,
    /// Since when.
    pub since: Instant,
    /// How it came here.
    pub why: Why,
    /// Interfaces it is answered on, by index.
    pub interfaces: Vec<u32>,
    /// Since when this node cannot serve it any more.
    unfit_since: Option<Instant>,
    /// A peer that claims it as well has to give in: then it is announced once more.
    contested: bool,
}

/// Why an address came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Nobody had it.
    Unowned,
    /// The node that had it is silent.
    Failover(String),
    /// The node that has it hands it over.
    HandedOver(String),
    /// Another node has it with a better claim.
    Outranked(String),
    /// It is no longer to be announced.
    Unwanted,
    /// This node cannot serve it any more.
    Unfit,
    /// This node ends.
    Drained,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unowned => f.write_str("nobody had it"),
            Self::Failover(from) => write!(f, "{from} is silent"),
            Self::HandedOver(from) => write!(f, "{from} handed it over"),
            Self::Outranked(by) => write!(f, "{by} has it"),
            Self::Unwanted => f.write_str("it is not to be announced any more"),
            Self::Unfit => f.write_str("this node cannot serve it"),
            Self::Drained => f.write_str("this speaker ends"),
        }
    }
}

/// A claim that this node gave up before everybody had to know of it.
///
/// Whoever announces an address and lets go of it before a heartbeat arrived leaves neighbours who believe it, beside an
/// owner who noticed nothing. So the claim is told for the patience, as one that cannot be served: who has the address
/// gives in or announces it once more when the claim ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parting {
    /// Term of the claim.
    pub(super) term: u64,
    until: Instant,
}

/// A peer's claim on an address.
struct Rival {
    name: String,
    term: u64,
    fitness: Fitness,
    /// It does not hear this node, so it cannot give in.
    deaf: bool,
}

impl Speaker {
    /// Brings the claims in line with what is known.
    pub(super) fn settle_claims(&mut self, now: Instant, woke: bool) {
        self.partings.retain(|_, parting| now < parting.until);
        let rivals = self.rivals(now);
        for (address, rivals) in &rivals {
            for rival in rivals {
                let known = self.terms.entry(*address).or_default();
                if rival.term >= known.0 {
                    *known = (rival.term, rival.name.clone());
                }
            }
        }
        self.let_go(now, &rivals);
        self.judge_own(now, woke);
        if self.answers() {
            self.take(now, &rivals);
        } else {
            self.orphans.clear();
        }
        self.end_drain(now);
    }

    /// The next moment at which a claim changes by itself.
    pub(super) fn claim_timeout(&self) -> Option<Instant> {
        let overlap = self.timing.overlap();
        let ends = self
            .holdings
            .values()
            .filter_map(|holding| Some(holding.unfit_since? + overlap));
        let step = self.timing.step();
        let orphans = self
            .orphans
            .values()
            .map(|(since, rank)| *since + step * *rank);
        let partings = self.partings.values().map(|parting| parting.until);
        ends.chain(orphans).chain(partings).min()
    }

    fn rivals(&self, now: Instant) -> BTreeMap<IpAddr, Vec<Rival>> {
        let mut rivals: BTreeMap<IpAddr, Vec<Rival>> = BTreeMap::new();
        for (name, peer) in self.membership.peers().filter(|(_, peer)| peer.is_alive()) {
            let deaf = self.is_deaf(now, peer);
            for (address, claim) in &peer.state().claims {
                rivals.entry(*address).or_default().push(Rival {
                    name: name.to_owned(),
                    term: claim.term,
                    fitness: claim.fitness,
                    deaf,
                });
            }
        }
        rivals
    }

    /// Lets go of what is not wanted, of what another has with a better claim, and of what this node has been
    /// unable to serve for long enough.
    fn let_go(&mut self, now: Instant, rivals: &BTreeMap<IpAddr, Vec<Rival>>) {
        let me = self.membership.name().to_owned();
        let overlap = self.timing.overlap();
        let mut gone = Vec::new();
        let mut settled = Vec::new();
        for (address, holding) in &mut self.holdings {
            let others = rivals.get(address).map_or(&[][..], Vec::as_slice);
            let mine = (holding.term, score(&me, *address));
            let better =
                |rival: &&Rival| rival.deaf || (rival.term, score(&rival.name, *address)) > mine;
            if let Some(rival) = others.iter().find(better) {
                gone.push((*address, Why::Outranked(rival.name.clone())));
            } else if !self.directory.addresses.contains_key(address) {
                gone.push((*address, Why::Unwanted));
            } else if holding
                .unfit_since
                .is_some_and(|since| now >= since + overlap)
            {
                gone.push((*address, Why::Unfit));
            } else if !others.is_empty() {
                holding.contested = true;
            } else if std::mem::take(&mut holding.contested) {
                settled.push(*address);
            }
        }
        for (address, why) in gone {
            self.release(now, address, why);
        }
        for address in settled {
            self.announcements.start(now, address);
        }
    }

    /// Says how well this node can serve what it has, and where.
    fn judge_own(&mut self, now: Instant, woke: bool) {
        let own = self.state();
        let node = NodeView {
            name: self.membership.name(),
            state: &own,
            deaf: false,
        };
        if !self.answers() {
            return;
        }
        for (address, holding) in &mut self.holdings {
            holding.fitness = self.directory.fitness(*address, node);
            if holding.fitness > Fitness::Unfit {
                holding.unfit_since = None;
            } else {
                holding.unfit_since.get_or_insert(now);
            }
            let Some(wanted) = self.directory.addresses.get(address) else {
                continue;
            };
            let interfaces: Vec<u32> = self
                .interfaces
                .iter()
                .filter(|interface| interface.up)
                .filter(|interface| {
                    wanted.reaches.iter().any(|reach| {
                        reach.nodes.contains(node.name)
                            && reach.interfaces.admits(interface, *address)
                    })
                })
                .map(|interface| interface.index)
                .collect();
            if woke
                || interfaces
                    .iter()
                    .any(|index| !holding.interfaces.contains(index))
            {
                self.announcements.start(now, *address);
            }
            holding.interfaces = interfaces;
        }
    }

    /// Takes what falls to this node.
    fn take(&mut self, now: Instant, rivals: &BTreeMap<IpAddr, Vec<Rival>>) {
        let own = self.state();
        let me = self.membership.name().to_owned();
        let views = self.views(now, &own);
        let plan = self.directory.plan(&views);
        let mut orphans = BTreeMap::new();
        let mut taken = Vec::new();
        for (address, order) in plan {
            let Some(rank) = order.iter().position(|name| *name == me) else {
                continue;
            };
            let rank = u32::try_from(rank).unwrap_or(u32::MAX);
            let since = self.orphans.get(&address).map_or(now, |(since, _)| *since);
            if rank == 0 || now >= since + self.timing.step() * rank {
                taken.push(address);
            } else {
                orphans.insert(address, (since, rank));
            }
        }
        self.orphans = orphans;
        for address in taken {
            let others = rivals.get(&address).map_or(&[][..], Vec::as_slice);
            let why = match others
                .iter()
                .max_by_key(|rival| (rival.term, rival.fitness))
            {
                Some(rival) => Why::HandedOver(rival.name.clone()),
                None => match self.terms.get(&address) {
                    Some((_, name)) if *name != me => Why::Failover(name.clone()),
                    _ => Why::Unowned,
                },
            };
            self.hold(now, address, why);
        }
        if !self.holdings.is_empty() {
            self.judge_own(now, false);
        }
    }

    fn hold(&mut self, now: Instant, address: IpAddr, why: Why) {
        let me = self.membership.name().to_owned();
        let known = self.terms.entry(address).or_default();
        let parting = self.partings.remove(&address);
        let term = parting.map_or(known.0, |parting| known.0.max(parting.term)) + 1;
        *known = (term, me);
        self.holdings.insert(
            address,
            Holding {
                term,
                fitness: Fitness::Fit,
                since: now,
                why: why.clone(),
                interfaces: Vec::new(),
                unfit_since: None,
                contested: matches!(why, Why::HandedOver(_)),
            },
        );
        self.actions.push_back(Action::Took(address, why));
    }

    fn release(&mut self, now: Instant, address: IpAddr, why: Why) {
        if let Some(holding) = self.holdings.remove(&address) {
            let patience = self.timing.patience;
            // Who is alive has heard of an older one, and who outranks this node has it and announces it.
            let unheard = now < holding.since + patience;
            if unheard && matches!(why, Why::Unwanted | Why::Unfit) {
                let parting = Parting {
                    term: holding.term,
                    until: now + patience,
                };
                self.partings.insert(address, parting);
            }
            self.announcements.stop(address);
            self.disputes.close(address);
            self.actions.push_back(Action::Released(address, why));
        }
    }

    /// Lets go of everything when the time to hand over is up, or when there is nobody to hand over to.
    fn end_drain(&mut self, now: Instant) {
        let Some(deadline) = self.draining else {
            return;
        };
        let own = self.state();
        let views = self.views(now, &own);
        let plan = self.directory.plan(&views);
        let takers = self
            .holdings
            .keys()
            .any(|address| plan.contains_key(address));
        drop(plan);
        if now >= deadline || !takers {
            for address in self.holdings.keys().copied().collect::<Vec<_>>() {
                self.release(now, address, Why::Drained);
            }
        }
    }
}
