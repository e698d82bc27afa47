//! How many sessions a limit of open files allows.

/// Sessions at the same time: as many as wanted, unless two descriptors each are more than the limit leaves.
pub(crate) fn sessions_within(limit: u64, wanted: u32) -> u32 {
    // Listeners, pipes, checks, admin.
    let reserve = (limit / 8).min(256);
    let most = (limit - reserve) / 2;
    wanted.min(u32::try_from(most).unwrap_or(u32::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h14_sessions_fit_into_the_limit() {
        assert_eq!(sessions_within(u64::MAX, 40_000), 40_000);
        assert_eq!(sessions_within(1 << 20, 40_000), 40_000);
        assert_eq!(sessions_within(20_000, 40_000), 9872);
        assert_eq!(sessions_within(1024, 40_000), 448);
        assert_eq!(sessions_within(1024, 100), 100);
        assert_eq!(sessions_within(0, 100), 1);
    }
}
