//! Instants as microseconds since the Unix epoch, written in RFC 3339.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Microseconds since 1970-01-01T00:00:00Z. Serialised as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Micros(pub i64);

/// A text that is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an instant: it should read like 2026-01-31T12:00:00Z")]
pub struct InstantError(String);

impl Micros {
    /// This instant, `micros` microseconds later.
    #[must_use]
    pub const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Milliseconds from `earlier` to this instant.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a span of time fits an f64")]
    pub fn millis_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1_000.0
    }
}

/// Year, month and day of the day that lies `days` after 1970-01-01.
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The inverse, `days_from_civil`.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl fmt::Display for Micros {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000_000);
        let fraction = self.0.rem_euclid(1_000_000);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        write!(
            out,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{fraction:06}Z",
            of_day / 3_600,
            of_day / 60 % 60,
            of_day % 60
        )
    }
}

impl fmt::Debug for Micros {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Micros {
    type Err = InstantError;

    fn from_str(text: &str) -> Result<Self, InstantError> {
        parse(text).ok_or_else(|| InstantError(text.chars().take(64).collect()))
    }
}

/// `YYYY-MM-DD[THH:MM:SS[.fraction]](Z|±HH:MM)?`; without an offset it is UTC.
fn parse(text: &str) -> Option<Micros> {
    let number = |part: &str| {
        (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<i64>().ok())
            .flatten()
    };
    let year = number(text.get(0..4)?)?;
    let month = number(text.get(5..7)?)?;
    let day = number(text.get(8..10)?)?;
    if text.get(4..5)? != "-" || text.get(7..8)? != "-" {
        return None;
    }
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let midnight = days_from_civil(year, month, day).checked_mul(86_400_000_000)?;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some(Micros(midnight));
    }
    if !matches!(rest.get(0..1)?, "T" | "t" | " ") {
        return None;
    }
    let hour = number(rest.get(1..3)?)?;
    let minute = number(rest.get(4..6)?)?;
    let second = number(rest.get(7..9)?)?;
    if rest.get(3..4)? != ":" || rest.get(6..7)? != ":" || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = rest.get(9..)?;
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let shown: String = after.get(0..digits.min(6))?.into();
        fraction = number(&format!("{shown:0<6}"))?;
        if digits == 0 {
            return None;
        }
        rest = after.get(digits..)?;
    }
    let offset_minutes = match rest {
        "" | "Z" | "z" => 0,
        _ => {
            let sign = match rest.get(0..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            if rest.len() != 6 || rest.get(3..4)? != ":" {
                return None;
            }
            sign * (number(rest.get(1..3)?)? * 60 + number(rest.get(4..6)?)?)
        }
    };
    let seconds = hour * 3_600 + minute * 60 + second - offset_minutes * 60;
    Some(Micros(midnight + seconds * 1_000_000 + fraction))
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_rfc_3339() {
        for (text, micros) in [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("2024-02-29T23:59:59.000001Z", 1_709_251_199_000_001),
            ("1969-12-31T23:59:59.999999Z", -1),
        ] {
            assert_eq!(Micros(micros).to_string(), text);
            assert_eq!(text.parse(), Ok(Micros(micros)));
        }
        assert_eq!("2024-02-29".parse::<Micros>().map(|at| at.0), Ok(1_709_164_800_000_000));
        assert_eq!(
            "2024-03-01T01:00:00+01:00".parse::<Micros>(),
            "2024-03-01T00:00:00Z".parse::<Micros>()
        );
        for bad in ["", "yesterday", "2024-13-01", "2024-01-01T99:00:00Z", "2024-01-01T00:00:00.Z"]
        {
            assert!(bad.parse::<Micros>().is_err(), "{bad}");
        }
    }
}
