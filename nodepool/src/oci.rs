//! The OCI image archive of `lbnode`, made without Docker and without a registry.
//!
//! One layer with one file. The same program gives the same bytes, and so the same digest, on any machine:
//! that digest tells whether a node has this very image. Format: OCI image layout 1.0 inside a tar, with the
//! annotation by which `ctr images import` names the image.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::digest;

/// An image to make.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Full name as containerd keeps it: `docker.io/library/lbnode:0.1.0`.
    pub name: &'a str,
    /// Version, for its annotation.
    pub version: &'a str,
    /// `amd64` or `arm64`.
    pub architecture: &'a str,
    /// The program.
    pub program: &'a [u8],
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The tar file.
    pub bytes: Vec<u8>,
    /// Digest of the image's manifest, `sha256:…`: what `ctr images ls` shows.
    pub digest: String,
}

/// Path of the program inside the image.
pub const PROGRAM: &str = "/lbnode";

/// How a layer tells a file's capabilities.
const FILE_CAPABILITY: &str = "SCHILY.xattr.security.capability";

/// `cap_net_bind_service=p`: a user who is not root may use it where the container grants it. Not `e`: with that the
/// program would not start at all in containers that do not.
const MAY_BIND_LOW_PORTS: [u8; 20] = {
    let mut bytes = [0; 20];
    // VFS_CAP_REVISION_2, little-endian like what follows: permitted and inheritable, lower halves, then upper ones.
    bytes[3] = 2;
    // Bit 10 of `permitted`.
    bytes[5] = 1 << 2;
    bytes
};

/// Makes the archive.
///
/// # Errors
/// Only when the program is larger than a tar entry can be.
pub fn archive(image: &Image<'_>) -> io::Result<Archive> {
    let mut layer = tar::Builder::new(Vec::new());
    layer.append_pax_extensions([(FILE_CAPABILITY, MAY_BIND_LOW_PORTS.as_slice())])?;
    append(
        &mut layer,
        PROGRAM.trim_start_matches('/'),
        0o755,
        image.program,
    )?;
    let layer = Blob::new(layer.into_inner()?);

    let config = Blob::json(&json!({
        "architecture": image.architecture,
        "os": "linux",
        "config": {"Entrypoint": [PROGRAM]},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
    }));
    let manifest = Blob::json(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
        "annotations": {"org.opencontainers.image.version": image.version},
    }));
    let mut entry = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
    entry["platform"] = json!({"architecture": image.architecture, "os": "linux"});
    entry["annotations"] = json!({
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.version,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });

    let mut outer = tar::Builder::new(Vec::new());
    append(
        &mut outer,
        "oci-layout",
        0o644,
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    append(
        &mut outer,
        "index.json",
        0o644,
        index.to_string().as_bytes(),
    )?;
    for blob in [&manifest, &config, &layer] {
        let path = format!("blobs/{}", blob.digest.replace(':', "/"));
        append(&mut outer, &path, 0o644, &blob.bytes)?;
    }
    Ok(Archive {
        bytes: outer.into_inner()?,
        digest: manifest.digest,
    })
}

struct Blob {
    bytes: Vec<u8>,
    digest: String,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        let digest = format!("sha256:{}", digest::sha256(&bytes));
        Self { bytes, digest }
    }

    fn json(value: &Value) -> Self {
        Self::new(value.to_string().into_bytes())
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(Path::new(path))?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    archive.append(&header, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read as _;

    const IMAGE: Image<'static> = Image {
        name: "docker.io/library/lbnode:0.1.0",
        version: "0.1.0",
        architecture: "amd64",
        program: b"\x7fELF program",
    };

    fn entries(bytes: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().expect("a tar");
        entries
            .map(|entry| {
                let mut entry = entry.expect("an entry");
                let path = entry.path().expect("a path").display().to_string();
                let mode = entry.header().mode().expect("a mode");
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("content");
                (path, (mode, content))
            })
            .collect()
    }

    fn blob(files: &BTreeMap<String, (u32, Vec<u8>)>, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let (_, content) = &files[&format!("blobs/{}", digest.replace(':', "/"))];
        assert_eq!(digest, format!("sha256:{}", digest::sha256(content)));
        assert_eq!(descriptor["size"], content.len());
        content.clone()
    }

    #[test]
    fn every_reference_leads_to_its_blob() {
        let archive = archive(&IMAGE).expect("an archive");
        let files = entries(&archive.bytes);
        let index: Value = serde_json::from_slice(&files["index.json"].1).expect("JSON");
        let entry = &index["manifests"][0];
        assert_eq!(entry["annotations"]["io.containerd.image.name"], IMAGE.name);
        assert_eq!(entry["digest"], archive.digest);
        let manifest: Value = serde_json::from_slice(&blob(&files, entry)).expect("JSON");
        let config: Value =
            serde_json::from_slice(&blob(&files, &manifest["config"])).expect("JSON");
        let layer = blob(&files, &manifest["layers"][0]);
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            manifest["layers"][0]["digest"]
        );
        let inside = entries(&layer);
        assert_eq!(inside["lbnode"], (0o755, IMAGE.program.to_vec()));
        assert_eq!(config["config"]["Entrypoint"], json!(["/lbnode"]));
    }

    #[test]
    fn the_program_may_bind_low_ports_without_being_root() {
        let archive = archive(&IMAGE).expect("an archive");
        let files = entries(&archive.bytes);
        let layer = files.values().find_map(|(_, content)| {
            let mut layer = tar::Archive::new(content.as_slice());
            let mut entry = layer.entries().ok()?.next()?.ok()?;
            let extensions = entry.pax_extensions().ok()??;
            let pairs = extensions.map(|pair| {
                let pair = pair.expect("an extension");
                (
                    pair.key().expect("a key").to_owned(),
                    pair.value_bytes().to_vec(),
                )
            });
            Some(pairs.collect::<Vec<_>>())
        });
        // As `setcap cap_net_bind_service=p` writes it.
        let capability = b"\0\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        assert_eq!(
            layer.expect("a layer"),
            [("SCHILY.xattr.security.capability".to_owned(), capability)]
        );
    }

    #[test]
    fn the_same_program_gives_the_same_bytes_and_another_one_does_not() {
        let first = archive(&IMAGE).expect("an archive");
        assert_eq!(first, archive(&IMAGE).expect("an archive"));
        let other = archive(&Image {
            program: b"other",
            ..IMAGE
        })
        .expect("an archive");
        assert_ne!(first.digest, other.digest);
    }
}
