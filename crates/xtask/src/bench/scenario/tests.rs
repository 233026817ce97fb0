use expect_test::expect;

use super::*;

const TEXT: &str = r#"
title = "Produce"
order = 1
about = "What is done."
disk = [3, 2, 1]
show = ["mb_per_second"]
settings = { "log.segment.bytes" = "100" }
[sizes]
bytes = [3_000, 200, 1]
name = ["a", "b", "c"]
rate = [1.5, 1.0, 0.5]

[[case]]
name = "one"
title = "One"
load = "ottla bench produce --bytes {bytes} --topic {name} --rate {rate}"
floor = "receive {bytes} 1 1"

[[case]]
name = "two"
title = "Two"
load = "java Tool --bootstrap-server {bootstrap}"
systems = ["kafka"]
sizes = ["full", "smoke"]
"#;

fn read(text: &str) -> Result<Scenario, Error> {
    whole(
        "produce",
        toml::from_str(text).expect("a scenario's fields"),
    )
}

#[test]
fn words_are_replaced_by_size() {
    let scenario = read(TEXT).expect("a scenario");
    let filled = |size| scenario.fill(&scenario.cases[0].load, size, "h:1");
    expect!["ottla bench produce --bytes 3000 --topic a --rate 1.5"].assert_eq(&filled(Size::Full));
    expect!["ottla bench produce --bytes 1 --topic c --rate 0.5"].assert_eq(&filled(Size::Smoke));
    let tool = scenario.fill(&scenario.cases[1].load, Size::Full, "h:1");
    expect!["java Tool --bootstrap-server h:1"].assert_eq(&tool);
}

#[test]
fn cases_run_where_they_say_and_smoke_needs_this_tree_alone() {
    let scenario = read(TEXT).expect("a scenario");
    let mut said = String::new();
    for size in [Size::Full, Size::Quick, Size::Smoke] {
        for case in &scenario.cases {
            let systems = [System::Ottla, System::Kafka, System::Floor];
            let runs: Vec<_> = systems
                .into_iter()
                .filter(|system| case.runs_on(*system, size))
                .collect();
            said += &format!("{size} {}: {runs:?}\n", case.name);
        }
    }
    expect![[r#"
        full one: [Ottla, Kafka, Floor]
        full two: [Kafka]
        quick one: [Ottla, Kafka, Floor]
        quick two: []
        smoke one: [Ottla, Kafka, Floor]
        smoke two: []
    "#]]
    .assert_eq(&said);
}

#[test]
fn a_word_without_a_size_is_an_error() {
    let text = TEXT.replace("rate = [", "other = [");
    let error = read(&text).expect_err("a word is missing");
    expect!["scenario produce: `{rate}` in case one has no line in [sizes]"]
        .assert_eq(&error.to_string());
}

#[test]
fn caches_are_dropped_where_a_case_asks_for_it_and_only_between_stop_and_start() {
    let text = TEXT.replace("name = \"two\"", "name = \"two\"\ndrop_caches = true");
    let error = read(&text).expect_err("nothing is stopped");
    expect!["scenario produce: case two has `drop_caches`, which lies between a stop and a start, and no `restart`"]
        .assert_eq(&error.to_string());
    let text = text.replace(
        "drop_caches = true",
        "drop_caches = true\nrestart = \"kill\"",
    );
    let scenario = read(&text).expect("a scenario");
    let dropped: Vec<_> = scenario.cases.iter().map(|case| case.drop_caches).collect();
    assert_eq!(dropped, [false, true]);
}

#[test]
fn the_scenarios_of_the_project_are_whole_and_their_names_unique() {
    let scenarios = all(&crate::test::workspace_root()).expect("they can be read");
    for scenario in &scenarios {
        let mut names: Vec<_> = scenario.cases.iter().map(|case| &case.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), scenario.cases.len(), "{}", scenario.name);
    }
    let mut orders: Vec<_> = scenarios.iter().map(|scenario| scenario.order).collect();
    orders.dedup();
    assert_eq!(orders.len(), scenarios.len(), "two stand at the same place");
}

#[test]
fn an_unknown_name_is_an_error() {
    let scenario = read(TEXT).expect("a scenario");
    let error = choose(vec![scenario], &["prodcue".to_owned()]).expect_err("no such scenario");
    expect!["no scenario is called `prodcue`; --list shows them"].assert_eq(&error.to_string());
}

#[test]
fn a_chosen_case_comes_with_those_that_it_goes_on_from() {
    let cases = [
        ("a", true),
        ("b", false),
        ("c", true),
        ("d", false),
        ("e", false),
    ];
    let cases = cases.map(|(name, fresh)| {
        format!(
            "[[case]]\nname = \"{name}\"\ntitle = \"{name}\"\nload = \"idle 1\"\nfresh = {fresh}\n"
        )
    });
    let text = format!(
        "title = \"t\"\norder = 1\nabout = \"\"\ndisk = [0, 0, 0]\nshow = []\n{}",
        cases.concat()
    );
    let scenario = || toml::from_str::<Scenario>(&text).expect("a scenario");
    let left = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let chosen = choose_cases(vec![scenario()], &names).expect("cases of these names");
        let cases = chosen.iter().flat_map(|scenario| &scenario.cases);
        cases.map(|case| case.name.clone()).collect::<String>()
    };
    assert_eq!(left(&[]), "abcde");
    assert_eq!(left(&["d"]), "cd");
    assert_eq!(left(&["b", "e"]), "abcde");
    assert_eq!(left(&["a", "c"]), "ac");
    let error = choose_cases(vec![scenario()], &["x".to_owned()]).expect_err("no such case");
    assert!(error.to_string().contains("`x`"), "{error}");
}
