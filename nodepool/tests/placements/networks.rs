//! `k8sIP` apart from `address`: SSH goes to one, everything else to the other.

use std::net::IpAddr;

use nodepool::commands::{Consent, Outcome};

use super::FILE;
use crate::site::{Fault, Site};

/// SSH reaches 10.10.0.N at 172.16.0.N.
fn two_networks() -> String {
    let mut file = FILE.to_owned();
    for last in [11, 12, 13] {
        let one = format!("- address: 10.10.0.{last}\n");
        let two = format!("- address: 172.16.0.{last}\n        k8sIP: 10.10.0.{last}\n");
        assert!(file.contains(&one));
        file = file.replace(&one, &two);
    }
    file
}

fn with_fourth() -> String {
    let third = "        k8sIP: 10.10.0.13\n";
    let fourth = "      - address: 172.16.0.14\n        k8sIP: 10.10.0.14\n";
    two_networks().replace(third, &format!("{third}{fourth}"))
}

fn inside(last: u8) -> IpAddr {
    [10, 10, 0, last].into()
}

fn ssh(last: u8) -> IpAddr {
    [172, 16, 0, last].into()
}

#[tokio::test(start_paused = true)]
async fn ssh_goes_to_one_address_and_everything_else_to_the_other() {
    let mut site = Site::new(&two_networks());
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    {
        let inner = site.inner();
        assert!(
            inner
                .changes
                .iter()
                .all(|change| !change.starts_with("10.")),
            "{:?}",
            inner.changes
        );
        for last in [11, 12, 13] {
            let texts = &inner.machines[&ssh(last)].texts;
            for file in ["vrrp", "proxy"] {
                let text = &texts[&format!("/etc/lbnode/{file}.yaml")];
                assert!(text.contains("10.10.0.12"), "{text}");
                assert!(!text.contains("172.16."), "{text}");
            }
        }
        assert_eq!(inner.etcd, [11, 12, 13].map(inside).into());
    }
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));

    site.edit(&with_fourth());
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert!(site.inner().etcd.contains(&inside(14)));
}

/// By name and by either address: the file says where SSH finds it.
#[tokio::test(start_paused = true)]
async fn a_machine_leaves_by_any_of_its_names() {
    let made = Site::new(&two_networks());
    made.create().await.expect("the cluster is made");
    for name in ["m2", "10.10.0.13", "172.16.0.13"] {
        let site = made.fork();
        site.inner().changes.clear();
        let outcome = site.reset_nodes(&[name], false).await;
        assert_eq!(outcome, Ok(Outcome::Changed), "{name}");
        let inner = site.inner();
        assert!(!inner.nodes.contains_key("m2"), "{name}");
        assert!(!inner.etcd.contains(&inside(13)), "{name}");
        let reset = "172.16.0.13 reset ".to_owned();
        assert!(
            inner
                .changes
                .iter()
                .any(|change| change.starts_with(&reset)),
            "{name}: {:?}",
            inner.changes
        );
    }
}

/// The node's address is not the one that SSH needs, and only the file had that.
#[tokio::test(start_paused = true)]
async fn who_left_the_file_and_is_not_found_stays_and_that_is_said() {
    let mut site = Site::new(&with_fourth());
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    site.edit(&two_networks());
    let failure = site.update(Consent::Given).await.expect_err("not reached");
    assert!(failure.message.contains("10.10.0.14"), "{failure:?}");
    assert!(
        failure
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("put it back into the file")),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_creation_is_finished() {
    let whole = Site::new(&two_networks());
    whole.create().await.expect("the undisturbed run works");
    let changes = whole.inner().changes.clone();
    let joins = changes
        .iter()
        .rposition(|change| change.contains("kubeadm-join"));
    let at = joins.expect("somebody joins") + 1;
    for fault in [Fault::Half, Fault::After] {
        let site = Site::new(&two_networks());
        site.inner().fault = Some((at, fault));
        site.create().await.expect_err("disturbed");
        site.inner().fault = None;
        assert_eq!(site.create().await, Ok(Outcome::Changed), "{fault:?}");
        assert_eq!(site.inner().etcd, whole.inner().etcd, "{fault:?}");
    }
}
