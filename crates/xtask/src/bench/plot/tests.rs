use expect_test::expect;

use super::*;

fn without_style(svg: &str) -> String {
    let (before, rest) = svg.split_once("<style>").expect("a style sheet");
    let (_, after) = rest.split_once("</style>").expect("its end");
    format!("{before}{after}")
}

fn spread(min: f64, median: f64, max: f64) -> Spread {
    Spread { min, median, max }
}

#[test]
fn bars_stand_in_groups_with_their_spread() {
    let bar = |group: &str, system, spread| Bar {
        group: group.to_owned(),
        system,
        spread,
    };
    let svg = bars(
        "CPU < 1",
        &[
            bar("one & only", System::Ottla, spread(0.5, 0.5, 0.5)),
            bar("one & only", System::Kafka, spread(1.0, 1.5, 2.0)),
            bar("two", System::Floor, spread(0.0, 0.0, 0.0)),
        ],
    );
    expect![[r#"
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 136" width="760" height="136" role="img">
        <title>CPU &lt; 1</title>

        <text class="title" x="16" y="24">CPU &lt; 1</text>
        <rect class="ottla" x="429" y="14" width="10" height="10" rx="2"/><text x="444" y="24">Ottla</text>
        <rect class="kafka" x="534" y="14" width="10" height="10" rx="2"/><text x="549" y="24">Apache Kafka</text>
        <rect class="floor" x="639" y="14" width="10" height="10" rx="2"/><text x="654" y="24">floor</text>
        <text x="16" y="64.0">one &amp; only</text>
        <rect class="ottla" x="266" y="44.0" width="102.0" height="13" rx="2"/>
        <text class="quiet" x="374.0" y="54.5">0.5</text>
        <rect class="kafka" x="266" y="60.0" width="306.0" height="13" rx="2"/>
        <line class="spread" x1="470.0" x2="674.0" y1="66.5" y2="66.5"/>
        <text class="quiet" x="680.0" y="70.5">1.5</text>
        <text x="16" y="102.0">two</text>
        <rect class="floor" x="266" y="90.0" width="0.0" height="13" rx="2"/>
        <text class="quiet" x="272.0" y="100.5">0</text>
        </svg>
    "#]].assert_eq(&without_style(&svg));
}

#[test]
fn curves_go_from_the_median_to_the_rare() {
    let point = |nines, label, value: f64| Point {
        nines,
        label,
        spread: spread(value, value * 2.0, value * 4.0),
    };
    let curve = |system, factor: f64| Curve {
        system,
        points: vec![
            point(0.3, "50 %", factor),
            point(2.0, "99 %", 10.0 * factor),
        ],
    };
    let svg = curves(
        "end to end",
        &[curve(System::Ottla, 0.1), curve(System::Kafka, 1.0)],
    );
    expect![[r#"
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 368" width="760" height="368" role="img">
        <title>end to end</title>

        <text class="title" x="16" y="24">end to end</text>
        <rect class="ottla" x="534" y="14" width="10" height="10" rx="2"/><text x="549" y="24">Ottla</text>
        <rect class="kafka" x="639" y="14" width="10" height="10" rx="2"/><text x="654" y="24">Apache Kafka</text>
        <line class="line" x1="64" x2="744.0" y1="324.0" y2="324.0"/><text class="quiet" x="16" y="328.0">0.1</text>
        <line class="line" x1="64" x2="744.0" y1="230.7" y2="230.7"/><text class="quiet" x="16" y="234.7">1</text>
        <line class="line" x1="64" x2="744.0" y1="137.3" y2="137.3"/><text class="quiet" x="16" y="141.3">10.0</text>
        <line class="line" x1="64" x2="744.0" y1="44.0" y2="44.0"/><text class="quiet" x="16" y="48.0">100</text>
        <text class="quiet" text-anchor="middle" x="80.0" y="344.0">50 %</text>
        <text class="quiet" text-anchor="middle" x="720.0" y="344.0">99 %</text>
        <polygon class="ottla band" points="80.0,267.8 720.0,174.5 720.0,230.7 80.0,324.0"/>
        <polyline class="curve ottla-line" points="80.0,295.9 720.0,202.6"/>
        <polygon class="kafka band" points="80.0,174.5 720.0,81.1 720.0,137.3 80.0,230.7"/>
        <polyline class="curve kafka-line" points="80.0,202.6 720.0,109.2"/>
        </svg>
    "#]].assert_eq(&without_style(&svg));
}

#[test]
fn no_number_is_written_that_is_none() {
    let zero = Bar {
        group: String::new(),
        system: System::Ottla,
        spread: spread(0.0, 0.0, 0.0),
    };
    let point = |nines| Point {
        nines,
        label: "50 %",
        spread: spread(0.0, 0.0, 0.0),
    };
    let curve = Curve {
        system: System::Ottla,
        points: vec![point(1.0), point(1.0)],
    };
    for svg in [bars("a", &[zero]), curves("b", &[curve]), bars("c", &[])] {
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
