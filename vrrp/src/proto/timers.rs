//! Intervals of RFC 9568 §6.1, in nanoseconds: a centisecond is too coarse for the skew, which is what
//! keeps two Backups from taking over together.

use std::time::Duration;

use super::{AdvertInterval, Priority, Version};

/// `Skew_Time`: a share of the Active's interval that is smaller the higher the priority. VRRPv2
/// (RFC 3768 §5.2.4) takes the share of a second whatever the interval.
pub fn skew(version: Version, priority: Priority, active_interval: AdvertInterval) -> Duration {
    let share = 256 - u32::from(u8::from(priority));
    let whole = match version {
        Version::V3 => active_interval.duration(),
        Version::V2 => Duration::from_secs(1),
    };
    whole * share / 256
}

/// `Active_Down_Interval`: so much silence means that the Active is gone. `factor` is 3 in the standard.
pub fn down_interval(
    version: Version,
    priority: Priority,
    active_interval: AdvertInterval,
    factor: u8,
) -> Duration {
    active_interval.duration() * u32::from(factor) + skew(version, priority, active_interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(version: Version, centis: u16, priority: u8) -> (f64, f64) {
        let (priority, interval) = (
            Priority::try_from(priority).unwrap(),
            AdvertInterval::try_from(centis).unwrap(),
        );
        let skew = skew(version, priority, interval).as_secs_f64() * 1e3;
        (
            skew,
            down_interval(version, priority, interval, 3).as_secs_f64() * 1e3,
        )
    }

    #[test]
    fn t01_one_second_priority_100() {
        assert_eq!(ms(Version::V3, 100, 100), (609.375, 3609.375));
    }

    #[test]
    fn t02_skew_of_the_shortest_interval_is_not_zero() {
        assert_eq!(ms(Version::V3, 1, 254).0, 0.078_125);
    }

    #[test]
    fn t03_shortest_interval_lowest_priority() {
        let (_, down) = ms(Version::V3, 1, 1);
        assert!((down - 39.960_937).abs() < 1e-5, "{down}");
    }

    #[test]
    fn t04_longest_interval_lowest_priority() {
        let (_, down) = ms(Version::V3, 4095, 1);
        assert!((down - 163_640.0).abs() < 1.0, "{down}");
    }

    #[test]
    fn t14_factor_five_waits_for_five_adverts() {
        let interval = AdvertInterval::try_from(10).unwrap();
        let priority = Priority::try_from(254).unwrap();
        let down = down_interval(Version::V3, priority, interval, 5);
        assert_eq!(
            down,
            Duration::from_micros(500_000) + Duration::from_nanos(781_250)
        );
    }

    #[test]
    fn skew_of_version_2_does_not_depend_on_the_interval() {
        assert_eq!(ms(Version::V2, 300, 100), (609.375, 9609.375));
    }

    #[test]
    fn table_of_down_intervals() {
        for (centis, priority, expected) in [
            (1, 100, 36.09),
            (1, 200, 32.19),
            (2, 1, 79.92),
            (5, 100, 180.5),
            (10, 1, 399.6),
            (10, 100, 360.9),
            (10, 254, 300.8),
            (25, 200, 804.7),
            (50, 254, 1504.0),
            (300, 1, 11_988.0),
        ] {
            let (_, down) = ms(Version::V3, centis, priority);
            assert!(
                (down - expected).abs() / expected < 1e-3,
                "{centis} cs {priority}: {down}"
            );
        }
    }
}
