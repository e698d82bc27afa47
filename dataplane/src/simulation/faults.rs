//! What goes wrong in an episode.

use std::time::Duration;

use crate::core::random::Random;

/// One thing that goes wrong, or right again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A node's process ends without a word.
    Crash(usize),
    /// A node's process starts.
    Boot(usize),
    /// A node's process starts, and its clock shows less than the last time.
    BootInThePast(usize),
    /// A node stands still for a while.
    Pause(usize, Duration),
    /// A node's cable is pulled or put back.
    Cable(usize, bool),
    /// A node is asked to end.
    Drain(usize),
    /// A node is cordoned or uncordoned.
    Cordon(usize, bool),
    /// A node gets the label of the nodes that serve, or loses it; one node may not hear of that, nor of anything
    /// after it.
    Label {
        node: usize,
        labelled: bool,
        unheard_by: Option<usize>,
    },
    /// A node that was no speaker gets the label and starts; `stranger` lost its own before and did not hear of that,
    /// nor of anything after it: neither lists the other.
    Newcomer { stranger: usize },
    /// The segment falls in two; nodes of the first side may go on hearing the second.
    Split { side: Vec<bool>, one_way: bool },
    /// The segment is whole again.
    Heal,
    /// Nodes no longer hear of changes, or hear of them again.
    ApiDown(Vec<bool>),
    /// Addresses appear or disappear.
    Addresses(u8),
    /// The endpoints of the local Services move.
    Endpoints,
}

/// Draws a fault for a world of `nodes`.
pub(super) fn draw(random: &mut Random, nodes: usize) -> Fault {
    let bound = u64::try_from(nodes).unwrap_or(1);
    let node = usize::try_from(random.below(bound)).unwrap_or(0);
    let sides = |random: &mut Random| (0..nodes).map(|_| random.chance(50)).collect::<Vec<_>>();
    match random.below(114) {
        0..14 => Fault::Crash(node),
        14..30 => Fault::Boot(node),
        30..33 => Fault::BootInThePast(node),
        33..45 => Fault::Pause(node, Duration::from_millis(random.below(3000))),
        45..55 => Fault::Cable(node, false),
        55..63 => Fault::Cable(node, true),
        63..68 => Fault::Drain(node),
        68..71 => Fault::Cordon(node, true),
        71..74 => Fault::Cordon(node, false),
        74..82 => Fault::Split {
            side: sides(random),
            one_way: random.chance(35),
        },
        82..89 => Fault::Heal,
        89..92 => Fault::ApiDown(sides(random)),
        92..97 => Fault::Addresses(u8::try_from(random.below(24)).unwrap_or(0)),
        97..100 => Fault::Endpoints,
        110.. => Fault::Newcomer { stranger: node },
        labelled => {
            let labelled = labelled < 105;
            let other = usize::try_from(random.below(bound)).unwrap_or(0);
            // Who loses its label and does not hear of it goes on as before.
            let deaf = if labelled { other } else { node };
            Fault::Label {
                node,
                labelled,
                unheard_by: random.chance(60).then_some(deaf),
            }
        }
    }
}
