//! The OCI image archive of `lbnode`, made without Docker and without a registry.
//!
//! One layer with one file. The same program gives the same bytes, and so the same digest, on any machine:
//! that digest tells whether a node has this very image. Format: OCI image layout 1.0 inside a tar, with the
//! annotation by which `ctr images import` names the image.

use std::io;
use std::path::Path;
use std::sync::Arc;

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
    pub bytes: Arc<[u8]>,
    /// Digest of the image's manifest, `sha256:…`: what `ctr images ls` shows.
    pub digest: String,
}

/// Path of the program inside the image.
pub const PROGRAM: &str = "/lbnode";

/// What the program may put into effect when it does not run as root, if its container has it: NET_BIND_SERVICE,
/// NET_ADMIN, NET_RAW, IPC_LOCK, SYS_NICE (`man 7 capabilities`).
const PERMITTED: [u8; 5] = [10, 12, 13, 14, 23];

/// Makes the archive.
///
/// # Errors
/// Only when the program is larger than a tar entry can be.
pub fn archive(image: &Image<'_>) -> io::Result<Archive> {
    let mut layer = tar::Builder::new(Vec::new());
    let permitted = permitted(&PERMITTED);
    layer.append_pax_extensions([("SCHILY.xattr.security.capability", &permitted[..])])?;
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
        bytes: outer.into_inner()?.into(),
        digest: manifest.digest,
    })
}

/// The extended attribute `security.capability`, version 2. None is in effect from the start: the kernel
/// would refuse to run the program in a container that lacks one of them.
fn permitted(capabilities: &[u8]) -> [u8; 20] {
    const VERSION_2: u32 = 0x0200_0000;
    let set = capabilities
        .iter()
        .fold(0_u32, |set, capability| set | 1 << capability);
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&VERSION_2.to_le_bytes());
    bytes[4..8].copy_from_slice(&set.to_le_bytes());
    bytes
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
    fn the_program_is_permitted_what_its_roles_need() {
        let archive = archive(&IMAGE).expect("an archive");
        let files = entries(&archive.bytes);
        let layers = files.values().filter(|(_, content)| {
            let key = b"SCHILY.xattr.security.capability=";
            content.windows(key.len()).any(|window| window == key)
        });
        let [(_, layer)] = layers.collect::<Vec<_>>()[..] else {
            panic!("one layer has the attribute");
        };
        let mut layer = tar::Archive::new(&layer[..]);
        let mut entry = layer
            .entries()
            .expect("a tar")
            .next()
            .expect("an entry")
            .expect("a good one");
        let extensions = entry
            .pax_extensions()
            .expect("readable")
            .expect("extensions");
        let attribute = extensions
            .map(|extension| extension.expect("a good one"))
            .find(|extension| extension.key() == Ok("SCHILY.xattr.security.capability"))
            .expect("the attribute");
        // As `setcap cap_net_bind_service,cap_net_admin,cap_net_raw,cap_ipc_lock,cap_sys_nice=p` writes it.
        let mut expected = [0; 20];
        expected[..8].copy_from_slice(&[0, 0, 0, 2, 0x00, 0x74, 0x80, 0x00]);
        assert_eq!(attribute.value_bytes(), expected);
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
