//! What holds for every record, shared with the fuzz target.

use vrrp::proto::replay::{read, replay};

/// Reads and replays the text; neither may panic or run for ever.
pub(crate) fn hold(text: &str) {
    if let Ok(lines) = read(text) {
        let _ = replay(&lines);
    }
}
