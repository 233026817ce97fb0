//! Where to begin, as people write it: `earliest`, `latest`, an offset, a time, so many from the end.

use ottla_net::client::Position;

use crate::text::{now_ms, parse_time};

pub const EXPECTED: &str = "earliest, latest, an offset (42), the last so many (-10), a time \
                            (2026-11-24T05:21:00Z, @1795497660000) or an age (15m, 2h, 3d)";

/// Reads a position; the error says what is possible.
pub fn parse_position(text: &str) -> Result<Position, String> {
    position(text, now_ms()).ok_or_else(|| format!("expected {EXPECTED}"))
}

fn position(text: &str, now_ms: i64) -> Option<Position> {
    match text {
        "earliest" | "beginning" => return Some(Position::Earliest),
        "latest" | "end" => return Some(Position::Latest),
        _ => {}
    }
    if let Some(count) = text.strip_prefix('-') {
        return count
            .parse::<u32>()
            .ok()
            .map(|count| Position::Last(count.into()));
    }
    if let Ok(offset) = text.parse::<i64>() {
        return (offset >= 0).then_some(Position::Offset(offset));
    }
    if let Some(age_ms) = age(text) {
        return Some(Position::Timestamp(now_ms.saturating_sub(age_ms)));
    }
    parse_time(text).map(Position::Timestamp)
}

/// Milliseconds of `15m` and the like.
pub fn age(text: &str) -> Option<i64> {
    let unit_ms = match text.as_bytes().last()? {
        b's' => 1000,
        b'm' => 60_000,
        b'h' => 3_600_000,
        b'd' => 86_400_000,
        _ => return None,
    };
    let count: i64 = text[..text.len() - 1].parse().ok()?;
    (count >= 0).then(|| count.saturating_mul(unit_ms))
}

#[cfg(test)]
mod tests;
