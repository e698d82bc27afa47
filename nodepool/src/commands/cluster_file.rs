//! Reading a cluster file for a command that acts on it.

use std::io::Read as _;
use std::path::Path;

use cluster_config::{Cluster, Loaded};

use crate::error::{Exit, Failure};
use crate::ui::Ui;

/// The text of a file, or of stdin for `-`.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| {
        Failure::new(
            Exit::Config,
            format!("cannot read `{}`: {error}", path.display()),
        )
        .hint("`lbctl create config -c NAME` writes a file to begin with")
    })
}

/// Reads and checks a file.
pub(super) fn load(path: &Path) -> Result<Loaded, Failure> {
    let name = if path == Path::new("-") {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    };
    Ok(cluster_config::load(&text(path)?, &name))
}

/// The cluster of a file; what there is to say about it goes to stderr.
pub(super) fn cluster(path: &Path, ui: Ui) -> Result<Cluster, Failure> {
    let loaded = load(path)?;
    let errors = loaded.has_errors();
    if !loaded.diagnostics.is_empty() && (errors || !ui.quiet) {
        ui.say(cluster_config::render_text(&loaded.diagnostics, ui.color).trim_end());
    }
    loaded.cluster.ok_or_else(|| {
        Failure::new(
            Exit::Config,
            format!("`{}` is not valid; nothing was changed", path.display()),
        )
    })
}
