//! OCI image archives (image-spec v1, `oci-layout` 1.0.0), the same bytes for the same contents.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::cache::hex;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// One thing in a layer.
#[derive(Debug)]
pub(super) struct Entry {
    path: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(PathBuf),
    Script(&'static str),
    HardLink(String),
    SymbolicLink(&'static str),
}

impl Entry {
    /// An executable file with the bytes of `source`.
    pub(super) fn file(path: &str, source: &Path) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::File(source.to_owned()),
        }
    }

    /// An executable file with this text.
    pub(super) fn script(path: &str, text: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::Script(text),
        }
    }

    /// A name that leads to another path.
    pub(super) fn symbolic_link(path: &str, target: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::SymbolicLink(target),
        }
    }

    /// Another name of an earlier file in the same layer.
    pub(super) fn hard_link(path: &str, target: &str) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::HardLink(target.to_owned()),
        }
    }
}

/// A layer that is in the archive, for images to build on.
#[derive(Debug)]
pub(super) struct Layer(Descriptor);

/// Names a blob by its content.
#[derive(Debug, Clone)]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: u64,
}

impl Descriptor {
    fn json(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size})
    }
}

/// An archive that is being written.
pub(super) struct Archive {
    file: PathBuf,
    tar: Builder<File>,
    written: BTreeSet<String>,
    manifests: Vec<Value>,
}

impl Archive {
    /// Starts an empty archive.
    pub(super) fn create(file: &Path) -> Result<Self> {
        let out =
            File::create(file).with_context(|| format!("cannot create {}", file.display()))?;
        Ok(Self {
            file: file.to_owned(),
            tar: Builder::new(out),
            written: BTreeSet::new(),
            manifests: Vec::new(),
        })
    }

    /// Adds a layer, not compressed: it never travels far.
    pub(super) fn layer(&mut self, entries: &[Entry]) -> Result<Layer> {
        let scratch = self.file.with_extension("layer");
        let out = File::create(&scratch)
            .with_context(|| format!("cannot create {}", scratch.display()))?;
        let hashed = write_layer(entries, Hashing::new(out))?;
        let (digest, size) = hashed.finish();
        let descriptor = Descriptor {
            media_type: LAYER,
            digest: format!("sha256:{digest}"),
            size,
        };
        if self.written.insert(digest.clone()) {
            let mut bytes = File::open(&scratch)?;
            let mut header = header(EntryType::Regular, 0o644, size);
            let path = format!("blobs/sha256/{digest}");
            self.tar.append_data(&mut header, path, &mut bytes)?;
        }
        fs::remove_file(scratch)?;
        Ok(Layer(descriptor))
    }

    /// Adds an image of some layers that runs `entry_point`.
    pub(super) fn image(&mut self, name: &str, layers: &[&Layer], entry_point: &str) -> Result<()> {
        let digests: Vec<&str> = layers.iter().map(|layer| layer.0.digest.as_str()).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": [entry_point],
                "Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"],
            },
            "rootfs": {"type": "layers", "diff_ids": digests},
        });
        let config = self.blob(CONFIG, &config)?;
        let layers: Vec<Value> = layers.iter().map(|layer| layer.0.json()).collect();
        let manifest = self.blob(
            MANIFEST,
            &json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config.json(),
                "layers": layers,
            }),
        )?;
        let mut listed = manifest.json();
        let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        listed["annotations"] = json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": tag,
        });
        self.manifests.push(listed);
        Ok(())
    }

    /// Writes the index; the archive is complete.
    pub(super) fn finish(mut self) -> Result<()> {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        self.add("index.json", &serde_json::to_vec(&index)?)?;
        self.add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.tar.into_inner()?.flush()?;
        Ok(())
    }

    fn blob(&mut self, media_type: &'static str, content: &Value) -> Result<Descriptor> {
        let bytes = serde_json::to_vec(content)?;
        let digest = hex(&Sha256::digest(&bytes));
        if self.written.insert(digest.clone()) {
            self.add(&format!("blobs/sha256/{digest}"), &bytes)?;
        }
        Ok(Descriptor {
            media_type,
            digest: format!("sha256:{digest}"),
            size: bytes.len() as u64,
        })
    }

    fn add(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut header = header(EntryType::Regular, 0o644, bytes.len() as u64);
        Ok(self.tar.append_data(&mut header, path, bytes)?)
    }
}

fn write_layer<W: Write>(entries: &[Entry], out: W) -> Result<W> {
    let mut tar = Builder::new(out);
    let mut directories = BTreeSet::new();
    for entry in entries {
        for (end, _) in entry.path.match_indices('/') {
            let directory = &entry.path[..end];
            if directories.insert(directory.to_owned()) {
                let mut header = header(EntryType::Directory, 0o755, 0);
                tar.append_data(&mut header, format!("{directory}/"), io::empty())?;
            }
        }
        match &entry.content {
            Content::File(source) => {
                let mut bytes = File::open(source)
                    .with_context(|| format!("cannot read {}", source.display()))?;
                let size = bytes.metadata()?.len();
                let mut header = header(EntryType::Regular, 0o755, size);
                tar.append_data(&mut header, &entry.path, &mut bytes)?;
            }
            Content::Script(text) => {
                let mut header = header(EntryType::Regular, 0o755, text.len() as u64);
                tar.append_data(&mut header, &entry.path, text.as_bytes())?;
            }
            Content::HardLink(target) => {
                let mut header = header(EntryType::Link, 0o755, 0);
                tar.append_link(&mut header, &entry.path, target)?;
            }
            Content::SymbolicLink(target) => {
                let mut header = header(EntryType::Symlink, 0o777, 0);
                tar.append_link(&mut header, &entry.path, target)?;
            }
        }
    }
    Ok(tar.into_inner()?)
}

/// A header without what would differ from one build to the next.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Passes bytes on, and takes their digest and count.
pub(super) struct Hashing<W> {
    out: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// The digest in hex and the number of bytes.
    pub(super) fn finish(self) -> (String, u64) {
        (hex(&self.hash.finalize()), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn archive(directory: &Path) -> Vec<u8> {
        let program = directory.join("program");
        fs::write(&program, "#!/bin/sh\n").expect("a program");
        let file = directory.join("images.tar");
        let mut archive = Archive::create(&file).expect("created");
        let layer = archive
            .layer(&[
                Entry::file("usr/bin/one", &program),
                Entry::hard_link("usr/bin/two", "usr/bin/one"),
                Entry::script("usr/bin/three", "#!/bin/sh\n"),
                Entry::symbolic_link("bin", "usr/bin"),
            ])
            .expect("a layer");
        archive
            .image("lab.invalid/one:1", &[&layer], "/usr/bin/one")
            .expect("one");
        archive
            .image("lab.invalid/two:2", &[&layer], "/usr/bin/two")
            .expect("two");
        archive.finish().expect("finished");
        fs::read(file).expect("an archive")
    }

    fn blobs(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut tar = tar::Archive::new(bytes);
        tar.entries()
            .expect("entries")
            .map(|entry| {
                let mut entry = entry.expect("an entry");
                let path = entry.path().expect("a path").to_string_lossy().into_owned();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("content");
                (path, content)
            })
            .collect()
    }

    #[test]
    fn every_reference_leads_to_a_blob_with_that_digest() {
        let directory = tempfile::tempdir().expect("a directory");
        let blobs = blobs(&archive(directory.path()));
        let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
        let follow = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().expect("a digest");
            let hash = digest.strip_prefix("sha256:").expect("sha256");
            let blob = &blobs[&format!("blobs/sha256/{hash}")];
            assert_eq!(hex(&Sha256::digest(blob)), hash);
            assert_eq!(Some(blob.len() as u64), descriptor["size"].as_u64());
            blob.clone()
        };
        let index = parse(&blobs["index.json"]);
        let manifests = index["manifests"].as_array().expect("manifests");
        assert_eq!(manifests.len(), 2);
        for listed in manifests {
            let manifest = parse(&follow(listed));
            let config = parse(&follow(&manifest["config"]));
            follow(&manifest["layers"][0]);
            assert_eq!(
                config["rootfs"]["diff_ids"][0],
                manifest["layers"][0]["digest"]
            );
        }
        assert_eq!(blobs["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    }

    #[test]
    fn the_same_contents_make_the_same_bytes() {
        let one = tempfile::tempdir().expect("a directory");
        let other = tempfile::tempdir().expect("a directory");
        assert_eq!(archive(one.path()), archive(other.path()));
    }
}
