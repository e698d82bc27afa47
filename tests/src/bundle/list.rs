//! `bundle.yaml`: what of a bundle goes where, and the checksum of everything. `lbctl` reads it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::archive::Hashing;

/// The list of a bundle.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List {
    api_version: &'static str,
    kind: &'static str,
    architecture: String,
    kubernetes_version: String,
    image_repository: String,
    pause_image: String,
    files: Vec<Program>,
    images: Vec<ImageArchive>,
}

/// A file for the machines.
#[derive(Debug, Serialize)]
struct Program {
    path: String,
    sha256: String,
    mode: &'static str,
    install: String,
    /// Further names of the same file (hard links).
    links: Vec<String>,
}

/// An archive for the machines' container runtime.
#[derive(Debug, Serialize)]
struct ImageArchive {
    path: String,
    sha256: String,
    names: Vec<String>,
}

impl List {
    /// An empty list for machines of this architecture.
    pub(super) fn new(
        architecture: &str,
        version: &str,
        repository: &str,
        pause_image: &str,
    ) -> Self {
        Self {
            api_version: "bundledlb.io/v1",
            kind: "Bundle",
            architecture: architecture.to_owned(),
            kubernetes_version: version.to_owned(),
            image_repository: repository.to_owned(),
            pause_image: pause_image.to_owned(),
            files: Vec::new(),
            images: Vec::new(),
        }
    }

    /// Adds a program of the bundle that everybody may run on the machines, and further names of it.
    pub(super) fn program(
        &mut self,
        bundle: &Path,
        path: &str,
        install: &str,
        links: &[String],
    ) -> Result<()> {
        self.files.push(Program {
            path: path.to_owned(),
            sha256: sha256(&bundle.join(path))?,
            mode: "0755",
            install: install.to_owned(),
            links: links.to_vec(),
        });
        Ok(())
    }

    /// Adds an archive of the bundle with the images of these names.
    pub(super) fn archive(&mut self, bundle: &Path, path: &str, names: Vec<String>) -> Result<()> {
        self.images.push(ImageArchive {
            path: path.to_owned(),
            sha256: sha256(&bundle.join(path))?,
            names,
        });
        Ok(())
    }

    /// Writes it into the bundle.
    pub(super) fn write(&self, bundle: &Path) -> Result<()> {
        let text = serde_yaml::to_string(self)?;
        fs::write(bundle.join("bundle.yaml"), text).context("cannot write bundle.yaml")
    }
}

/// The SHA-256 of a file in hex.
fn sha256(file: &Path) -> Result<String> {
    let mut hash = Hashing::new(io::sink());
    let mut open = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    io::copy(&mut open, &mut hash)?;
    Ok(hash.finish().0)
}
