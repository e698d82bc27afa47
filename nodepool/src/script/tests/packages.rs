//! Packages: what is asked of apt and dnf, what is noted, and what a reset takes back. The programs are stubs.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::core::facts::PackageManager;

const BACK: &str = include_str!("../packages_back.sh");

/// A folder with programs that write down how they were called.
struct Stubs(tempfile::TempDir);

impl Stubs {
    fn new(programs: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let stubs = Self(folder);
        for name in ["bin", "has", "state"] {
            std::fs::create_dir(stubs.0.path().join(name)).expect("a folder");
        }
        for (name, body) in programs {
            let path = stubs.0.path().join("bin").join(name);
            let at = stubs.0.path().display();
            let text = format!("#!/bin/sh\nat={at}\necho \"{name} $*\" >>$at/log\n{body}\n");
            std::fs::write(&path, text).expect("a program");
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, mode).expect("it can be run");
        }
        stubs
    }

    fn run(&self, script: &Script) -> Ran {
        run(script, self.0.path(), 0)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    fn ledger(&self) -> String {
        self.read("state/ledger")
    }

    /// What was called so far, and no more of it the next time.
    fn called(&self) -> String {
        let log = self.read("log");
        std::fs::remove_file(self.0.path().join("log")).ok();
        log
    }

    fn has(&self) -> Vec<String> {
        let mut names = names(&self.0.path().join("has"));
        names.sort();
        names
    }
}

fn apt() -> Stubs {
    Stubs::new(&[
        (
            "apt-get",
            "case \"$*\" in\n\
             *' -s '*) echo 'Inst conntrack (1.4 x [amd64])'; echo 'Inst libc6 [2.36] (2.37 x)'; echo 'Inst kubeadm (1.36.3-1.1 x [amd64])' ;;\n\
             *' -y '*) touch $at/has/conntrack $at/has/kubeadm ;;\n\
             esac",
        ),
        (
            "apt-cache",
            "case $2 in containerd|lost) echo '  Candidate: (none)' ;; *) echo '  Candidate: 1.0' ;; esac",
        ),
        ("apt-mark", ""),
        ("dpkg-query", "echo not-installed"),
        (
            "dpkg",
            "[ \"$1\" = --purge ] || exit 0\n\
             if [ \"$2\" = conntrack ] && [ -e $at/has/kubeadm ]; then echo 'dependency problems prevent removal'; exit 1; fi\n\
             if [ -e $at/broken ]; then echo 'its script failed'; exit 1; fi\n\
             rm -f $at/has/$2",
        ),
    ])
}

fn words(packages: &[&str]) -> Vec<String> {
    packages.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn apt_installs_at_the_version_and_holds_it_and_what_is_new_is_noted_before() {
    let stubs = apt();
    let packages = words(&["kubeadm=1.36.3-*", "containerd|containerd.io"]);
    let ran = stubs.run(&install_packages(PackageManager::Apt, &packages));
    assert_eq!(ran.status, 0, "{}", ran.output);
    let called = stubs.called();
    let lines: Vec<&str> = called.lines().collect();
    let at = |text: &str| {
        let found = lines.iter().position(|line| line.ends_with(text));
        found.unwrap_or_else(|| panic!("no {text} in {called}"))
    };
    let chosen = "install kubeadm=1.36.3-* containerd.io";
    let order = [
        at("apt-get -q update"),
        at(&format!("-s {chosen}")),
        at(&format!("-y {chosen}")),
        at("apt-mark -q hold kubeadm"),
        at("apt-mark -q hold containerd.io"),
    ];
    assert!(order.is_sorted(), "{called}");
    assert!(called.contains("--no-remove"), "{called}");
    let ledger = stubs.ledger();
    for line in [
        "manager apt",
        "package conntrack",
        "package kubeadm",
        "hold kubeadm",
    ] {
        assert!(ledger.lines().any(|one| one == line), "{line}: {ledger}");
    }
    assert!(
        !ledger.contains("libc6") && !ledger.contains("begun"),
        "{ledger}"
    );
}

#[test]
fn what_no_repository_has_is_named_and_nothing_is_installed() {
    let stubs = apt();
    let packages = words(&["kubeadm=1.36.3-*", "lost"]);
    let ran = stubs.run(&install_packages(PackageManager::Apt, &packages));
    assert_eq!(ran.status, 66);
    let said = "error: no package repository of this machine has lost, nothing was installed";
    assert!(ran.output.contains(said), "{}", ran.output);
    assert!(!stubs.called().contains(" -y "));
    // The next run knows that something was begun.
    assert!(stubs.ledger().contains("packages begun"));
}

#[test]
fn a_run_that_was_killed_before_the_hold_is_finished() {
    let stubs = apt();
    let ledger = "manager apt\npackages begun\nhold kubeadm\npackage kubeadm\n";
    std::fs::write(stubs.0.path().join("state/ledger"), ledger).expect("a ledger");
    let ran = stubs.run(&install_packages(PackageManager::Apt, &[]));
    assert_eq!(ran.status, 0, "{}", ran.output);
    let called = stubs.called();
    assert!(called.contains("apt-mark -q hold kubeadm"), "{called}");
    assert!(!called.contains("apt-get"), "{called}");
    assert!(!stubs.ledger().contains("begun"));
}

fn take_back(stubs: &Stubs) -> Ran {
    let body = format!(
        "ledger=/var/lib/lbctl/ledger\nnote() {{ echo \"$*\"; }}\n{BACK}\npackages_back || echo stuck\n"
    );
    stubs.run(&Script::change("back", body))
}

#[test]
fn a_reset_removes_what_came_and_in_whatever_order_it_can() {
    let stubs = apt();
    let packages = words(&["kubeadm=1.36.3-*"]);
    stubs.run(&install_packages(PackageManager::Apt, &packages));
    assert_eq!(stubs.has(), ["conntrack", "kubeadm"]);
    stubs.called();
    let ran = take_back(&stubs);
    let said = "removed the package kubeadm\nremoved the package conntrack\n";
    assert_eq!(ran.output, said);
    assert_eq!(stubs.has(), Vec::<String>::new());
    assert!(stubs.called().contains("apt-mark -q unhold kubeadm"));
}

#[test]
fn a_package_that_cannot_be_removed_is_named_and_noted_still() {
    let stubs = apt();
    let packages = words(&["kubeadm=1.36.3-*"]);
    stubs.run(&install_packages(PackageManager::Apt, &packages));
    std::fs::write(stubs.0.path().join("broken"), "").expect("a file");
    let ran = take_back(&stubs);
    let expected = "the package conntrack stays: others need it\ncannot remove the package kubeadm: its script failed\nstuck\n";
    assert_eq!(ran.output, expected);
    assert_eq!(stubs.read("state/left"), "package kubeadm\n");
    assert!(stubs.ledger().contains("package kubeadm\n"));
    std::fs::remove_file(stubs.0.path().join("broken")).expect("it was there");
    assert!(!take_back(&stubs).output.contains("stuck"));
    assert_eq!(stubs.has(), Vec::<String>::new());
}

#[test]
fn dnf_is_asked_in_its_own_words_and_what_it_brought_goes_again() {
    let stubs = Stubs::new(&[
        (
            "dnf",
            "case \"$*\" in\n\
             *repoquery\\ containerd) ;;\n\
             *repoquery*) echo found ;;\n\
             *' install '*) touch $at/has/kubeadm $at/has/socat $at/has/gpg-pubkey-abc-1 ;;\n\
             esac",
        ),
        (
            "rpm",
            "case \"$1 $2\" in\n\
             '-qa --qf') ls $at/has | grep -v gpg-; [ -e $at/has/gpg-pubkey-abc-1 ] && echo gpg-pubkey; exit 0 ;;\n\
             '-qa gpg-pubkey*') ls $at/has | grep gpg- ;;\n\
             '-e '*) rm $at/has/$2 ;;\n\
             '-q '*) test -e $at/has/$2 ;;\n\
             esac",
        ),
    ]);
    std::fs::write(stubs.0.path().join("has/bash"), "").expect("a file");
    let packages = words(&["kubeadm=1.36.3-*", "cri-tools", "containerd|containerd.io"]);
    let ran = stubs.run(&install_packages(PackageManager::Dnf, &packages));
    assert_eq!(ran.status, 0, "{}", ran.output);
    let called = stubs.called();
    let install = "dnf -y -q --setopt=disable_excludes=lbctl-kubernetes --setopt=install_weak_deps=False install kubeadm-1.36.3-* cri-tools containerd.io";
    assert!(called.lines().any(|line| line == install), "{called}");
    assert!(called.contains("versionlock add kubeadm"), "{called}");
    let ledger = stubs.ledger();
    for name in ["kubeadm", "socat", "gpg-pubkey-abc-1"] {
        assert!(ledger.contains(&format!("package {name}\n")), "{ledger}");
    }
    assert!(!ledger.contains("package bash") && !ledger.contains("package gpg-pubkey\n"));
    let back = take_back(&stubs);
    assert!(!back.output.contains("stuck"), "{}", back.output);
    assert_eq!(stubs.has(), ["bash"]);
    assert!(stubs.called().contains("versionlock delete kubeadm"));
}

#[test]
fn a_key_is_fetched_over_https_only_and_must_be_one() {
    // The seventh word is the file's name.
    let stubs = Stubs::new(&[("curl", "cat $at/answer >\"$7\"")]);
    let path = stubs.0.path().join("etc/key.asc");
    let path = path.display().to_string();
    let fetch = |address: &str| stubs.run(&fetch_package_key(PackageManager::Dnf, address, &path));
    let plain = fetch("http://pkgs.example/key");
    assert_eq!(plain.status, 65, "{}", plain.output);
    let answer = stubs.0.path().join("answer");
    std::fs::write(&answer, "<html>").expect("a file");
    let page = fetch("https://pkgs.example/key");
    assert_eq!(page.status, 65, "{}", page.output);
    assert!(!Path::new(&path).exists());
    std::fs::write(&answer, "-----BEGIN PGP PUBLIC KEY BLOCK-----").expect("a file");
    let key = fetch("https://pkgs.example/key");
    assert_eq!(key.status, 0, "{}", key.output);
    assert!(stubs.read("etc/key.asc").contains("PUBLIC KEY"));
    assert!(stubs.ledger().contains(&format!("file {path}\n")));
}
