//! What the operator of a site brings.

use std::path::Path;

use nodepool::bundle::Bundle;
use nodepool::commands::Artefacts;
use nodepool::lbnode::Lbnode;
use nodepool::oci::Archive;

pub(super) fn artefacts(folder: &Path) -> Artefacts {
    let directory = folder.join("bundle");
    std::fs::create_dir_all(directory.join("images")).expect("a folder");
    std::fs::write(directory.join("kube"), b"kube").expect("a file");
    std::fs::write(directory.join("images/k.tar"), b"images").expect("a file");
    let (kube, images) = (
        nodepool::digest::sha256(b"kube"),
        nodepool::digest::sha256(b"images"),
    );
    let list = format!(
        "apiVersion: bundledlb.io/v1\nkind: Bundle\narchitecture: amd64\nkubernetesVersion: v1.36.3\n\
         imageRepository: lab.invalid\npauseImage: lab.invalid/pause:3.10.2\nfiles:\n\
         - {{path: kube, sha256: {kube}, mode: \"0755\", install: /usr/local/bin/kube, links: [/usr/local/bin/kubeadm, /usr/local/bin/kubelet]}}\n\
         images:\n- {{path: images/k.tar, sha256: {images}, names: [lab.invalid/pause:3.10.2]}}\n"
    );
    std::fs::write(directory.join("bundle.yaml"), list).expect("a file");
    let path = folder.join("lbnode");
    std::fs::write(&path, b"lbnode").expect("a file");
    Artefacts {
        bundle: Some(Bundle::load(&directory).expect("a bundle")),
        packages: None,
        lbnode: Lbnode {
            path,
            architecture: "amd64".to_owned(),
            sha256: nodepool::digest::sha256(b"lbnode"),
            version: Some("0.1.0 (commit a)".to_owned()),
            image: Archive {
                bytes: b"sha256:image".as_slice().into(),
                digest: "sha256:image".to_owned(),
            },
        },
        cni: None,
    }
}
