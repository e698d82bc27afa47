//! The virtual router against its acceptance list: one test per row, named after it
//! (`docs/protocol.md` has the table). Time is virtual: no test waits.
#![expect(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod active;
mod alarms;
mod announcements;
mod backup;
mod groups;
mod hand_over;
mod initialize;
mod packets;
mod receive;
mod reload;
mod replay;
mod rig;
mod solicitations;
mod stopping;
mod table;
mod timers;
mod vectors;
