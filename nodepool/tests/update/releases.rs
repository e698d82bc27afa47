//! Another `lbnode` and back: one node at a time, the owner last, stopped by the first that does not become well.

use nodepool::commands::{Consent, Outcome};

use super::{address, made};
use crate::site::Site;

/// The operator has another program.
fn bring(site: &mut Site, name: &str) {
    let digest = format!("sha256:{name}");
    site.artefacts.lbnode.image.bytes = digest.as_bytes().into();
    site.artefacts.lbnode.image.digest = digest;
    site.artefacts.lbnode.sha256 = nodepool::digest::sha256(name.as_bytes());
    site.artefacts.lbnode.path = site.folder.path().join(name);
    std::fs::write(&site.artefacts.lbnode.path, name).expect("a file");
}

#[tokio::test(start_paused = true)]
async fn another_release_and_back_again() {
    let mut site = made().await;
    let before = site.state();
    for (name, moves) in [("image2", 1), ("image", 2)] {
        if name == "image" {
            // What the operator had before.
            bring(&mut site, name);
            site.artefacts.lbnode.sha256 = nodepool::digest::sha256(b"lbnode");
            std::fs::write(&site.artefacts.lbnode.path, b"lbnode").expect("a file");
        } else {
            bring(&mut site, name);
        }
        let owner = site.inner().balancers.owner.expect("an owner");
        site.inner().balancers.restarts.clear();
        assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
        let inner = site.inner();
        assert_eq!(inner.balancers.restarts.len(), 3, "{name}");
        assert_eq!(inner.balancers.restarts.last(), Some(&owner), "{name}");
        assert_eq!(inner.balancers.moves, moves, "{name}");
        let programs = inner.applied["DaemonSet/lb-speaker"].to_string();
        assert!(programs.contains(&format!("sha256:{name}\"")), "{programs}");
    }
    assert_eq!(site.state(), before);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_does_not_work_stops_at_the_first_node_and_is_taken_back_there() {
    let mut site = made().await;
    bring(&mut site, "bad");
    site.inner().balancers.poison = Some("sha256:bad".to_owned());
    let failure = site.update(Consent::Given).await.expect_err("it is ill");
    assert!(
        failure.message.starts_with("not well after 3 min: m2: "),
        "{failure:?}"
    );
    assert!(
        failure
            .message
            .ends_with("2 nodes still have their old settings"),
        "{failure:?}"
    );
    let hint = failure.hint.expect("a way out");
    assert!(
        hint.contains("Back it goes with the file, the `lbctl` and the `lbnode` of before"),
        "{hint}"
    );
    assert_eq!(site.inner().balancers.restarts, [address(13)]);
    assert_eq!(site.inner().balancers.moves, 0);
    bring(&mut site, "image");
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(
        site.inner().balancers.restarts,
        [address(13)],
        "nobody else is touched"
    );
    assert_eq!(site.inner().well().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_release_is_not_brought_over_a_node_in_maintenance() {
    let mut site = made().await;
    let key = "  loadBalancer:\n";
    let block = "  maintenanceBlocks:\n    cidrBlocks: [10.10.0.12/32]\n";
    site.edit(&super::FILE.replacen(key, &format!("{block}{key}"), 1));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    bring(&mut site, "image2");
    site.inner().changes.clear();
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("somebody works there");
    assert!(
        failure
            .message
            .contains("m1 (10.10.0.12) is in maintenance"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}
