use expect_test::{expect, expect_file};

use super::page;

#[test]
fn the_page_in_the_tree_is_what_the_tables_say() {
    expect_file!["../../../../COMPATIBILITY.md"].assert_eq(&page::render());
}

#[test]
fn checks_are_found_in_every_language() {
    let found = |text: &str| page::checks(text).join("; ");
    expect!["a group of three; commit and resume; produce and consume"].assert_eq(&found(
        "@suite.check(\"commit and resume\")\n  check(f\"a group of three, {strategy}: one leaves\")\n\
         check(f\"produce and consume codec={codec} acks={acks}\", codec)(round_trip)\n",
    ));
    expect!["list offsets: earliest, latest; produce and consume"].assert_eq(&found(
        "check(`produce and consume codec=${codec}`, async () => {\n  check('list offsets: earliest, latest', x)",
    ));
    expect!["idempotent produce; produce and consume"].assert_eq(&found(
        "    check \"produce and consume codec=$codec\" round_trip\ncheck \"idempotent produce\" idempotent",
    ));
    expect!["a group of three; produce and consume; static members"].assert_eq(&found(
        "name := fmt.Sprintf(\"produce and consume codec=%s\", codec)\ns.Check(name, f)\n\
         s.Check(\"a group of three, \"+strategy, f)\ns.Check(\"static members\", f)",
    ));
    expect!["a group of three; produce and consume"].assert_eq(&found(
        "Check checks = new Check(\"java\");\nchecks.add(\"produce and consume codec=\" + codec, f);\n\
         checks.add(\"a group of three, \" + strategy + \": one leaves\", f);",
    ));
}
