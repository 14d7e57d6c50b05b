//! A report as one page that needs nothing else: no script, no font, no other file.

use std::fmt::Write as _;

use super::compare::Comparison;
use super::report::Report;
use super::text;

/// Size of a chart, and what is around its plot, in pixels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// Lines of one chart take these in turn.
const COLOURS: [&str; 3] = ["#2563eb", "#d97706", "#059669"];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:54em;margin:2em auto;padding:0 1em;\
color:#1f2937;background:#fff}h1{font-size:1.3em}h2{font-size:1em;margin:2em 0 .3em}pre{background:#f3f4f6;padding:1em;\
overflow:auto;font-size:12px}svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#6b7280}\
svg .grid{stroke:#e5e7eb}svg polyline{fill:none;stroke-width:2}.key{font-size:13px}.key b{margin-right:1.2em}\
@media(prefers-color-scheme:dark){body{color:#e5e7eb;background:#111827}pre{background:#1f2937}svg .grid{stroke:#374151}}";

/// A named line of points.
type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// The page of one run.
pub fn report(report: &Report) -> String {
    page(&report.title, &(table(&text::table(report)) + &charts(report)))
}

/// The page of a comparison: the ratios, then the last run of the server and of the floor.
pub fn comparison(comparison: &Comparison) -> String {
    let title = comparison.targets.first().map_or("", |report| &report.title);
    let mut body = table(&comparison.table());
    let ratios: Vec<Line<'_>> = comparison
        .figures()
        .iter()
        .filter(|figure| figure.name.starts_with("CPU") || figure.name.starts_with("latency p50"))
        .map(|figure| (figure.name, numbered(&figure.ratios)))
        .collect();
    body += &chart("Ratio of each run to the floor, in order of size", "run", &ratios);
    for (name, reports) in [("The server", &comparison.targets), ("The floor", &comparison.floors)] {
        if let Some(last) = reports.last() {
            let _ = write!(body, "<h1>{name}, last run</h1>{}{}", table(&text::table(last)), charts(last));
        }
    }
    page(title, &body)
}

fn numbered(values: &[f64]) -> Vec<(f64, f64)> {
    values.iter().enumerate().map(|(i, value)| (i as f64 + 1.0, *value)).collect()
}

fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>roomcast bench: {title}</title>\
         <style>{STYLE}</style></head><body><h1>roomcast bench: {title}</h1>\n{body}</body></html>\n"
    )
}

fn table(text: &str) -> String {
    format!("<pre>{}</pre>\n", escape(text.trim_matches('\n')))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What there are points for.
fn charts(report: &Report) -> String {
    let over_time = |of: fn(&super::report::Moment) -> f64| {
        report.moments.iter().map(|moment| (moment.at_seconds, of(moment))).collect::<Vec<_>>()
    };
    // The last interval is shorter than a second; a very short one says nothing.
    let per_second = |of: fn(&super::report::Moment) -> f64| {
        let pairs = report.moments.windows(2).map(|pair| (pair[1].at_seconds - pair[0].at_seconds, pair[1]));
        let whole = pairs.filter(|(seconds, _)| *seconds > 0.5);
        whole.map(|(seconds, moment)| (moment.at_seconds, of(&moment) / seconds)).collect::<Vec<_>>()
    };
    let mut out = String::new();
    out += &chart("Deliveries a second", "s", &[("deliveries", per_second(|m| m.delivered as f64))]);
    let latencies = [("p50", over_time(|m| m.p50_ms)), ("p99", over_time(|m| m.p99_ms))];
    out += &chart("Latency in each second, ms", "s", &latencies);
    let percentiles = report.percentiles.iter().map(|(percent, ms)| (nines(*percent), *ms)).collect();
    out += &chart("Latency by share of messages, ms", "nines", &[("all messages", percentiles)]);
    out += &chart("CPU of the server, % of a core", "s", &[("CPU", per_second(|m| m.cpu_us as f64 / 1e4))]);
    let memory = over_time(|m| m.resident_kib as f64 / 1024.0);
    out += &chart("Memory of the server, MiB", "s", &[("resident", memory)]);
    let cycle = |of: fn(&super::report::Cycle) -> u64| {
        numbered(&report.cycles.iter().map(|cycle| of(cycle) as f64 / 1024.0).collect::<Vec<_>>())
    };
    let both =
        [("all connected", cycle(|c| c.resident_open_kib)), ("all gone", cycle(|c| c.resident_closed_kib))];
    out += &chart("Memory of the server by cycle, MiB", "cycle", &both);
    out
}

/// How many nines a percentage has, up to four, so that the rare slow messages have room: 90 is 1, 99 is 2.
fn nines(percent: f64) -> f64 {
    (100.0 / (100.0 - percent).max(0.01)).log10()
}

/// Lines over a common axis; nothing if no line has two points.
fn chart(title: &str, x_unit: &str, lines: &[Line<'_>]) -> String {
    if lines.iter().all(|(_, points)| points.len() < 2) {
        return String::new();
    }
    let points = || lines.iter().flat_map(|(_, points)| points);
    let x_min = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let x_max = points().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max).max(x_min + 1e-9);
    let y_max = round_up(points().map(|(_, y)| *y).fold(0.0, f64::max));
    let x = |value: f64| LEFT + (value - x_min) / (x_max - x_min) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / y_max * (HEIGHT - TOP - BOTTOM);
    let mut out = format!("<h2>{}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">", escape(title));
    for step in 0..=4 {
        let (right, part) = (WIDTH - RIGHT, f64::from(step) / 4.0);
        let (at, value) = (y(y_max * part), y_max * part);
        let _ =
            write!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            short(value)
        );
        let value = x_min + (x_max - x_min) * part;
        let label = if x_unit == "nines" { share(value) } else { format!("{} {x_unit}", short(value)) };
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            x(value).min(WIDTH - 24.0),
            HEIGHT - 8.0
        );
    }
    let mut keys = String::new();
    for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<_> = points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
        let _ = write!(out, "<polyline stroke=\"{colour}\" points=\"{}\"/>", path.join(" "));
        let _ = write!(keys, "<b style=\"color:{colour}\">{}</b>", escape(name));
    }
    let _ = writeln!(out, "</svg><div class=\"key\">{keys}</div>");
    out
}

/// The percentage of so many nines.
fn share(nines: f64) -> String {
    let percent = 100.0 - 100.0 / 10f64.powf(nines);
    format!("{percent:.*} %", (nines.ceil() - 2.0).max(0.0) as usize)
}

/// The next number that makes good marks on an axis.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|rounded| *rounded >= value).unwrap_or(10.0 * power)
}

fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.1} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} k", v / 1e3),
        v if v >= 10.0 || v == 0.0 => format!("{v:.0}"),
        v => format!("{v:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Cycle, Moment};
    use super::*;

    fn sample() -> Report {
        let moment = |at: u32| Moment {
            at_seconds: f64::from(at),
            delivered: u64::from(at) * 1000,
            p50_ms: 1.0,
            p99_ms: f64::from(at),
            ..Moment::default()
        };
        Report {
            title: "<5> & more".to_owned(),
            moments: (1..=5).map(moment).collect(),
            percentiles: vec![(0.0, 0.1), (50.0, 1.0), (99.0, 2.0), (100.0, 9.0)],
            ..Report::default()
        }
    }

    #[test]
    fn a_page_that_needs_nothing_else() {
        let page = report(&sample());
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(page.contains("&lt;5&gt; &amp; more") && !page.contains("<5>"));
        for foreign in ["http:", "https:", "<script", "<link", "@import", "NaN", "inf"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("<svg").count(), 5);
        assert_eq!(page.matches("<polyline").count(), 6);
    }

    #[test]
    fn what_was_not_measured_has_no_chart() {
        assert_eq!(report(&Report::default()).matches("<svg").count(), 0);
        let storm = Report { cycles: vec![Cycle::default(); 3], ..Report::default() };
        assert_eq!(report(&storm).matches("<svg").count(), 1);
    }

    #[test]
    fn a_comparison() {
        let both = Comparison { floors: vec![sample(); 3], targets: vec![sample(); 2] };
        let page = comparison(&both);
        assert!(page.contains("The floor, last run") && page.contains("medians of 2 runs"));
        assert!(!page.contains("NaN"));
    }

    #[test]
    fn axes() {
        assert_eq!([0.0, 1.0, 1.1, 37.0, 950.0].map(round_up), [1.0, 1.0, 2.0, 40.0, 1000.0]);
        assert_eq!([0.0, 1.0, 3.0].map(share), ["0 %", "90 %", "99.9 %"]);
        assert_eq!([1_500_000.0, 15.0, 5.0, 0.25].map(short), ["1.5 M", "15", "5", "0.25"]);
    }
}
