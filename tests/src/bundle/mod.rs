//! Kubernetes for the machines: compiled from its Go modules into a directory of programs and
//! image archives with a `bundle.yaml` that says what goes where.

mod archive;
mod downloaded;
mod end_to_end;
mod kube_vip;
mod list;
mod metallb;
mod programs;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{base, cache};
use archive::{Archive, Entry, Layer};
use list::List;
use programs::CLUSTER_SOURCES;

pub use downloaded::{Downloaded, from_downloads};
pub use end_to_end::{end_to_end, end_to_end_images};
pub use kube_vip::{KUBE_VIP_IMAGE, kube_vip};
pub use metallb::{Metallb, metallb};

/// The Kubernetes release that is built.
pub const KUBERNETES_VERSION: &str = "v1.36.3";

/// Images of the lab are named after a registry that cannot exist: nothing is ever pulled.
const REPOSITORY: &str = "lab.invalid";

/// The archive with images that only tests use (agnhost), below its own directory or that of a given bundle.
const TEST_IMAGES: &str = "test/images.tar";

/// Changes whenever bundles of unchanged sources would be put together differently.
const LAYOUT: &str = "1";

/// The bundle directory: `LAB_KUBERNETES_BUNDLE`, or built and kept in the cache.
pub fn directory() -> Result<PathBuf> {
    if let Some(given) = given() {
        ensure!(
            given.join("bundle.yaml").is_file(),
            "LAB_KUBERNETES_BUNDLE={}: there is no bundle.yaml in it",
            given.display()
        );
        return Ok(given);
    }
    let more = [base::name()];
    cached("kubernetes", CLUSTER_SOURCES, &more, |bundle, log| {
        let built = bundle.join("built");
        let tree = thread::scope(|scope| {
            let tree = scope.spawn(base::directory);
            programs::build(&built, programs::CLUSTER, log)?;
            tree.join().unwrap_or_else(|_| bail!("it panicked"))
        })?;
        assemble(bundle, &built, &tree)?;
        cache::remove_tree(&built)
    })
}

/// Copies the bundle of [`directory()`] to a directory that does not exist yet: its list, and what that names.
///
/// # Errors
/// When the directory exists, or the bundle cannot be built or copied.
pub fn copy_to(out: &Path) -> Result<()> {
    downloaded::into_new(out, |copy| {
        let bundle = directory()?;
        let list = bundle.join("bundle.yaml");
        let text =
            fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        for path in list::paths(&text)? {
            let target = copy.join(&path);
            fs::create_dir_all(target.parent().unwrap_or(copy))?;
            downloaded::copy(&bundle.join(&path), &target)?;
        }
        downloaded::copy(&list, &copy.join("bundle.yaml"))
    })
}

/// The archive with the images that tests use beside Kubernetes' own: that of a given bundle, or built and kept in
/// the cache. Whoever only wants a cluster does without.
pub fn test_images() -> Result<PathBuf> {
    let given = given().map(|given| test_images_in(&given));
    if let Some(archive) = given.filter(|archive| archive.is_file()) {
        return Ok(archive);
    }
    let directory = cached("test-images", CLUSTER_SOURCES, &[], |directory, log| {
        let built = directory.join("built");
        programs::build(&built, programs::TESTS, log)?;
        let archive = directory.join(TEST_IMAGES);
        fs::create_dir(archive.parent().unwrap_or(directory))?;
        test_archive(&archive, &built)?;
        cache::remove_tree(&built)
    })?;
    Ok(directory.join(TEST_IMAGES))
}

/// Where a bundle made elsewhere has them.
pub(crate) fn test_images_in(bundle: &Path) -> PathBuf {
    bundle.join(TEST_IMAGES)
}

/// A bundle made elsewhere.
fn given() -> Option<PathBuf> {
    env::var_os("LAB_KUBERNETES_BUNDLE").map(PathBuf::from)
}

/// A directory of the cache that is made from these sources of the Go modules and what else is named.
fn cached(
    name: &str,
    sources: &[&str],
    more: &[String],
    make: impl FnOnce(&Path, &cache::Log) -> Result<()>,
) -> Result<PathBuf> {
    let sources = programs::sources(sources)?;
    let mut ingredients = vec![LAYOUT.as_bytes(), KUBERNETES_VERSION.as_bytes()];
    ingredients.extend(more.iter().map(String::as_bytes));
    ingredients.extend(sources.iter().map(Vec::as_slice));
    cache::directory(name, &ingredients, make)
}

/// Puts the built programs together as a bundle.
fn assemble(bundle: &Path, built: &Path, tree: &Path) -> Result<()> {
    for directory in ["bin", "images"] {
        fs::create_dir(bundle.join(directory))?;
    }
    fs::rename(built.join("kube"), bundle.join("bin/kube"))?;
    let names = kubernetes_images(bundle, built, tree)?;
    let mut list = List::new(
        "amd64",
        KUBERNETES_VERSION,
        REPOSITORY,
        &image_name("pause:3.10.2"),
    );
    let links = ["kubeadm", "kubelet", "kubectl"].map(|name| format!("/usr/local/bin/{name}"));
    list.program(bundle, "bin/kube", "/usr/local/bin/kube", &links)?;
    list.archive(bundle, "images/kubernetes.tar", names)?;
    list.write(bundle)
}

/// The archive with the images that kubeadm asks for; all programs share one layer.
fn kubernetes_images(bundle: &Path, built: &Path, tree: &Path) -> Result<Vec<String>> {
    const SERVERS: [&str; 3] = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ];
    let mut archive = Archive::create(&bundle.join("images/kubernetes.tar"))?;

    let mut entries = vec![Entry::file("usr/local/bin/kube", &bundle.join("bin/kube"))];
    let links = ["kube-proxy", "etcd", "kubectl"];
    for name in SERVERS.iter().chain(&links) {
        let path = format!("usr/local/bin/{name}");
        entries.push(Entry::hard_link(&path, "usr/local/bin/kube"));
    }
    let kube = archive.layer(&entries)?;
    let nft: Vec<Entry> = base::with_libraries(tree, &["/usr/sbin/nft"])?
        .iter()
        .map(|(path, file)| Entry::file(path.trim_start_matches('/'), file))
        .collect();
    let nft = archive.layer(&nft)?;
    let pause = archive.layer(&[Entry::file("pause", &built.join("pause"))])?;
    let coredns = archive.layer(&[Entry::file("coredns", &built.join("coredns"))])?;

    let servers = SERVERS.map(|name| (format!("{name}:{KUBERNETES_VERSION}"), name));
    let mut images: Vec<(String, Vec<&Layer>, String)> = servers
        .into_iter()
        .map(|(image, name)| (image, vec![&kube], format!("/usr/local/bin/{name}")))
        .collect();
    images.extend([
        (
            format!("kube-proxy:{KUBERNETES_VERSION}"),
            vec![&kube, &nft],
            "/usr/local/bin/kube-proxy".to_owned(),
        ),
        (
            "etcd:3.6.8-0".to_owned(),
            vec![&kube],
            "/usr/local/bin/etcd".to_owned(),
        ),
        ("pause:3.10.2".to_owned(), vec![&pause], "/pause".to_owned()),
        (
            "coredns:v1.14.2".to_owned(),
            vec![&coredns],
            "/coredns".to_owned(),
        ),
    ]);
    let mut names = Vec::new();
    for (image, layers, entry_point) in images {
        let name = image_name(&image);
        archive.image(&name, &layers, &entry_point)?;
        names.push(name);
    }
    archive.finish()?;
    Ok(names)
}

fn test_archive(archive: &Path, built: &Path) -> Result<()> {
    let mut archive = Archive::create(archive)?;
    let agnhost = archive.layer(&[Entry::file("agnhost", &built.join("agnhost"))])?;
    archive.image(&image_name("agnhost:1"), &[&agnhost], "/agnhost")?;
    archive.finish()
}

fn image_name(name: &str) -> String {
    format!("{REPOSITORY}/{name}")
}
