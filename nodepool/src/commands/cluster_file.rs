//! Reading a cluster file for a command that acts on it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use cluster_config::{Cluster, Loaded};

use crate::error::{Exit, Failure};
use crate::ui::Ui;

/// The bytes of a file, or of stdin for `-`; no more than a cluster file may have, and one.
fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let limit = u64::try_from(cluster_config::MAX_BYTES).map_or(u64::MAX, |limit| limit + 1);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(
        Exit::Config,
        format!("cannot read `{}`: {error}", path.display()),
    );
    match error.kind() {
        io::ErrorKind::NotFound => {
            failure.hint("`lbctl create config -c NAME` writes a file to begin with")
        }
        io::ErrorKind::IsADirectory => failure.hint("name a file in it"),
        io::ErrorKind::PermissionDenied => failure.hint("check the file's owner and mode"),
        _ => failure,
    }
}

/// What a file is called in messages.
pub(super) fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    }
}

/// Reads and checks a file.
pub(super) fn load(path: &Path) -> Result<Loaded, Failure> {
    Ok(cluster_config::load_bytes(&bytes(path)?, &name(path)))
}

/// The cluster of a file; what there is to say about it goes to stderr.
pub(super) fn cluster(path: &Path, ui: Ui) -> Result<Cluster, Failure> {
    cluster_and_text(path, ui).map(|(cluster, _)| cluster)
}

/// The same, with the file's text.
pub(super) fn cluster_and_text(path: &Path, ui: Ui) -> Result<(Cluster, String), Failure> {
    let bytes = bytes(path)?;
    let loaded = cluster_config::load_bytes(&bytes, &name(path));
    let errors = loaded.has_errors();
    if !loaded.diagnostics.is_empty() && (errors || !ui.quiet) {
        ui.say(cluster_config::render_text(&loaded.diagnostics, ui.color).trim_end());
    }
    let cluster = loaded.cluster.ok_or_else(|| {
        Failure::new(
            Exit::Config,
            format!("`{}` is not valid; nothing was changed", name(path)),
        )
    })?;
    Ok((cluster, String::from_utf8_lossy(&bytes).into_owned()))
}
