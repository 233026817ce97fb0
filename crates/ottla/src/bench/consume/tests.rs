use std::time::{Duration, Instant};

use super::Pace;

#[test]
fn a_reader_keeps_its_rate_and_does_not_make_up_for_lost_time() {
    let begin = Instant::now();
    let at = |ms| begin + Duration::from_millis(ms);
    let mut pace = Pace::new(1_000_000.0, begin);

    assert_eq!(pace.next(at(0), 5_000), at(5));
    // Asked for a little late, which the next one does not inherit.
    assert_eq!(pace.next(at(6), 5_000), at(11));
    // Far behind: the rate counts from here on.
    assert_eq!(pace.next(at(100), 5_000), at(105));
    // Sooner than due, as after an answer without records.
    assert_eq!(pace.next(at(103), 0), at(105));
}
