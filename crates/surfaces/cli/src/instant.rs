//! Instants as people give them: `2h`, `30m`, `7d` ago, or RFC 3339.

use pelton_ids::Micros;

/// Reads an instant; spans count back from `now`.
pub(crate) fn read(text: &str, now: Micros) -> Result<String, String> {
    let unit = text.chars().next_back().and_then(|unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    });
    let count =
        text.get(..text.len().saturating_sub(1)).and_then(|count| count.parse::<i64>().ok());
    if let (Some(seconds), Some(count)) = (unit, count) {
        return Ok(now.plus(-count.saturating_mul(seconds * 1_000_000)).to_string());
    }
    match text.parse::<Micros>() {
        Ok(instant) => Ok(instant.to_string()),
        Err(_) => Err(format!("`{text}` is no instant: write 30m, 2h, 7d or 2026-01-31T12:00:00Z")),
    }
}

/// For clap: reads an instant by the machine's clock.
pub(crate) fn argument(text: &str) -> Result<String, String> {
    use pelton_context::Clock as _;
    read(text, pelton_context::SystemClock.now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_count_back_and_instants_stay() {
        let now = Micros(1_000_000 * 100_000);
        assert_eq!(read("10s", now).unwrap(), Micros(1_000_000 * 99_990).to_string());
        assert_eq!(read("1d", now).unwrap(), Micros(1_000_000 * 13_600).to_string());
        assert_eq!(read("2026-01-31T12:00:00Z", now).unwrap(), "2026-01-31T12:00:00.000000Z");
        assert!(read("yesterday", now).unwrap_err().contains("30m"));
        assert!(read("", now).is_err());
    }
}
