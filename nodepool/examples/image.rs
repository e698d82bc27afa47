//! Writes the image of a node binary as an OCI archive: `cargo run -p nodepool --example image -- LBNODE ARCHIVE`.
//!
//! The archive is the one that lbctl sends to the nodes; any tool that reads OCI layouts can import it
//! (`ctr -n k8s.io images import ARCHIVE`, `skopeo copy oci-archive:ARCHIVE …`).

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use nodepool::lbnode::{IMAGE, Lbnode};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [program, archive] = &args[..] else {
        bail!("two arguments are needed: the node binary and the archive to write");
    };
    let lbnode = Lbnode::load(Path::new(program))?;
    std::fs::write(archive, &lbnode.image.bytes)
        .with_context(|| format!("cannot write `{archive}`"))?;
    let (name, digest) = (IMAGE, &lbnode.image.digest);
    writeln!(
        std::io::stdout(),
        "{archive}  {name} linux/{}  {digest}",
        lbnode.architecture
    )?;
    Ok(())
}
