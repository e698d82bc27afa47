//! The bundle: a directory with the software for the nodes, listed in its `bundle.yaml`.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::digest;

/// A bundle that was read and whose files exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its directory.
    pub directory: PathBuf,
    /// `amd64` or `arm64`.
    pub architecture: String,
    /// `v1.36.3`.
    pub kubernetes_version: String,
    /// Registry part of kubeadm's image names.
    pub image_repository: String,
    /// Image of the pods' sandbox.
    pub pause_image: String,
    /// Programs and other files.
    pub files: Vec<BundleFile>,
    /// Image archives.
    pub images: Vec<BundleImages>,
}

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// Path inside the bundle.
    pub path: String,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Path on the node.
    pub install: String,
    /// Further names on the node, made as hard links.
    #[serde(default)]
    pub links: Vec<String>,
}

/// An image archive of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleImages {
    /// Path inside the bundle.
    pub path: String,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Names of the images in it.
    pub names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    api_version: String,
    kind: String,
    architecture: String,
    kubernetes_version: String,
    image_repository: String,
    pause_image: String,
    #[serde(default)]
    files: Vec<BundleFile>,
    #[serde(default)]
    images: Vec<BundleImages>,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleFailure {
    /// No directory or no `bundle.yaml`.
    #[error("`{}` is not a bundle: {reason}", path.display())]
    Missing {
        /// The path that was tried.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// `bundle.yaml` cannot be read.
    #[error("`{}`: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// A file is not the one that the list names.
    #[error("`{}`: its SHA-256 is {found}, `bundle.yaml` says {expected}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// As listed.
        expected: String,
        /// As it is.
        found: String,
    },
}

/// `apiVersion` of `bundle.yaml`.
const API_VERSION: &str = "bundledlb.io/v1";

impl Bundle {
    /// Reads `directory/bundle.yaml` and checks that the files it lists exist. What is in programs is checked when it
    /// arrives on a node, what is in archives before they are sent: [`Self::verify()`].
    ///
    /// # Errors
    /// When the directory, the list or a file is missing, or the list is malformed.
    pub fn load(directory: &Path) -> Result<Self, BundleFailure> {
        let path = directory.join("bundle.yaml");
        let text = std::fs::read_to_string(&path).map_err(|error| BundleFailure::Missing {
            path: directory.to_owned(),
            reason: format!("cannot read `bundle.yaml` in it: {error}"),
        })?;
        let invalid = |reason: String| BundleFailure::Invalid {
            path: path.clone(),
            reason,
        };
        let document: Document =
            serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        if document.api_version != API_VERSION || document.kind != "Bundle" {
            return Err(invalid(format!(
                "`apiVersion: {API_VERSION}` and `kind: Bundle` expected, not `{}`, `{}`",
                document.api_version, document.kind
            )));
        }
        let bundle = Self {
            directory: directory.to_owned(),
            architecture: document.architecture,
            kubernetes_version: document.kubernetes_version,
            image_repository: document.image_repository,
            pause_image: document.pause_image,
            files: document.files,
            images: document.images,
        };
        bundle.check().map_err(invalid)?;
        Ok(bundle)
    }

    fn check(&self) -> Result<(), String> {
        if !self.kubernetes_version.starts_with('v') {
            return Err(format!(
                "`kubernetesVersion` must look like `v1.36.3`, not `{}`",
                self.kubernetes_version
            ));
        }
        let listed = self.files.iter().map(|file| (&file.path, &file.sha256));
        let listed = listed.chain(self.images.iter().map(|image| (&image.path, &image.sha256)));
        for (path, sha256) in listed {
            let inside = Path::new(path)
                .components()
                .all(|c| matches!(c, Component::Normal(_)));
            if !inside {
                return Err(format!("`path: {path}` leads out of the bundle"));
            }
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            if sha256.len() != 64 || !sha256.chars().all(hex) {
                return Err(format!(
                    "`sha256` of `{path}` is not 64 lower-case hex digits"
                ));
            }
            if !self.path_of(path).is_file() {
                return Err(format!("the file `{path}` is listed but missing"));
            }
        }
        for file in &self.files {
            for target in std::iter::once(&file.install).chain(&file.links) {
                if !target.starts_with('/') || target.split('/').any(|part| part == "..") {
                    return Err(format!("`{target}` is not an absolute path on a node"));
                }
            }
            if u32::from_str_radix(&file.mode, 8).is_err() {
                return Err(format!(
                    "`mode: {}` of `{}` is not octal",
                    file.mode, file.path
                ));
            }
        }
        Ok(())
    }

    /// Compares an image archive with its checksum.
    ///
    /// # Errors
    /// When it cannot be read, or is another one.
    pub fn verify(&self, images: &BundleImages) -> Result<(), BundleFailure> {
        let path = self.path_of(&images.path);
        let opened = std::fs::File::open(&path).and_then(digest::sha256_of);
        match opened {
            Ok(found) if found == images.sha256 => Ok(()),
            Ok(found) => Err(BundleFailure::Changed {
                path,
                expected: images.sha256.clone(),
                found,
            }),
            Err(error) => Err(BundleFailure::Invalid {
                path,
                reason: format!("cannot be read: {error}"),
            }),
        }
    }

    /// Where a listed file is on the operator's machine.
    pub fn path_of(&self, listed: &str) -> PathBuf {
        self.directory.join(listed)
    }

    /// Whether it installs something at `path`.
    pub fn installs(&self, path: &str) -> bool {
        self.files
            .iter()
            .any(|file| file.install == path || file.links.iter().any(|link| link == path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn write(text: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("bin")).expect("a directory");
        std::fs::write(directory.path().join("bin/kube"), b"abc").expect("a file");
        std::fs::write(directory.path().join("bundle.yaml"), text).expect("a file");
        directory
    }

    fn text(path: &str, install: &str) -> String {
        format!(
            "apiVersion: bundledlb.io/v1\nkind: Bundle\narchitecture: amd64\nkubernetesVersion: v1.36.3\n\
             imageRepository: lab.invalid\npauseImage: lab.invalid/pause:3.10.2\nfiles:\n\
             - {{path: {path}, sha256: {SUM}, mode: \"0755\", install: {install}, links: [/usr/local/bin/kubeadm]}}\n"
        )
    }

    #[test]
    fn a_bundle_is_read() {
        let directory = write(&text("bin/kube", "/usr/local/bin/kube"));
        let bundle = Bundle::load(directory.path()).expect("it is whole");
        assert_eq!(bundle.kubernetes_version, "v1.36.3");
        assert!(bundle.installs("/usr/local/bin/kubeadm") && !bundle.installs("/usr/bin/kubeadm"));
    }

    #[test]
    fn an_archive_that_was_changed_is_found() {
        let directory = write(&text("bin/kube", "/usr/local/bin/kube"));
        let bundle = Bundle::load(directory.path()).expect("it is whole");
        // "abc" has this sum (FIPS 180-2, appendix B.1).
        let mut images = BundleImages {
            path: "bin/kube".to_owned(),
            sha256: SUM.to_owned(),
            names: Vec::new(),
        };
        assert!(bundle.verify(&images).is_ok());
        images.sha256 = "0".repeat(64);
        let failure = bundle.verify(&images).expect_err("it is another file");
        assert!(failure.to_string().contains(SUM), "{failure}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            (
                text("bin/nope", "/usr/local/bin/kube"),
                "the file `bin/nope` is listed but missing",
            ),
            (
                text("../bin/kube", "/usr/local/bin/kube"),
                "leads out of the bundle",
            ),
            (
                text("bin/kube", "usr/bin/kube"),
                "not an absolute path on a node",
            ),
            ("kind: Bundle\n".to_owned(), "missing"),
            (
                text("bin/kube", "/usr/local/bin/kube").replace("bundledlb.io/v1", "v2"),
                "`apiVersion: bundledlb.io/v1` and `kind: Bundle` expected",
            ),
        ];
        for (text, expected) in cases {
            let directory = write(&text);
            let error = Bundle::load(directory.path())
                .expect_err("it is broken")
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = Bundle::load(Path::new("/nowhere"))
            .expect_err("there is none")
            .to_string();
        assert!(error.starts_with("`/nowhere` is not a bundle"), "{error}");
    }
}
