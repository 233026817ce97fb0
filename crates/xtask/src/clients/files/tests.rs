use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Output};

use super::{complaints, real_errors};

fn output(code: i32, said: &str, errors: &str) -> Output {
    Output {
        status: ExitStatus::from_raw(code << 8),
        stdout: said.into(),
        stderr: errors.into(),
    }
}

#[test]
fn a_segment_that_begins_at_its_base_offset_is_no_complaint() {
    let errors =
        "Non-consecutive offsets in /d/t-0/00000000000000000520.log\n  -1 is followed by 520\n";
    assert_eq!(real_errors(errors), Vec::<String>::new());
}

#[test]
fn gaps_are_complaints() {
    let heading = "Non-consecutive offsets in /d/t-0/00000000000000000520.log";
    for gap in ["  -1 is followed by 521", "  530 is followed by 532"] {
        assert_eq!(real_errors(&format!("{heading}\n{gap}\n")), [heading, gap]);
    }
}

#[test]
fn what_the_tool_says_of_damage_is_found() {
    let said = "Dumping /d/t-0/0.log\nbaseOffset: 0 crc: 1 isvalid: true\n";
    assert!(complaints(&output(0, said, ""), 1).is_empty());
    assert_eq!(complaints(&output(0, said, ""), 2).len(), 1);
    assert_eq!(complaints(&output(1, said, ""), 1).len(), 1);
    assert_eq!(complaints(&output(0, said, "Mismatches in :x"), 1).len(), 1);
    let bad = [
        "baseOffset: 0 crc: 1 isvalid: false",
        "Found 7 invalid bytes at the end of 0.log",
        "| offset: 3 payload: Error at 3, skipping. null",
        "| offset: 3 key: Unknown record type 9 at offset 3, skipping.",
    ];
    for line in bad {
        let found = complaints(&output(0, &format!("{said}{line}\n"), ""), 1);
        assert_eq!(found, [line]);
    }
}

#[test]
fn gaps_in_a_compacted_log_are_no_complaint_but_steps_back_are() {
    let heading = "Non-consecutive offsets in /d/__consumer_offsets-7/00000000000000000000.log";
    let gaps = format!("{heading}\n  -1 is followed by 57\n  58 is followed by 60\n");
    assert_eq!(real_errors(&gaps), Vec::<String>::new());
    let back = "  58 is followed by 57";
    assert_eq!(
        real_errors(&format!("{heading}\n{back}\n")),
        [heading, back]
    );
}
