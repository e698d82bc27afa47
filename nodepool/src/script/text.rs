//! The texts themselves, one file each.

pub(super) const ADOPT: &str = include_str!("adopt.sh");
pub(super) const CHECK_SERVICE: &str = include_str!("check_service.sh");
pub(super) const CONTAINERD_RESTART: &str = concat!(
    include_str!("loaded.sh"),
    include_str!("containerd_restart.sh")
);
pub(super) const FACTS: &str = include_str!("facts.sh");
pub(super) const HARD_LINK: &str = include_str!("hard_link.sh");
pub(super) const HOLD_LOCK: &str = include_str!("hold_lock.sh");
pub(super) const IMPORT_IMAGES: &str = include_str!("import_images.sh");
pub(super) const KEEP_TO_ADDRESS: &str = include_str!("keep_to_address.sh");
pub(super) const KUBEADM_CLEAN: &str = concat!(
    include_str!("standing_back.sh"),
    include_str!("kubeadm_clean.sh")
);
pub(super) const KUBEADM_INIT: &str = include_str!("kubeadm_init.sh");
pub(super) const KUBEADM_JOIN: &str = concat!(
    include_str!("standing_back.sh"),
    include_str!("kubeadm_join.sh")
);
pub(super) const KUBELET_ENABLE: &str =
    concat!(include_str!("loaded.sh"), include_str!("kubelet_enable.sh"));
pub(super) const LEFTOVERS: &str = include_str!("leftovers.sh");
pub(super) const MAKE_AUTHORITY: &str = include_str!("make_authority.sh");
pub(super) const PACKAGES_INSTALL: &str = include_str!("packages_install.sh");
pub(super) const PACKAGES_KEY: &str = include_str!("packages_key.sh");
pub(super) const PROBE: &str = include_str!("probe.sh");
pub(super) const PROBE_BRING: &str = include_str!("probe_bring.sh");
pub(super) const PUT_FILE: &str = include_str!("put_file.sh");
pub(super) const RESET: &str = concat!(include_str!("packages_back.sh"), include_str!("reset.sh"));
pub(super) const SNAPSHOT: &str = include_str!("snapshot.sh");
pub(super) const STAND_ALONE: &str =
    concat!(include_str!("loaded.sh"), include_str!("stand_alone.sh"));
pub(super) const STOP_BALANCER: &str = include_str!("stop_balancer.sh");
pub(super) const STOP_OTHERS: &str = include_str!("stop_others.sh");
pub(super) const STOP_ROUTER: &str = include_str!("stop_router.sh");
pub(super) const SYSCTL: &str = include_str!("sysctl.sh");
pub(super) const UNIT_START: &str =
    concat!(include_str!("loaded.sh"), include_str!("unit_start.sh"));
pub(super) const UPLOAD_CERTS: &str = include_str!("upload_certs.sh");
