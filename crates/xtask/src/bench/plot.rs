//! Two kinds of plots as SVG: bars with minimum, median and maximum, and latencies by percentile.
//!
//! Colours come from a style sheet in the picture that follows the reader's light or dark scheme. Written
//! by hand, because a plotting crate knows neither that nor our spreads, and 200 lines do.

use std::fmt::Write;

use super::scenario::System;
use super::statistics::Spread;
use super::targets::short;

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
const TITLE_HEIGHT: f64 = 44.0;
const LABEL_WIDTH: f64 = 250.0;
const VALUE_WIDTH: f64 = 70.0;
const BAR_HEIGHT: f64 = 16.0;
const GROUP_GAP: f64 = 14.0;
const CURVE_HEIGHT: f64 = 280.0;
const AXIS_WIDTH: f64 = 64.0;
const CHARACTERS_OF_LABEL_MAX: usize = 38;

const STYLE: &str = "\
<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}
.title{font-size:14px;font-weight:600}.quiet{fill:#59636e}.line{stroke:#d1d9e0}
.ottla{fill:#0969da}.kafka{fill:#bc4c00}.floor{fill:#818b98}
.ottla-line{stroke:#0969da}.kafka-line{stroke:#bc4c00}.floor-line{stroke:#818b98}
.spread{stroke:#1f2328}.curve{fill:none;stroke-width:2}.band{opacity:.18}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.quiet{fill:#9198a1}.line{stroke:#3d444d}
.ottla{fill:#4493f8}.kafka{fill:#f0883e}.floor{fill:#9198a1}
.ottla-line{stroke:#4493f8}.kafka-line{stroke:#f0883e}.floor-line{stroke:#9198a1}
.spread{stroke:#f0f6fc}}
</style>
";

/// One bar; those of a group stand together.
pub struct Bar {
    pub group: String,
    pub system: System,
    pub spread: Spread,
}

/// The latencies of one system.
pub struct Curve {
    pub system: System,
    pub points: Vec<Point>,
}

pub struct Point {
    /// 1 for 90 %, 2 for 99 %, and so on.
    pub nines: f64,
    pub label: &'static str,
    pub spread: Spread,
}

/// Lying bars from zero, with a line from minimum to maximum.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let groups = bars.chunk_by(|a, b| a.group == b.group);
    let count = groups.clone().count() as f64;
    let height = TITLE_HEIGHT + bars.len() as f64 * BAR_HEIGHT + count * GROUP_GAP + MARGIN;
    let highest = bars.iter().map(|bar| bar.spread.max).fold(0.0, f64::max);
    let left = MARGIN + LABEL_WIDTH;
    let room = WIDTH - left - VALUE_WIDTH - MARGIN;
    let at = |value: f64| {
        left + if highest > 0.0 {
            value / highest * room
        } else {
            0.0
        }
    };
    let mut svg = head(title, height, bars.iter().map(|bar| bar.system));
    let mut top = TITLE_HEIGHT;
    for group in groups {
        let middle = top + group.len() as f64 * BAR_HEIGHT / 2.0 + 4.0;
        let label = shortened(&group[0].group);
        _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{middle:.1}\">{}</text>",
            escaped(&label)
        );
        for bar in group {
            let Spread { min, median, max } = bar.spread;
            let (width, thick) = (at(median) - left, BAR_HEIGHT - 3.0);
            let class = class(bar.system);
            _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{left}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{thick}\" rx=\"2\"/>"
            );
            let line = top + thick / 2.0;
            if max > min {
                _ = writeln!(
                    svg,
                    "<line class=\"spread\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\"/>",
                    at(min),
                    at(max)
                );
            }
            _ = writeln!(
                svg,
                "<text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                at(max) + 6.0,
                line + 4.0,
                short(median)
            );
            top += BAR_HEIGHT;
        }
        top += GROUP_GAP;
    }
    svg + "</svg>\n"
}

/// Latency over how rare it is, both logarithmic, with a band from minimum to maximum.
pub fn curves(title: &str, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let lowest = points()
        .map(|point| point.spread.min)
        .fold(f64::INFINITY, f64::min);
    let highest = points().map(|point| point.spread.max).fold(0.0, f64::max);
    let scale = Scale {
        low: lowest.max(0.001).log10().floor(),
        high: highest.max(0.01).log10().ceil(),
        first: points()
            .map(|point| point.nines)
            .fold(f64::INFINITY, f64::min),
        last: points().map(|point| point.nines).fold(0.0, f64::max),
    };
    let height = TITLE_HEIGHT + CURVE_HEIGHT + 28.0 + MARGIN;
    let mut svg = head(title, height, curves.iter().map(|curve| curve.system));
    axes(&mut svg, &scale, points());
    for curve in curves {
        let class = class(curve.system);
        let line = |value: fn(&Spread) -> f64| -> Vec<String> {
            let place = |point: &Point| {
                let (x, y) = (scale.x(point.nines), scale.y(value(&point.spread)));
                format!("{x:.1},{y:.1}")
            };
            curve.points.iter().map(place).collect()
        };
        let mut band = line(|spread| spread.max);
        band.extend(line(|spread| spread.min).into_iter().rev());
        _ = writeln!(
            svg,
            "<polygon class=\"{class} band\" points=\"{}\"/>",
            band.join(" ")
        );
        let middle = line(|spread| spread.median);
        _ = writeln!(
            svg,
            "<polyline class=\"curve {class}-line\" points=\"{}\"/>",
            middle.join(" ")
        );
    }
    svg + "</svg>\n"
}

/// Decades of latency from bottom to top, nines from left to right.
struct Scale {
    low: f64,
    high: f64,
    first: f64,
    last: f64,
}

impl Scale {
    fn x(&self, nines: f64) -> f64 {
        let room = WIDTH - AXIS_WIDTH - 2.0 * MARGIN - 24.0;
        let range = (self.last - self.first).max(f64::EPSILON);
        AXIS_WIDTH + MARGIN + (nines - self.first) / range * room
    }

    fn y(&self, value: f64) -> f64 {
        let range = (self.high - self.low).max(1.0);
        let part = (value.max(f64::MIN_POSITIVE).log10() - self.low) / range;
        TITLE_HEIGHT + CURVE_HEIGHT * (1.0 - part.clamp(0.0, 1.0))
    }
}

fn axes<'a>(svg: &mut String, scale: &Scale, points: impl Iterator<Item = &'a Point>) {
    let mut decade = scale.low;
    while decade <= scale.high {
        let value = 10_f64.powf(decade);
        let y = scale.y(value);
        _ = writeln!(
            svg,
            "<line class=\"line\" x1=\"{AXIS_WIDTH}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"quiet\" x=\"{MARGIN}\" y=\"{:.1}\">{}</text>",
            WIDTH - MARGIN,
            y + 4.0,
            short(value)
        );
        decade += 1.0;
    }
    let mut labels: Vec<(&str, f64)> = Vec::new();
    for point in points {
        if !labels.iter().any(|(label, _)| *label == point.label) {
            labels.push((point.label, point.nines));
        }
    }
    for (label, nines) in labels {
        _ = writeln!(
            svg,
            "<text class=\"quiet\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
            scale.x(nines),
            TITLE_HEIGHT + CURVE_HEIGHT + 20.0
        );
    }
}

/// The frame, the title and what the colours mean.
fn head(title: &str, height: f64, systems: impl Iterator<Item = System>) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n{STYLE}\
         <text class=\"title\" x=\"{MARGIN}\" y=\"24\">{title}</text>\n",
        title = escaped(title)
    );
    let mut known: Vec<System> = systems.collect();
    known.sort();
    known.dedup();
    let mut x = WIDTH - MARGIN - known.len() as f64 * 105.0;
    for system in known {
        _ = writeln!(
            svg,
            "<rect class=\"{}\" x=\"{x}\" y=\"14\" width=\"10\" height=\"10\" rx=\"2\"/>\
             <text x=\"{}\" y=\"24\">{system}</text>",
            class(system),
            x + 15.0
        );
        x += 105.0;
    }
    svg
}

fn class(system: System) -> &'static str {
    match system {
        System::Ottla => "ottla",
        System::Kafka => "kafka",
        System::Floor => "floor",
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= CHARACTERS_OF_LABEL_MAX {
        return text.to_owned();
    }
    let kept: String = text.chars().take(CHARACTERS_OF_LABEL_MAX - 1).collect();
    kept + "…"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
