//! What goes wrong, and when.

use crate::random::Random;

/// Something that goes wrong, or right again.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The process of a node dies; with `supervised` its addresses are taken away at once.
    Crash { node: usize, supervised: bool },
    /// It is started (again).
    Start { node: usize },
    /// It is asked to stop.
    Stop { node: usize },
    /// It does not run any more.
    Pause { node: usize },
    /// It runs again; `lost`: nothing was received meanwhile (a paused machine).
    Resume { node: usize, lost: bool },
    /// Its health check fails or succeeds again.
    Health { node: usize, healthy: bool },
    /// Its link goes down or up.
    Link { node: usize, up: bool },
    /// Who can hear whom, by side: nodes on the same side hear each other. The client is on `client`.
    Partition { sides: Vec<u8>, client: u8 },
    /// One node is not heard by another.
    Deaf { from: usize, to: usize },
    /// Everybody hears everybody.
    Heal,
    /// No more loss, no more duplicates.
    Calm,
}

/// A history's faults, in order of time (nanoseconds), ending in a calm network with a partition, then
/// one without.
pub(crate) fn plan(
    random: &mut Random,
    nodes: usize,
    interval: u64,
    bound: u64,
) -> Vec<(u64, Fault)> {
    let mut faults = Vec::new();
    let mut time = 0;
    for node in 0..nodes {
        faults.push((random.below(2 * interval), Fault::Start { node }));
    }
    time += bound;
    for _ in 0..random.between(4, 14) {
        time += if random.happens(500) {
            random.between(interval / 10, 3 * interval)
        } else {
            bound + random.between(interval, 10 * interval)
        };
        let node = random.pick(nodes);
        faults.push((time, one(random, nodes, node)));
        let lasts = random.between(interval / 2, 40 * interval);
        if let Some(end) = end_of(random, &faults[faults.len() - 1].1) {
            faults.push((time + lasts, end));
        }
    }
    faults.sort_by_key(|(at, _)| *at);
    let last = faults.last().map_or(0, |(at, _)| *at);
    let mut calm = last + interval;
    faults.push((calm, Fault::Calm));
    for node in 0..nodes {
        for fault in [
            Fault::Resume { node, lost: false },
            Fault::Health {
                node,
                healthy: true,
            },
            Fault::Link { node, up: true },
            Fault::Start { node },
        ] {
            faults.push((calm, fault));
        }
    }
    let sides = (0..nodes).map(|_| u8::from(random.happens(400))).collect();
    faults.push((
        calm,
        Fault::Partition {
            sides,
            client: u8::from(random.happens(500)),
        },
    ));
    calm += bound + 3_000_000_000;
    faults.push((calm, Fault::Heal));
    faults
}

/// How a router goes for good. Its kernel may have the addresses for longer than it lives.
pub(crate) fn loss_of(random: &mut Random, node: usize) -> Fault {
    match random.below(8) {
        0..3 => Fault::Crash {
            node,
            supervised: false,
        },
        3 => Fault::Crash {
            node,
            supervised: true,
        },
        4 => Fault::Pause { node },
        5 => Fault::Stop { node },
        6 => Fault::Health {
            node,
            healthy: false,
        },
        _ => Fault::Link { node, up: false },
    }
}

fn one(random: &mut Random, nodes: usize, node: usize) -> Fault {
    match random.below(8) {
        0 => Fault::Crash {
            node,
            supervised: random.happens(600),
        },
        1 => Fault::Stop { node },
        2 => Fault::Pause { node },
        3 => Fault::Health {
            node,
            healthy: false,
        },
        4 => Fault::Link { node, up: false },
        5 => Fault::Deaf {
            from: node,
            to: random.pick(nodes),
        },
        6 => Fault::Partition {
            sides: (0..nodes).map(|_| u8::from(random.happens(400))).collect(),
            client: u8::from(random.happens(500)),
        },
        _ => Fault::Heal,
    }
}

fn end_of(random: &mut Random, fault: &Fault) -> Option<Fault> {
    Some(match fault {
        Fault::Crash { node, .. } | Fault::Stop { node } => Fault::Start { node: *node },
        Fault::Pause { node } => Fault::Resume {
            node: *node,
            lost: random.happens(500),
        },
        Fault::Health { node, .. } => Fault::Health {
            node: *node,
            healthy: true,
        },
        Fault::Link { node, .. } => Fault::Link {
            node: *node,
            up: true,
        },
        Fault::Deaf { .. } | Fault::Partition { .. } => Fault::Heal,
        _ => return None,
    })
}
