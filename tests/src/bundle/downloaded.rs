//! A bundle from what Kubernetes' makers publish: programs, CNI plugins and archives of images that somebody has downloaded.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::list::List;
use crate::cache;

/// What was downloaded.
#[derive(Debug, Clone)]
pub struct Downloaded {
    /// `v1.36.3`.
    pub version: String,
    /// The directory with kubeadm, kubelet and kubectl.
    pub programs: PathBuf,
    /// A directory with CNI plugins, if the machines have none.
    pub plugins: Option<PathBuf>,
    /// Archives of images, as `ctr images export`, `docker save` or `skopeo copy` write them, not compressed.
    pub images: Vec<PathBuf>,
    /// The registry in the images' names.
    pub repository: String,
}

/// What a machine needs.
const PROGRAMS: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];
/// What kubeadm asks for in the version of the cluster.
const IMAGES: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
];
/// What it asks for in versions of their own.
const OTHER_IMAGES: [&str; 3] = ["coredns", "etcd", "pause"];
/// Most of an index that is read.
const INDEX: u64 = 4 << 20;

/// Puts it together in a directory that does not exist yet.
///
/// # Errors
/// When something is missing, is for different architectures, or cannot be read or written.
pub fn from_downloads(parts: &Downloaded, out: &Path) -> Result<()> {
    into_new(out, |bundle| assemble(parts, bundle))
}

fn assemble(parts: &Downloaded, bundle: &Path) -> Result<()> {
    for directory in ["bin", "cni", "images"] {
        fs::create_dir(bundle.join(directory))?;
    }
    let mut architectures = BTreeSet::new();
    for name in PROGRAMS {
        let program = parts.programs.join(name);
        architectures.insert(architecture(&program)?);
        copy(&program, &bundle.join("bin").join(name))?;
    }
    let plugins = parts
        .plugins
        .as_deref()
        .map_or_else(|| Ok(Vec::new()), plugins)?;
    for (name, plugin) in &plugins {
        architectures.insert(architecture(plugin)?);
        copy(plugin, &bundle.join("cni").join(name))?;
    }
    let mut archives = Vec::new();
    for (index, archive) in parts.images.iter().enumerate() {
        let path = format!("images/{index}.tar");
        let names = names_in(archive)?;
        copy(archive, &bundle.join(&path))?;
        archives.push((path, names));
    }
    ensure!(
        architectures.len() == 1,
        "the programs are for different machines: {}",
        Vec::from_iter(architectures).join(", ")
    );
    let architecture = architectures.first().copied().unwrap_or_default();
    let pause = {
        let names = archives.iter().flat_map(|(_, names)| names);
        check_images(parts, &names.collect())?
    };
    let mut list = List::new(architecture, &parts.version, &parts.repository, &pause);
    for name in PROGRAMS {
        let install = format!("/usr/local/bin/{name}");
        list.program(bundle, &format!("bin/{name}"), &install, &[])?;
    }
    for (name, _) in &plugins {
        let install = format!("/opt/cni/bin/{name}");
        list.program(bundle, &format!("cni/{name}"), &install, &[])?;
    }
    for (path, names) in archives {
        list.archive(bundle, &path, names)?;
    }
    list.write(bundle)
}

/// The name of the pause image, when all that kubeadm asks for is there.
fn check_images(parts: &Downloaded, names: &BTreeSet<&String>) -> Result<String> {
    let Downloaded {
        version,
        repository,
        ..
    } = parts;
    let mut missing = Vec::new();
    for image in IMAGES {
        let name = format!("{repository}/{image}:{version}");
        if !names.contains(&name) {
            missing.push(name);
        }
    }
    let mut pause = None;
    for image in OTHER_IMAGES {
        // CoreDNS has a directory of its own in the community's registry.
        let found = names.iter().find(|name| {
            let rest = name.strip_prefix(repository.as_str());
            let rest = rest.and_then(|rest| rest.strip_prefix('/'));
            let bare = rest.and_then(|rest| rest.rsplit('/').next());
            bare.is_some_and(|bare| bare.split(':').next() == Some(image))
        });
        match found {
            Some(name) if image == "pause" => pause = Some((**name).clone()),
            Some(_) => {}
            None => missing.push(format!("{repository}/{image}")),
        }
    }
    ensure!(
        missing.is_empty(),
        "no archive has {}; `kubeadm config images list --kubernetes-version {version}` names what is needed",
        missing.join(", ")
    );
    pause.context("there is a pause image by now")
}

/// The programs in a directory, by name.
fn plugins(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut plugins = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        // A licence or a text about them is no program.
        if let Some(name) = name.map(str::to_owned)
            && architecture(&path).is_ok()
        {
            plugins.push((name, path));
        }
    }
    plugins.sort();
    ensure!(
        !plugins.is_empty(),
        "there are no programs in {}",
        directory.display()
    );
    Ok(plugins)
}

/// For which machines a program is, as its ELF header says.
fn architecture(program: &Path) -> Result<&'static str> {
    let mut header = [0; 20];
    File::open(program)
        .and_then(|mut file| file.read_exact(&mut header))
        .with_context(|| format!("cannot read the program {}", program.display()))?;
    match (&header[..4], header[18], header[19]) {
        (b"\x7fELF", 62, 0) => Ok("amd64"),
        (b"\x7fELF", 183, 0) => Ok("arm64"),
        _ => bail!("{} is no program for amd64 or arm64", program.display()),
    }
}

/// The names of the images in an archive: those of containerd's annotations, and Docker's tags.
fn names_in(archive: &Path) -> Result<Vec<String>> {
    let place = || format!("cannot read the image archive {}", archive.display());
    let file = File::open(archive).with_context(place)?;
    let mut names = BTreeSet::new();
    let mut tar = tar::Archive::new(file);
    for entry in tar.entries().with_context(place)? {
        let entry = entry
            .with_context(place)
            .context("is it compressed? It must not be")?;
        let path = entry.path().with_context(place)?.into_owned();
        let name = path.strip_prefix(".").unwrap_or(&path);
        if name == Path::new("index.json") || name == Path::new("manifest.json") {
            let mut text = String::new();
            entry
                .take(INDEX)
                .read_to_string(&mut text)
                .with_context(place)?;
            let index: Value = serde_json::from_str(&text).with_context(place)?;
            names.extend(named(&index));
        }
    }
    ensure!(
        !names.is_empty(),
        "no image in {} has a name",
        archive.display()
    );
    Ok(names.into_iter().collect())
}

fn named(index: &Value) -> Vec<String> {
    let listed = index["manifests"].as_array().into_iter().flatten();
    let annotated = listed.map(|one| &one["annotations"]["io.containerd.image.name"]);
    let images = index.as_array().into_iter().flatten();
    let tagged = images.flat_map(|image| image["RepoTags"].as_array().into_iter().flatten());
    let names = annotated.chain(tagged);
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Fills a directory under another name beside it, which takes its own when all is done.
pub(super) fn into_new(out: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    ensure!(!out.exists(), "{} is there already", out.display());
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    // Without a slash at its end, behind which the other name would be one in it.
    let mut name = out.components().as_path().as_os_str().to_owned();
    name.push(".unfinished");
    let unfinished = PathBuf::from(name);
    cache::remove_tree(&unfinished)?;
    fs::create_dir(&unfinished)
        .with_context(|| format!("cannot create {}", unfinished.display()))?;
    fill(&unfinished)?;
    fs::rename(&unfinished, out)
        .with_context(|| format!("cannot give {} its final name", unfinished.display()))
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn program(path: &Path, machine: u8) {
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = machine;
        fs::write(path, elf).expect("a file");
    }

    /// An archive with nothing but this index.
    fn archive(path: &Path, name: &str, index: &Value) {
        let mut tar = tar::Builder::new(File::create(path).expect("a file"));
        let text = index.to_string();
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes())
            .expect("an entry");
        tar.into_inner().expect("whole").flush().expect("written");
    }

    fn parts(folder: &Path, images: &[&str]) -> Downloaded {
        for name in PROGRAMS {
            program(&folder.join(name), 62);
        }
        let plugins = folder.join("plugins");
        fs::create_dir(&plugins).expect("a directory");
        program(&plugins.join("ptp"), 62);
        fs::write(plugins.join("LICENSE"), "a licence of some length").expect("a file");
        let (oci, docker) = images.split_at(images.len() / 2);
        let annotated = oci
            .iter()
            .map(|name| serde_json::json!({"annotations": {"io.containerd.image.name": name}}));
        let annotated: Vec<Value> = annotated.collect();
        let index = serde_json::json!({ "manifests": annotated });
        archive(&folder.join("oci.tar"), "index.json", &index);
        let tags = serde_json::json!([{ "RepoTags": docker }]);
        archive(&folder.join("docker.tar"), "manifest.json", &tags);
        Downloaded {
            version: "v1.36.3".to_owned(),
            programs: folder.to_owned(),
            plugins: Some(plugins),
            images: ["oci.tar", "docker.tar"]
                .map(|name| folder.join(name))
                .into(),
            repository: "registry.k8s.io".to_owned(),
        }
    }

    const ALL: [&str; 7] = [
        "registry.k8s.io/kube-apiserver:v1.36.3",
        "registry.k8s.io/kube-controller-manager:v1.36.3",
        "registry.k8s.io/kube-scheduler:v1.36.3",
        "registry.k8s.io/kube-proxy:v1.36.3",
        "registry.k8s.io/coredns/coredns:v1.14.2",
        "registry.k8s.io/etcd:3.6.8-0",
        "registry.k8s.io/pause:3.10.2",
    ];

    #[test]
    fn a_bundle_lists_what_was_downloaded() {
        let folder = tempfile::tempdir().expect("a directory");
        let out = folder.path().join("out/bundle");
        let parts = parts(folder.path(), &ALL);
        from_downloads(&parts, &out).expect("all is there");
        let text = fs::read_to_string(out.join("bundle.yaml")).expect("a list");
        let list: Value = serde_yaml::from_str(&text).expect("YAML");
        assert_eq!(list["architecture"], "amd64");
        assert_eq!(list["kubernetesVersion"], "v1.36.3");
        assert_eq!(list["pauseImage"], "registry.k8s.io/pause:3.10.2");
        let installed: Vec<&str> = list["files"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|file| file["install"].as_str())
            .collect();
        let expected = [
            "/usr/local/bin/kubeadm",
            "/usr/local/bin/kubelet",
            "/usr/local/bin/kubectl",
            "/opt/cni/bin/ptp",
        ];
        assert_eq!(installed, expected);
        let names = |index: usize| list["images"][index]["names"].as_array().map(Vec::len);
        assert_eq!((names(0), names(1)), (Some(3), Some(4)));
        for file in list["files"].as_array().into_iter().flatten() {
            let path = file["path"].as_str().expect("a path");
            assert!(out.join(path).is_file(), "{path}");
        }
        let again = from_downloads(&parts, &out).expect_err("it is there");
        assert!(again.to_string().contains("is there already"), "{again}");
    }

    #[test]
    fn what_is_missing_or_does_not_fit_is_said() {
        let folder = tempfile::tempdir().expect("a directory");
        let out = folder.path().join("bundle");
        let without: Vec<&str> = ALL.into_iter().skip(1).collect();
        let mut parts = parts(folder.path(), &without);
        let said = |parts: &Downloaded| {
            let error = from_downloads(parts, &out).expect_err("it does not fit");
            format!("{error:#}")
        };
        let missing = said(&parts);
        assert!(
            missing.contains("no archive has registry.k8s.io/kube-apiserver:v1.36.3;"),
            "{missing}"
        );
        program(&folder.path().join("kubelet"), 183);
        assert!(said(&parts).contains("for different machines: amd64, arm64"));
        fs::write(
            folder.path().join("kubelet"),
            "#!/bin/sh\nexit 0 # not ELF\n",
        )
        .expect("a file");
        assert!(said(&parts).contains("is no program for amd64 or arm64"));
        parts.programs = folder.path().join("nowhere");
        assert!(said(&parts).contains("cannot read the program"));
        assert!(!out.exists());
    }
}
