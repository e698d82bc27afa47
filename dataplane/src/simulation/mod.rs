//! Speakers on a virtual segment in virtual time: the real machines, a made-up world.
//!
//! One number is one story: nodes, addresses, delays, clocks and faults all come from the seed. After every episode
//! of faults the segment becomes quiet (nothing is lost any more, but what is cut stays cut), and then must hold:
//!
//! 1. **one owner**: no two nodes answer for one address if one of them can reach the other;
//! 2. **an owner**: on each side of a cut every address that a node there could serve is answered for;
//! 3. **known**: the neighbours on each side last heard of each address from its owner;
//! 4. **least movement**: an address whose owner was not touched by an episode did not move (but to a node that the
//!    owner hears and that does not hear it);
//! 5. **balance**: nodes that start together share the addresses evenly.
//!
//! And at every moment: a node that did not run for long does not answer, when it runs again, for what another took;
//! and what a node hands over before it ends is answered for all the time.
//!
//! [`Script`]s are stories that few seeds tell. [`Flaw`]s break the nodes on purpose, to show that the checks notice.

pub mod network;

mod api;
mod checks;
mod faults;
mod forgery;
mod node;
mod script;
mod turn;
mod world;

use std::time::Instant;

pub use self::{checks::Violation, script::Script};

/// A way in which nodes can be broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::enum_variant_names,
    reason = "each flaw is something that is missing"
)]
pub enum Flaw {
    /// A starting node takes addresses before it has heard the others.
    NoHoldOff,
    /// A node does not notice that it was frozen.
    NoFreezeCheck,
    /// A winner does not announce again when the loser lets go.
    NoLastWord,
    /// Claims carry no terms.
    NoTerms,
    /// A node whose link is down goes on as if it were up.
    NoLinkCheck,
    /// A node that hands over lets go before anybody else has it.
    NoOverlap,
    /// A node speaks only to those that its own view of the API lists.
    NoAcquaintance,
    /// A node does not greet those whom it does not know.
    NoGreeting,
    /// A node tells another that it has of its state what it had of the life before.
    NoForgetting,
    /// A node that is known and goes on in another incarnation is believed only once it hears who is to believe it.
    NoContinuity,
    /// A node does not mind that another says it has what it has.
    NoObjection,
}

/// What happened in a story without a violation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Episodes of faults.
    pub episodes: u32,
    /// Datagrams delivered.
    pub datagrams: u64,
    /// Times an address changed hands.
    pub moves: u64,
}

/// Tells the story of `seed`; `start` is only a point to count from.
///
/// # Errors
/// The first thing that must not happen.
pub fn run(seed: u64, flaw: Option<Flaw>, start: Instant) -> Result<Summary, Violation> {
    world::World::new(seed, flaw, start).run()
}

/// Tells a story that is told the same way each time but for what `seed` draws.
///
/// # Errors
/// The first thing that must not happen.
pub fn follow(
    script: Script,
    seed: u64,
    flaw: Option<Flaw>,
    start: Instant,
) -> Result<Summary, Violation> {
    world::World::new(seed, flaw, start).follow(script)
}

/// Tells the story of `seed` with everything that nodes do if it ends in a violation.
///
/// # Errors
/// The first thing that must not happen.
pub fn run_in_full(seed: u64, flaw: Option<Flaw>, start: Instant) -> Result<Summary, Violation> {
    world::World::new(seed, flaw, start).talkative().run()
}
