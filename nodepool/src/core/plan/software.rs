//! Software from the packages of the machines' distribution: what is missing is installed, what is there stays as it is.

use super::prepare::missing;
use super::{Planner, Situation, Stage, StageName};
use crate::core::facts::Facts;
use crate::core::step::Step;
use crate::manifest::cni;
use crate::manifest::packages::{Key, repository};
use crate::packages::Packages;

impl Situation<'_> {
    /// The repository, its key, the packages. Members have their software.
    fn software(&self, facts: &Facts) -> Vec<Step> {
        let wanted = self.packages.zip(facts.supply.manager);
        let Some((packages, manager)) = wanted.filter(|_| facts.member.is_none()) else {
            return Vec::new();
        };
        let kubernetes = self.kubernetes_packages(packages, facts);
        let mut steps = Vec::new();
        if !kubernetes.is_empty() && self.desired.add_package_repo {
            let repository = repository(packages, manager);
            if !facts.supply.repositories.contains(&repository.address) {
                match repository.key {
                    Key::File(key) => steps.extend(missing(facts, [key])),
                    Key::At { path, .. } if facts.files.contains_key(path) => {}
                    Key::At { address, .. } => {
                        steps.push(Step::FetchPackageKey { manager, address });
                    }
                }
                steps.extend(missing(facts, [repository.source]));
            }
        }
        let mut names = kubernetes;
        if facts.containerd.version.is_none() || !facts.programs.contains_key("ctr") {
            // The distribution's own name, and that of who makes it.
            names.push("containerd|containerd.io".to_owned());
        }
        if !names.is_empty() || facts.supply.unfinished {
            steps.push(Step::InstallPackages {
                manager,
                packages: names,
            });
        }
        steps
    }

    /// Packages of Kubernetes' own repository that the machine lacks.
    fn kubernetes_packages(&self, packages: &Packages, facts: &Facts) -> Vec<String> {
        let version = packages.version;
        let pattern = format!("{}.{}.{}-*", version.major, version.minor, version.patch);
        let programs = [
            ("kubeadm", facts.kubeadm.is_some()),
            ("kubelet", facts.kubelet.is_some()),
            ("kubectl", facts.programs.contains_key("kubectl")),
        ];
        let mut names: Vec<String> = programs
            .into_iter()
            .filter(|(_, there)| !there)
            .map(|(name, _)| format!("{name}={pattern}"))
            .collect();
        // These two have versions of their own.
        if !facts.programs.contains_key("crictl") {
            names.push("cri-tools".to_owned());
        }
        if self.routed_network && facts.cni_directory(&cni::PLUGINS).is_none() {
            names.push("kubernetes-cni|containernetworking-plugins".to_owned());
        }
        names
    }
}

impl Planner<'_> {
    /// All machines at once: what is fetched takes longer than anything that is done with it.
    pub(super) fn software(&self) -> Stage {
        self.machines(StageName::Software, |machine, facts| {
            if machine.maintenance {
                Vec::new()
            } else {
                self.situation.software(facts)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::{Plan, plan};
    use super::*;
    use crate::core::desired::Desired;
    use crate::core::facts::{Membership, PackageManager};
    use crate::core::from_config;
    use crate::core::version::Version;
    use crate::lbnode::Lbnode;
    use crate::manifest::packages::{APT_KEY, APT_SOURCE, DNF_KEY, DNF_SOURCE};
    use crate::oci::Archive;

    fn desired() -> Desired {
        let text = include_str!("../../../../examples/three-control-planes.yaml");
        let loaded = cluster_config::load(text, "x");
        from_config::desired(&loaded.cluster.expect("the example is valid"))
    }

    fn packages(key: Option<&str>) -> Packages {
        Packages {
            version: Version::parse("v1.36.3").expect("a version"),
            mirror: None,
            key: key.map(str::to_owned),
        }
    }

    fn bare(manager: PackageManager) -> Facts {
        let mut facts = Facts::default();
        facts.supply.manager = Some(manager);
        facts
    }

    /// The first machine's steps of the stage, as titles.
    fn titles(desired: &Desired, packages: Option<&Packages>, facts: &Facts) -> Vec<String> {
        let lbnode = Lbnode {
            path: "lbnode".into(),
            architecture: "amd64".to_owned(),
            sha256: "sum".to_owned(),
            version: None,
            image: Archive {
                bytes: [].into(),
                digest: String::new(),
            },
        };
        let first = desired.machines[0].address;
        let facts = BTreeMap::from([(first, facts.clone())]);
        let Plan { stages } = plan(&Situation {
            desired,
            bundle: None,
            packages,
            lbnode: &lbnode,
            routed_network: true,
            facts: &facts,
            view: None,
        });
        let stage = stages
            .into_iter()
            .find(|stage| stage.name == StageName::Software);
        let steps = stage.and_then(|mut stage| stage.machines.remove(&first));
        steps.iter().flatten().map(Step::title).collect()
    }

    const ALL: &str = "install kubeadm=1.36.3-* kubelet=1.36.3-* kubectl=1.36.3-* cri-tools kubernetes-cni|containernetworking-plugins containerd|containerd.io";
    const FETCH: &str = "fetch the key of the package repository";

    #[test]
    fn a_bare_machine_gets_the_repository_its_key_and_the_packages() {
        let desired = desired();
        let cases = [
            (PackageManager::Apt, None, FETCH.to_owned(), APT_SOURCE),
            (PackageManager::Dnf, None, FETCH.to_owned(), DNF_SOURCE),
            (
                PackageManager::Apt,
                Some("KEY"),
                format!("write {APT_KEY}"),
                APT_SOURCE,
            ),
            (
                PackageManager::Dnf,
                Some("KEY"),
                format!("write {DNF_KEY}"),
                DNF_SOURCE,
            ),
        ];
        for (manager, key, brings, source) in cases {
            let found = titles(&desired, Some(&packages(key)), &bare(manager));
            let expected = [brings, format!("write {source}"), ALL.to_owned()];
            assert_eq!(found, expected, "{manager:?}");
        }
    }

    #[test]
    fn no_repository_is_added_where_the_file_forbids_it_or_somebody_has() {
        let mut desired = desired();
        let mut facts = bare(PackageManager::Apt);
        let repository = "https://pkgs.k8s.io/core:/stable:/v1.36/deb";
        facts.supply.repositories.insert(repository.to_owned());
        assert_eq!(titles(&desired, Some(&packages(None)), &facts), [ALL]);
        desired.add_package_repo = false;
        let facts = bare(PackageManager::Apt);
        assert_eq!(titles(&desired, Some(&packages(None)), &facts), [ALL]);
    }

    #[test]
    fn what_is_there_stays_and_what_was_begun_is_finished() {
        let desired = desired();
        let all = packages(None);
        let mut facts = bare(PackageManager::Apt);
        facts.kubeadm = Some("v1.36.3".to_owned());
        facts.kubelet = Some("v1.36.3".to_owned());
        facts.containerd.version = Some("1.7.0".to_owned());
        for program in ["kubectl", "crictl", "ctr"] {
            let path = format!("/usr/bin/{program}");
            facts.programs.insert(program.to_owned(), path);
        }
        let plugins: BTreeSet<String> = cni::PLUGINS.map(str::to_owned).into();
        facts.cni_plugins.insert("/opt/cni/bin".to_owned(), plugins);
        let none = Vec::<String>::new();
        assert_eq!(titles(&desired, Some(&all), &facts), none);

        let mut begun = facts.clone();
        begun.supply.unfinished = true;
        let finish = ["finish installing packages"];
        assert_eq!(titles(&desired, Some(&all), &begun), finish);

        // Only the runtime is missing: Kubernetes' repository is not needed for it.
        let mut without = facts;
        without.containerd.version = None;
        let runtime = ["install containerd|containerd.io"];
        assert_eq!(titles(&desired, Some(&all), &without), runtime);
    }

    #[test]
    fn nothing_is_installed_unasked_or_on_members_or_without_a_package_manager() {
        let desired = desired();
        let none = Vec::<String>::new();
        let bare = bare(PackageManager::Apt);
        assert_eq!(titles(&desired, None, &bare), none);
        assert_eq!(
            titles(&desired, Some(&packages(None)), &Facts::default()),
            none
        );
        let mut member = bare;
        member.member = Some(Membership {
            cluster: "lab".to_owned(),
            role: "control-plane".to_owned(),
        });
        assert_eq!(titles(&desired, Some(&packages(None)), &member), none);
    }
}
