//! `lbctl create config` and `lbctl check config`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use super::cluster_file;
use crate::cli;
use crate::error::{Exit, Failure};
use crate::ui::Ui;

/// Name of the schema that is written beside a cluster file, so that editors find it without a network.
const SCHEMA: &str = "cluster.schema.json";

pub(super) fn create(args: &cli::CreateConfig, ui: Ui) -> Result<(), Failure> {
    let text = cluster_config::template(&args.cluster, SCHEMA)
        .map_err(|reason| Failure::new(Exit::Usage, reason.to_string()))?;
    if args.file.as_deref() == Some(Path::new("-")) {
        return ui.result(&text);
    }
    let path = args.file.clone().unwrap_or_else(|| {
        args.workspace
            .join(&args.cluster)
            .join(format!("{}.yaml", args.cluster))
    });
    write(&path, &text).map_err(|error| {
        let failure = Failure::failed(format!("cannot write `{}`: {error}", path.display()));
        if error.kind() == io::ErrorKind::AlreadyExists {
            return failure.hint("a file that exists is never overwritten: move it away, or choose another with `--output-file`");
        }
        failure
    })?;
    ui.result(&format!("{}\n", path.display()))?;
    ui.note(&format!(
        "fill in the addresses, then: lbctl check config -f {}",
        path.display()
    ));
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    std::fs::write(folder.join(SCHEMA), cluster_config::json_schema())
}

pub(super) fn check(args: &cli::CheckConfig, ui: Ui) -> Result<(), Failure> {
    let loaded = cluster_file::load(&args.file)?;
    let name = cluster_file::name(&args.file);
    match args.output {
        cli::Output::Table => {
            let text = cluster_config::render_text(&loaded.diagnostics, ui.color);
            if !text.is_empty() {
                ui.say(text.trim_end());
            }
            if loaded.has_errors() {
                let summary = cluster_config::summary(&loaded.diagnostics);
                ui.say(&format!("\n{name}: {summary}"));
            } else {
                ui.result(&format!("{name}: ok\n"))?;
            }
        }
        form => ui.listing(form, &loaded.diagnostics)?,
    }
    if loaded.has_errors() {
        Err(Failure::silent(Exit::Config))
    } else {
        Ok(())
    }
}
