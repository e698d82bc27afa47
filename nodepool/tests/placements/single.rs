//! One control plane: nobody takes over from it, and everything else is as with three.

use nodepool::commands::{Consent, Outcome};

use super::FILE;
use crate::site::Site;

fn single() -> String {
    let file = FILE.replace(
        "      - address: 10.10.0.12\n      - address: 10.10.0.13\n",
        "",
    );
    assert_ne!(file, FILE);
    file
}

#[tokio::test(start_paused = true)]
async fn a_single_control_plane_is_made_changed_and_completed() {
    let mut site = Site::new(&single());
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    let first: std::net::IpAddr = [10, 10, 0, 11].into();
    assert_eq!(site.inner().balancers.owner, Some(first));
    site.inner().changes.clear();
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));

    // Its only load balancer restarts: nobody else could have the virtual IP meanwhile.
    let settings = "  loadBalancer:\n    proxy:\n      connectTimeoutMillis: 3000\n";
    site.edit(&single().replacen("  loadBalancer:\n", settings, 1));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    {
        let inner = site.inner();
        assert_eq!(inner.balancers.restarts, [first]);
        assert_eq!(
            (inner.balancers.owner, inner.balancers.moves),
            (Some(first), 0)
        );
    }

    site.edit(FILE);
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(site.inner().well().len(), 3);
    assert_eq!(site.inner().etcd.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn three_control_planes_become_one() {
    let mut site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    site.edit(&FILE.replace("      - address: 10.10.0.13\n", ""));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    site.edit(&single());
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(site.inner().etcd.len(), 1);
    assert_eq!(site.inner().well().len(), 1);
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
}

#[tokio::test(start_paused = true)]
async fn the_only_control_plane_does_not_leave() {
    let site = Site::new(&single());
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    let failure = site.reset_nodes(&["m0"], false).await.expect_err("refused");
    assert!(
        failure.message.contains("no control plane would be left"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}
