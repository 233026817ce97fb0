use super::{Report, Verdict};
use std::time::Duration;

#[test]
fn a_step_that_broke_or_checked_nothing_counts_as_one_failure() {
    let mut report = Report::default();
    for verdict in [
        Verdict::Ran {
            passed: 7,
            failed: 2,
        },
        Verdict::Ran {
            passed: 0,
            failed: 0,
        },
        Verdict::Broken("no broker".to_owned()),
        Verdict::LeftOut("no go".to_owned()),
    ] {
        report.add("step", verdict, Duration::ZERO);
    }
    assert_eq!(report.totals(), (7, 4));
}
