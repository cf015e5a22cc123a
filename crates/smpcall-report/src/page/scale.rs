//! Numbers and places: how long is written how, and where it stands on a logarithmic scale.

/// A time, with three digits that count.
pub(super) fn ns(ns: f64) -> String {
    match ns {
        _ if !ns.is_finite() => "none".to_owned(),
        _ if ns < 99.95 => format!("{ns:.1} ns"),
        _ if ns < 999.5 => format!("{ns:.0} ns"),
        _ => with_unit(ns),
    }
}

fn with_unit(ns: f64) -> String {
    let (value, unit) = if ns < 999_500.0 { (ns / 1e3, "µs") } else { (ns / 1e6, "ms") };
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {unit}")
}

/// A power of ten, for a scale.
pub(super) fn tick(ns: f64) -> String {
    match ns {
        _ if ns < 999.5 => format!("{ns} ns"),
        _ if ns < 999_500.0 => format!("{} µs", ns / 1e3),
        _ => format!("{} ms", ns / 1e6),
    }
}

/// A ratio, with three digits that count.
pub(super) fn ratio(ratio: f64) -> String {
    match ratio {
        _ if !ratio.is_finite() => "none".to_owned(),
        _ if ratio < 0.0995 => format!("{ratio:.3}"),
        _ if ratio < 9.995 => format!("{ratio:.2}"),
        _ => format!("{ratio:.0}"),
    }
}

/// With a comma before every three digits.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A day and a time of it, by UTC. (Howard Hinnant's `civil_from_days`.)
pub(super) fn date(seconds: u64) -> String {
    let (days, second) = ((seconds / 86_400) as i64 + 719_468, seconds % 86_400);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}, {:02}:{:02} UTC", second / 3_600, second / 60 % 60)
}

/// A logarithmic scale over whole decades.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    low: f64,
    high: f64,
}

impl Log {
    /// One on which all of these are. Nothing is below a tenth of a ns.
    pub(super) fn over(values: impl Iterator<Item = f64>) -> Self {
        let usable = values.filter(|value| value.is_finite() && *value > 0.0);
        let (least, most) =
            usable.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if most == 0.0 {
            return Self { low: 0.0, high: 1.0 };
        }
        let low = least.max(0.1).log10().floor();
        Self { low, high: most.log10().ceil().max(low + 1.0) }
    }

    /// Where a value stands, from 0 to 1.
    pub(super) fn at(&self, value: f64) -> f64 {
        let at = (value.max(f64::MIN_POSITIVE).log10() - self.low) / (self.high - self.low);
        at.clamp(0.0, 1.0)
    }

    /// The powers of ten on it.
    pub(super) fn decades(&self) -> impl Iterator<Item = f64> + use<> {
        (self.low as i32..=self.high as i32).map(|power| 10_f64.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        let said = [0.04, 9.96, 99.9, 99.96, 999.4, 999.6, 12_345.0, 123_456.0, 999_600.0, f64::NAN].map(ns);
        assert_eq!(
            said,
            [
                "0.0 ns", "10.0 ns", "99.9 ns", "100 ns", "999 ns", "1.00 µs", "12.3 µs", "123 µs",
                "1.00 ms", "none"
            ]
        );
        assert_eq!([0.0012, 0.526, 1.0, 30.4].map(ratio), ["0.001", "0.53", "1.00", "30"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01, 00:00 UTC");
        assert_eq!(date(951_782_399), "2000-02-28, 23:59 UTC");
        assert_eq!(date(951_782_400), "2000-02-29, 00:00 UTC");
        assert_eq!(date(1_796_022_000), "2026-11-30, 07:00 UTC");
    }

    #[test]
    fn a_scale_covers_its_values_by_whole_decades() {
        let log = Log::over([12.0, 3_400.0, f64::NAN, 0.0].into_iter());
        assert_eq!(log.decades().collect::<Vec<_>>(), [10.0, 100.0, 1_000.0, 10_000.0]);
        assert!((log.at(100.0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!((log.at(1.0), log.at(1e9)), (0.0, 1.0));
        assert_eq!(Log::over([100.0].into_iter()).decades().count(), 2);
        assert_eq!(Log::over([].into_iter()).decades().collect::<Vec<_>>(), [1.0, 10.0], "of nothing");
    }
}
