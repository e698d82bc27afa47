//! The commands of `lbctl`, run on a site.

use nodepool::commands::{
    Artefacts, Checked, Consent, Create, Install, Leave, Look, Looked, Outcome, Reset, Sight,
    Snapshot, Taken, Update, check_cluster, create, install, look, reset_nodes, see, snapshot,
    update,
};
use nodepool::core::preflight::network::Listening;
use nodepool::core::status::Picture;
use nodepool::error::Failure;
use nodepool::run::{Fleet, Interrupt, LogDirectory, World};
use nodepool::ui::Ui;
use nodepool::workspace::Workspace;

use super::Site;

impl Site {
    /// One `lbctl create cluster`.
    pub(crate) async fn create(&self) -> Result<Outcome, Failure> {
        let interrupt = self.fresh_interrupt();
        let workspace = Workspace::open(&self.folder.path().join("ws"), &self.desired.name)?;
        let log = LogDirectory::new(workspace.directory(), "create cluster");
        let world = self.world(&interrupt, &log);
        let input = Create {
            cluster: &self.cluster,
            desired: &self.desired,
            artefacts: &self.artefacts,
            workspace: &workspace,
            replace_edited: false,
        };
        create(&world, input).await
    }

    /// One `lbctl install`.
    pub(crate) async fn install(&self, consent: Consent) -> Result<Outcome, Failure> {
        let interrupt = self.fresh_interrupt();
        let workspace = Workspace::open(&self.folder.path().join("ws"), &self.desired.name)?;
        let log = LogDirectory::new(workspace.directory(), "install");
        let world = self.world(&interrupt, &log);
        let artefacts = Artefacts {
            bundle: None,
            ..self.artefacts.clone()
        };
        let input = Install {
            cluster: &self.cluster,
            desired: &self.desired,
            artefacts: &artefacts,
            workspace: &workspace,
            kubeconfig: "the administrator's",
            consent,
        };
        install(&world, input).await
    }

    /// One `lbctl update cluster`.
    pub(crate) async fn update(&self, consent: Consent) -> Result<Outcome, Failure> {
        let interrupt = self.fresh_interrupt();
        let workspace = Workspace::open(&self.folder.path().join("ws"), &self.desired.name)?;
        let log = LogDirectory::new(workspace.directory(), "update cluster");
        let world = self.world(&interrupt, &log);
        let input = Update {
            cluster: &self.cluster,
            desired: &self.desired,
            artefacts: &self.artefacts,
            workspace: &workspace,
            consent,
            leave: Leave::Unlisted,
        };
        update(&world, input).await
    }

    /// One `lbctl reset nodes`.
    pub(crate) async fn reset_nodes(
        &self,
        names: &[&str],
        forced: bool,
    ) -> Result<Outcome, Failure> {
        let interrupt = self.fresh_interrupt();
        let workspace = Workspace::open(&self.folder.path().join("ws"), &self.desired.name)?;
        let log = LogDirectory::new(workspace.directory(), "reset nodes");
        let world = self.world(&interrupt, &log);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let input = Reset {
            cluster: &self.cluster,
            names: &names,
            forced,
            artefacts: &self.artefacts,
            workspace: &workspace,
            consent: Consent::Given,
        };
        reset_nodes(&world, input).await
    }

    /// One `lbctl snapshot`; the cluster file says this.
    pub(crate) async fn snapshot(&self, file: &str) -> Result<Taken, Failure> {
        let interrupt = self.fresh_interrupt();
        let workspace = Workspace::open(&self.folder.path().join("ws"), &self.desired.name)?;
        let log = LogDirectory::new(workspace.directory(), "snapshot");
        let world = self.world(&interrupt, &log);
        let input = Snapshot {
            desired: &self.desired,
            workspace: &workspace,
            file,
            archive: None,
        };
        snapshot(&world, input).await
    }

    /// What `lbctl status` shows.
    pub(crate) async fn status(&self) -> Result<Picture, Failure> {
        let interrupt = self.fresh_interrupt();
        let workspace = Workspace::open(&self.folder.path().join("ws"), &self.desired.name)?;
        let log = LogDirectory::new(workspace.directory(), "status");
        let world = self.world(&interrupt, &log);
        let fleet = Fleet::connect(&world, &self.desired).await?;
        Ok(see(&world, &fleet, self.sight(&workspace)).await.picture)
    }

    /// One `lbctl check cluster`.
    pub(crate) async fn check_cluster(&self) -> Result<Checked, Failure> {
        let interrupt = self.fresh_interrupt();
        let workspace = Workspace::open(&self.folder.path().join("ws"), &self.desired.name)?;
        let log = LogDirectory::new(workspace.directory(), "check cluster");
        let world = self.world(&interrupt, &log);
        check_cluster(&world, self.sight(&workspace)).await
    }

    fn sight<'a>(&'a self, workspace: &'a Workspace) -> Sight<'a> {
        Sight {
            desired: &self.desired,
            workspace,
            lbnode: Some(&self.artefacts.lbnode),
        }
    }

    /// The look that `lbctl check preflight` takes.
    pub(crate) async fn look(&self) -> Result<Looked, Failure> {
        let interrupt = self.fresh_interrupt();
        let workspace = Workspace::open(&self.folder.path().join("ws"), &self.desired.name)?;
        let log = LogDirectory::new(workspace.directory(), "check preflight");
        let world = self.world(&interrupt, &log);
        let fleet = Fleet::connect(&world, &self.desired).await?;
        let input = Look {
            cluster: &self.cluster,
            desired: &self.desired,
            artefacts: &self.artefacts,
            replace_edited: false,
            listening: Listening::Long,
            adopting: None,
        };
        look(&world, &fleet, input).await
    }

    fn fresh_interrupt(&self) -> Interrupt {
        let interrupt = Interrupt::default();
        *self.interrupt.lock().expect("no test thread has panicked") = interrupt.clone();
        interrupt
    }

    fn world<'a>(&'a self, interrupt: &'a Interrupt, log: &'a LogDirectory) -> World<'a> {
        World {
            connector: self,
            api: self,
            ui: Ui {
                quiet: true,
                color: false,
                animate: false,
            },
            interrupt,
            log,
        }
    }
}
