//! The virtual router as a machine: it takes the time and inputs and returns actions.
//!
//! ```text
//!                 started, healthy, link up                 every member silent for its
//!  ┌────────────┐ ───────────────────────► ┌────────┐       Active_Down_Interval      ┌────────┐
//!  │ Initialize │                          │ Backup │ ──────────────────────────────► │ Active │
//!  └────────────┘ ◄─── stop ────────────── └────────┘ ◄── better advert, freeze ───── └────────┘
//!        ▲                                   │    ▲                                    │  │  ▲
//!        │                      link, health │    │ recovered          link, health    │  │  │ advert,
//!        │                                   ▼    │                                    │  │  │ renewal
//!        │                                 ┌────────┐                                  │  └──┘
//!        │                                 │ Fault  │ ◄──── priority 0, addresses off ─┘  │
//!        │                                 └────────┘                                     │
//!        └──── stop: priority 0 until a successor speaks, then addresses off ─────────────┘
//! ```
//!
//! A [`Group`] is one such machine with one or more members (a VRID in an address family each) that move
//! together: it takes over when *all* members have been silent, and yields when *one* of them is outbid.
//! With one member it is the state machine of RFC 9568 §6.4.
//!
//! Nothing here reads a clock, opens a socket, or logs. `driver.rs` feeds it in production; the tables,
//! the simulation and the replay feed it in tests.

pub mod action;
pub mod announcer;
pub mod group;
pub mod input;
pub mod moment;
pub mod packet;
pub mod peers;
pub mod replay;
pub mod scalars;
pub mod settings;
pub mod solicitor;
pub mod state;
pub mod stats;
pub mod timers;

pub use action::{Action, Alarm, Destination};
pub use group::Group;
pub use input::{Datagram, Health, Input, Link};
pub use moment::Moment;
pub use packet::{Advert, ChecksumSeen, PacketError, Version};
pub use scalars::{AdvertInterval, Family, OutOfRange, Priority, Vrid};
pub use settings::{AnnounceSettings, GroupSettings, MemberSettings, Versions};
pub use state::{State, Why};
pub use stats::Counters;
