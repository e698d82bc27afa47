//! The cluster file: parse, check, derive.
//!
//! ```text
//! text ─► yaml (tree with places) ─► structure (keys, kinds, formats: `field`) ─► lower (model) ─► check (rules)
//!                                                                                    │
//!                                                        derive (who runs what, /etc/lbnode/*.yaml) ◄┘
//! ```
//!
//! [`load()`] does all of it at once and returns every finding; a [`Cluster`] exists only for a file without
//! errors. [`node`] holds the files that land on a node: written by `lbctl`, read by `lbnode`.

pub mod change;
mod check;
mod code;
pub mod derive;
mod diagnostic;
mod documents;
mod field;
mod load;
mod lower;
pub mod model;
pub mod net;
mod networks;
pub mod node;
mod print;
pub mod probe;
mod reference;
mod render;
mod report;
mod schema;
mod structure;
mod suggest;
mod template;
mod yaml;

pub use change::{Change, File, Verdict, changes, refusals};
pub use code::Code;
pub use diagnostic::{Diagnostic, Place, Related, Severity};
pub use load::{Loaded, load, load_bytes};
pub use model::Cluster;
pub use networks::{NetworkFinding, NodeNetworks, check_networks};
pub use reference::reference_markdown;
pub use render::{render_json, render_text, summary};
pub use schema::json_schema;
pub use template::{InvalidName, template};
pub use yaml::MAX_BYTES;
