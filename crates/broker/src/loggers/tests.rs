use std::sync::{Arc, Mutex};

use super::*;

type Applied = Arc<Mutex<Vec<String>>>;

/// Loggers of a process that starts at INFO, and every set of levels that they put in force.
fn connected() -> (Loggers, Applied) {
    let (loggers, applied) = (Loggers::default(), Applied::default());
    let seen = Arc::clone(&applied);
    loggers.connect(
        LevelFilter::INFO,
        Box::new(move |root, own| {
            let own: Vec<String> = own
                .iter()
                .map(|(logger, level)| format!(" {logger}={level}"))
                .collect();
            seen.lock().unwrap().push(format!("{root}{}", own.concat()));
        }),
    );
    (loggers, applied)
}

fn change<'a>(logger: &'a str, operation: i8, level: &'a str) -> LevelChange<'a> {
    LevelChange {
        logger,
        operation,
        level: (operation == SET).then_some(level),
    }
}

#[test]
fn levels_are_set_inherited_and_removed() {
    let (loggers, applied) = connected();
    loggers
        .alter(
            &[change("ottla_log", SET, "DEBUG"), change(ROOT, SET, "WARN")],
            false,
        )
        .unwrap();
    let levels = loggers.levels();
    assert!(levels.contains(&("ottla_log", "DEBUG")) && levels.contains(&("ottla_net", "WARN")));
    loggers
        .alter(&[change("ottla_log", DELETE, "")], false)
        .unwrap();
    assert!(loggers.levels().iter().all(|(_, level)| *level == "WARN"));
    assert_eq!(*applied.lock().unwrap(), ["warn ottla_log=debug", "warn"]);
}

#[test]
fn one_fault_leaves_everything_as_it_was() {
    let (loggers, applied) = connected();
    let cases = [
        (
            change("kafka.server", SET, "INFO"),
            "40: Logger kafka.server does not exist!",
        ),
        (
            change(ROOT, SET, "debug"),
            "40: Cannot set the log level of root to debug as it is not a supported log level. \
             Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
        ),
        (
            change(ROOT, DELETE, ""),
            "42: Removing the log level of the root logger is not allowed",
        ),
        (
            change(ROOT, APPEND, ""),
            "42: APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (
            change(ROOT, 9, ""),
            "42: Unknown operation type 9 is not allowed for the BROKER_LOGGER resource",
        ),
    ];
    for (fault, message) in cases {
        let error = loggers
            .alter(&[change("ottla_net", SET, "TRACE"), fault], false)
            .unwrap_err();
        assert_eq!(format!("{}: {error}", error.code().code()), message);
    }
    assert!(loggers.levels().iter().all(|(_, level)| *level == "INFO"));
    assert!(applied.lock().unwrap().is_empty());
}

#[test]
fn a_trial_changes_nothing() {
    let (loggers, applied) = connected();
    loggers.alter(&[change(ROOT, SET, "TRACE")], true).unwrap();
    assert_eq!(loggers.levels()[0], (ROOT, "INFO"));
    assert!(applied.lock().unwrap().is_empty());
}

#[test]
fn a_process_that_keeps_its_log_to_itself_has_no_loggers() {
    let loggers = Loggers::default();
    assert!(loggers.levels().is_empty());
    let error = loggers
        .alter(&[change(ROOT, SET, "INFO")], false)
        .unwrap_err();
    assert_eq!(error, LevelError::UnknownLogger(ROOT.to_string()));
}
