//! Compiles Kubernetes with etcd, CoreDNS, its tests and what it is compared with from the Go modules in `kubernetes/`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};

use super::KUBERNETES_VERSION;
use crate::cache::Log;
use crate::tool;

/// Everything a cluster's programs are made from, other than the modules that `go.sum` pins.
pub(super) const CLUSTER_SOURCES: &[&str] = &[
    "go.mod",
    "go.sum",
    "main.go",
    "pause/main.go",
    "coredns/go.mod",
    "coredns/go.sum",
    "coredns/main.go",
];

/// The same for Kubernetes' own end-to-end tests.
pub(super) const END_TO_END_SOURCES: &[&str] = &["e2e/go.mod", "e2e/go.sum", "e2e/imports.go"];

/// The same for MetalLB.
pub(super) const METALLB_SOURCES: &[&str] = &[
    "metallb/go.mod",
    "metallb/go.sum",
    "metallb/frr-k8s/go.mod",
    "metallb/frr-k8s/api/v1beta1/types.go",
];

/// Line tables for a debugger that the linker would strip again: an eighth of the processor time.
const NO_DEBUGGER: &str = "-gcflags=all=-dwarf=false";

/// The compiler collects its garbage less often (100 is usual): it needs far less memory than a lab's machines will.
const FEWER_COLLECTIONS: (&str, &str) = ("GOGC", "400");

/// A program, and the package that it is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    name: &'static str,
    /// Below the Go modules.
    module: &'static str,
    package: &'static str,
    /// Whether the program is what the package's tests are compiled to.
    tests: bool,
}

impl Program {
    const fn new(name: &'static str, module: &'static str, package: &'static str) -> Self {
        Self {
            name,
            module,
            package,
            tests: false,
        }
    }
}

/// What a cluster consists of.
pub(super) const CLUSTER: &[Program] = &[
    Program::new("kube", ".", "."),
    Program::new("pause", ".", "./pause"),
    Program::new("coredns", "coredns", "."),
];

/// What tests ask from outside.
pub(super) const TESTS: &[Program] = &[Program::new(
    "agnhost",
    ".",
    "k8s.io/kubernetes/test/images/agnhost",
)];

/// Kubernetes' own end-to-end tests.
pub(super) const END_TO_END: &[Program] = &[Program {
    tests: true,
    ..Program::new("e2e.test", "e2e", "k8s.io/kubernetes/test/e2e")
}];

/// MetalLB.
pub(super) const METALLB: &[Program] = &[
    Program::new("controller", "metallb", METALLB_CONTROLLER),
    Program::new("speaker", "metallb", "go.universe.tf/metallb/speaker"),
];

const METALLB_CONTROLLER: &str = "go.universe.tf/metallb/controller";

/// The contents of the sources, in a fixed order.
pub(super) fn sources(names: &[&str]) -> Result<Vec<Vec<u8>>> {
    names
        .iter()
        .map(|name| {
            let file = module().join(name);
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
        })
        .collect()
}

/// Builds programs into a directory, all static.
pub(super) fn build(out: &Path, programs: &[Program], log: &Log) -> Result<()> {
    ensure!(
        tool::command("go", ["version"]).output().is_ok(),
        "Kubernetes is compiled with Go, and there is no `go` in the search path: \
         install Go 1.26 or later, or set LAB_KUBERNETES_BUNDLE to a bundle made elsewhere"
    );
    fs::create_dir(out)?;
    let flags: &str = &linker_flags();
    // All at once: while one links, which takes one processor, another compiles.
    thread::scope(|scope| {
        let builds: Vec<_> = programs
            .iter()
            .map(|program| scope.spawn(move || program.build(out, flags, log)))
            .collect();
        builds
            .into_iter()
            .try_for_each(|build| build.join().unwrap_or_else(|_| bail!("it panicked")))
    })
}

impl Program {
    fn build(&self, out: &Path, flags: &str, log: &Log) -> Result<()> {
        let verb: &[&str] = if self.tests {
            &["test", "-c"]
        } else {
            &["build"]
        };
        let mut go = tool::command("go", verb);
        go.args(["-trimpath", NO_DEBUGGER]);
        go.args(["-ldflags", flags, "-o"]);
        go.arg(out.join(self.name)).arg(self.package);
        go.current_dir(module().join(self.module))
            .env("CGO_ENABLED", "0")
            .env(FEWER_COLLECTIONS.0, FEWER_COLLECTIONS.1);
        let what = format!("compiling {} (a first time takes minutes)", self.name);
        log.step(&what, &mut go)
    }
}

/// The directory with the sources of MetalLB, as Go has fetched them.
pub(super) fn metallb_directory() -> Result<PathBuf> {
    let question = ["list", "-f", "{{.Module.Dir}}", METALLB_CONTROLLER];
    let mut go = tool::command("go", question);
    let answer = tool::run(go.current_dir(module().join("metallb")))?;
    Ok(PathBuf::from(answer.trim()))
}

/// Linker flags: no symbols, and the version that the programs tell; without it they say v0.0.0-master, and kubeadm
/// refuses to work with such a kubelet. Programs that have no such variables are not disturbed.
fn linker_flags() -> String {
    let mut numbers = KUBERNETES_VERSION.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let mut flags = String::from("-s -w");
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        for (name, value) in [
            ("gitVersion", KUBERNETES_VERSION),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
            ("gitCommit", "unknown"),
        ] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

/// The directory with the Go module: where this crate lies, or `LAB_KUBERNETES_SOURCES`.
fn module() -> PathBuf {
    env::var_os("LAB_KUBERNETES_SOURCES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes"),
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_stamped_into_both_packages() {
        let flags = linker_flags();
        assert!(flags.contains("-X k8s.io/component-base/version.gitVersion=v1.36.3"));
        assert!(flags.contains("-X k8s.io/client-go/pkg/version.gitMinor=36"));
    }

    #[test]
    fn all_sources_are_there() {
        for names in [CLUSTER_SOURCES, END_TO_END_SOURCES, METALLB_SOURCES] {
            assert_eq!(sources(names).expect("sources").len(), names.len());
        }
    }
}
