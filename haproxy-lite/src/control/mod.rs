//! Everything but the data path, on one thread: checks, configuration, listeners, stopping.

mod check;
mod driver;
mod hand_over;
mod life;
mod listeners;
mod operator;
mod orders;
mod servers;

pub(crate) use driver::{AdminPort, Control, Latches};
pub(crate) use hand_over::Predecessor;
