//! `bundle.yaml`: what of a bundle goes where, and the checksum of everything. `lbctl` reads it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

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

/// The paths of everything that the text of a list names.
pub(super) fn paths(text: &str) -> Result<Vec<String>> {
    let list: Value = serde_yaml::from_str(text)?;
    let all = ["files", "images"].into_iter();
    all.flat_map(|part| list[part].as_array().into_iter().flatten())
        .map(|one| {
            let path = one["path"].as_str();
            path.map(str::to_owned).context("what is listed has a path")
        })
        .collect()
}

/// The SHA-256 of a file in hex.
fn sha256(file: &Path) -> Result<String> {
    let mut hash = Hashing::new(io::sink());
    let mut open = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    io::copy(&mut open, &mut hash)?;
    Ok(hash.finish().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_names_is_found_in_its_text() {
        let folder = tempfile::tempdir().expect("a directory");
        for file in ["kubeadm", "0.tar"] {
            fs::write(folder.path().join(file), "bytes").expect("a file");
        }
        let mut list = List::new("amd64", "v1.36.3", "lab.invalid", "lab.invalid/pause:3");
        list.program(folder.path(), "kubeadm", "/usr/local/bin/kubeadm", &[])
            .expect("it is there");
        list.archive(
            folder.path(),
            "0.tar",
            vec!["lab.invalid/pause:3".to_owned()],
        )
        .expect("it is there");
        list.write(folder.path()).expect("written");
        let text = fs::read_to_string(folder.path().join("bundle.yaml")).expect("a list");
        assert_eq!(paths(&text).expect("a list"), ["kubeadm", "0.tar"]);
        paths("files:\n- mode: '0755'\n").expect_err("no path");
    }
}
