//! Collects what a snapshot holds, from all nodes at the same time, and packs it.

use std::io;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use futures::stream;

use super::fleet::{Fleet, MachineSession};
use super::probe::run_number;
use super::redact::Redactor;
use super::{CONCURRENCY, World};
use crate::core::snapshot::{Entry, parts};
use crate::script;
use crate::ui::Progress;
use crate::workspace;

/// What every node says, as files of its own folder; of one that does not answer, why.
pub async fn from_nodes(world: &World<'_>, fleet: &Fleet<'_>) -> Vec<Entry> {
    let mark = format!("#{:016x}", run_number());
    let progress = Progress::begin(world.ui, "ask the nodes");
    let asking = fleet
        .machines
        .values()
        .map(|session| from_node(session, &mark, &progress));
    let told: Vec<Vec<Entry>> = stream::iter(asking)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    progress.end();
    told.into_iter().flatten().collect()
}

async fn from_node(session: &MachineSession<'_>, mark: &str, progress: &Progress) -> Vec<Entry> {
    let address = session.address;
    let name = address.to_string();
    let folder = format!("nodes/{name}");
    progress.step(address, &name, 0, 1, "collect");
    let outcome = session
        .run(&script::snapshot(mark), "collect a snapshot")
        .await;
    let why = match outcome {
        Ok(output) if output.status == 0 => {
            progress.done(address, &name, 1);
            return parts(&folder, mark, &output.stdout);
        }
        Ok(output) => format!("ended with {}: {}", output.status, output.stderr.trim()),
        Err(failure) => failure.to_string(),
    };
    progress.failed(address, &name, &why);
    vec![Entry {
        path: format!("{folder}/{UNREACHABLE}"),
        text: format!("{why}\n"),
    }]
}

/// The file of a node that did not answer.
pub const UNREACHABLE: &str = "unreachable";

/// Packs files below `folder` into an archive that only its owner can read. Secrets are taken out of every one of them,
/// whatever it is.
///
/// # Errors
/// When it cannot be written.
pub fn pack(path: &Path, folder: &str, seconds: u64, entries: &[Entry]) -> io::Result<()> {
    let redactor = Redactor::default();
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for entry in entries {
        let text = redactor.clean(&entry.text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        archive.append_data(
            &mut header,
            format!("{folder}/{}", entry.path),
            text.as_bytes(),
        )?;
    }
    let packed = archive.into_inner()?.finish()?;
    workspace::write_private(path, &packed)
}
