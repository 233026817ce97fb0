use super::{ALL, Group, choose};

#[test]
fn names_are_unique_and_programs_exist() {
    let root = crate::test::workspace_root();
    for (index, suite) in ALL.iter().enumerate() {
        assert!(
            ALL[..index].iter().all(|other| other.name != suite.name),
            "{} twice",
            suite.name
        );
        let source = suite.toolchain.source_of(suite.program);
        assert!(
            root.join("clients").join(&source).exists(),
            "{} is not there",
            source.display()
        );
    }
}

#[test]
fn names_win_over_the_group() {
    let names =
        |chosen: Vec<&super::Suite>| chosen.iter().map(|suite| suite.name).collect::<Vec<_>>();
    let only = ["kcat".to_owned()];
    assert_eq!(
        choose(&only, Group::Transactions).map(names),
        Ok(vec!["kcat"])
    );
    assert_eq!(
        choose(&[], Group::All).map(|chosen| chosen.len()),
        Ok(ALL.len())
    );
    let protocols = choose(&[], Group::Protocols).unwrap();
    assert!(protocols.iter().any(|suite| suite.group == Group::Kip848));
    let frameworks = protocols
        .into_iter()
        .filter(|suite| suite.group == Group::Frameworks);
    assert_eq!(names(frameworks.collect()), ["streams"]);
    assert_eq!(
        choose(&["cat".to_owned()], Group::All).map(names),
        Err("cat".to_owned())
    );
}
