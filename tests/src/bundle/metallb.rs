//! MetalLB, compiled from its Go module, to measure beside.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::archive::{Archive, Entry};
use super::programs::{self, METALLB_SOURCES};
use super::{cached, image_name};
use crate::cache;

/// What a cluster needs of MetalLB.
#[derive(Debug, Clone)]
pub struct Metallb {
    /// The archive with its two images.
    pub images: PathBuf,
    /// Its own manifest for layer 2, with the names of those images.
    pub manifest: PathBuf,
    /// Where they are, with its `controller` as a program: for a cluster without nodes.
    pub directory: PathBuf,
}

/// MetalLB, built and kept in the cache.
///
/// # Errors
/// When there is no Go, or it does not compile.
pub fn metallb() -> Result<Metallb> {
    let kept = [CONTROLLER.to_owned()];
    let directory = cached("metallb", METALLB_SOURCES, &kept, |directory, log| {
        let built = directory.join("built");
        programs::build(&built, programs::METALLB, log)?;
        archive(&directory.join(IMAGES), &built)?;
        let original = programs::metallb_directory()?.join("config/manifests/metallb-native.yaml");
        let text = fs::read_to_string(&original)
            .with_context(|| format!("cannot read {}", original.display()))?;
        fs::write(directory.join(MANIFEST), with_our_images(&text))?;
        fs::rename(built.join(CONTROLLER), directory.join(CONTROLLER))?;
        cache::remove_tree(&built)
    })?;
    Ok(Metallb {
        images: directory.join(IMAGES),
        manifest: directory.join(MANIFEST),
        directory,
    })
}

fn archive(file: &Path, built: &Path) -> Result<()> {
    let mut archive = Archive::create(file)?;
    for program in PROGRAMS {
        let layer = archive.layer(&[Entry::file(program, &built.join(program))])?;
        archive.image(&image(program), &[&layer], &format!("/{program}"))?;
    }
    archive.finish()
}

/// The manifest with images that nothing has to be pulled for.
fn with_our_images(manifest: &str) -> String {
    let mut text = String::new();
    for line in manifest.lines() {
        let named = PROGRAMS
            .iter()
            .find(|program| line.contains(&format!("image: quay.io/metallb/{program}:")));
        match (named, line.split_once("image:")) {
            (Some(program), Some((before, _))) => {
                text.push_str(&format!("{before}image: {}\n", image(program)));
            }
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

fn image(program: &str) -> String {
    image_name(&format!("metallb-{program}:1"))
}

const PROGRAMS: [&str; 2] = [CONTROLLER, "speaker"];
const CONTROLLER: &str = "controller";
const IMAGES: &str = "images.tar";
const MANIFEST: &str = "metallb.yaml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_images_of_the_manifest_change() {
        let manifest = "spec:\n  - image: quay.io/metallb/speaker:v0.16.2\n    name: speaker\n  \
                        - image: quay.io/frr:1\n";
        assert_eq!(
            with_our_images(manifest),
            "spec:\n  - image: lab.invalid/metallb-speaker:1\n    name: speaker\n  - image: quay.io/frr:1\n"
        );
    }
}
