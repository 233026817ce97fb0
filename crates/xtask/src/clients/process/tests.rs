use std::process::Command;
use std::time::Duration;

use super::{Verdict, parse_closing, run};

fn shell(script: &str, limit: Duration) -> Verdict {
    let directory = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    run(command, &directory.join("stderr"), limit, |_| {}).expect("the shell runs")
}

#[test]
fn closing_lines() {
    assert_eq!(parse_closing("12 passed, 0 failed"), Some((12, 0)));
    assert_eq!(parse_closing("ok 12 passed, 0 failed"), None);
    assert_eq!(parse_closing("12 passed, 0 failed, 3 skipped"), None);
}

#[test]
fn the_verdict_needs_a_closing_line_and_an_exit_status_that_agree() {
    let minute = Duration::from_secs(60);
    assert_eq!(
        shell("echo 3 passed, 0 failed", minute),
        Verdict::Ran {
            passed: 3,
            failed: 0
        }
    );
    assert_eq!(
        shell("echo 3 passed, 1 failed; exit 1", minute),
        Verdict::Ran {
            passed: 3,
            failed: 1
        }
    );
    assert!(matches!(
        shell("echo 3 passed, 0 failed; exit 1", minute),
        Verdict::Broken(_)
    ));
    assert!(matches!(shell("echo fine", minute), Verdict::Broken(_)));
}

#[test]
fn a_program_is_ended_at_its_limit() {
    let verdict = shell(
        "echo 3 passed, 0 failed; exec sleep 600",
        Duration::from_millis(100),
    );
    assert!(matches!(verdict, Verdict::Broken(reason) if reason.contains("still running")));
}

#[test]
fn every_line_is_handed_over() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo one; echo two; echo 1 passed, 0 failed"]);
    let errors = std::env::temp_dir().join(format!("xtask-lines-{}", std::process::id()));
    let mut seen = Vec::new();
    let limit = Duration::from_secs(60);
    run(command, &errors, limit, |line| seen.push(line.to_owned())).expect("the shell runs");
    assert_eq!(seen, ["one", "two", "1 passed, 0 failed"]);
}
