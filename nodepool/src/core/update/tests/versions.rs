//! Versions of Kubernetes that an update meets.

use super::*;
use crate::core::version::Version;
use crate::packages::Packages;

fn made() -> serde_json::Value {
    json!({ "kubernetesVersion": "v1.36.3" })
}

/// The scene with its last machine still to join, and this kubelet on it.
fn joining(kubelet: &str) -> Scene {
    let mut scene = scene();
    let facts = scene.facts.get_mut(&at(2)).expect("a machine");
    facts.member = None;
    facts.files.clear();
    facts.kubeadm = Some("v1.36.3".to_owned());
    facts.kubelet = Some(kubelet.to_owned());
    scene
}

fn refused(scene: &Scene, packages: Option<&Packages>) -> Vec<String> {
    let situation = Situation {
        packages,
        ..scene.situation()
    };
    let all = refusals(&situation, &made(), &BTreeMap::new());
    all.into_iter().map(|one| one.what).collect()
}

#[test]
fn what_is_installed_on_a_machine_that_joins_goes_together_with_the_cluster() {
    let none = Vec::<String>::new();
    for kubelet in ["v1.36.9", "v1.35.0", "v1.33.0"] {
        assert_eq!(refused(&joining(kubelet), None), none, "{kubelet}");
    }
    let newer = refused(&joining("v1.37.0"), None);
    assert_eq!(
        newer,
        ["m2 (10.10.0.13): kubelet v1.37.0 is newer than the API servers' v1.36.3"]
    );
    let older = refused(&joining("v1.32.0"), None);
    assert!(
        older[0].contains("more than 3 minor versions older"),
        "{older:?}"
    );
    // Members were judged when they joined.
    let mut scene = scene();
    let facts = scene.facts.get_mut(&at(1)).expect("a machine");
    facts.kubelet = Some("v1.30.0".to_owned());
    assert_eq!(refused(&scene, None), none);
}

#[test]
fn packages_are_of_the_version_that_the_cluster_has() {
    let packages = |version: &str| Packages {
        version: Version::parse(version).expect("a version"),
        mirror: None,
        key: None,
    };
    let scene = joining("v1.36.3");
    let same = packages("v1.36.3");
    assert_eq!(refused(&scene, Some(&same)), Vec::<String>::new());
    let other = packages("v1.37.0");
    assert_eq!(
        refused(&scene, Some(&other)),
        ["Kubernetes: the cluster has v1.36.3, packages of v1.37.0 are asked for"]
    );
}
