//! One curve as a drawing.
use std::fmt::Write;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 60.0;
const TICKS: u32 = 5;

/// Draws points in order, with axes that begin at zero.
pub fn curve(x_name: &str, y_name: &str, points: &[(f64, f64)]) -> String {
    let (x_top, y_top) = (
        round_top(points.iter().map(|point| point.0).fold(0.0, f64::max)),
        round_top(points.iter().map(|point| point.1).fold(0.0, f64::max)),
    );
    let place = |x: f64, y: f64| {
        (MARGIN + x / x_top * (WIDTH - 2.0 * MARGIN), HEIGHT - MARGIN - y / y_top * (HEIGHT - 2.0 * MARGIN))
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for tick in 0..=TICKS {
        let part = f64::from(tick) / f64::from(TICKS);
        let ((x, bottom), (left, y)) = (place(part * x_top, 0.0), place(0.0, part * y_top));
        let right = WIDTH - MARGIN;
        line(&mut out, &format!("<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"#ddd\"/>"));
        let (below, before) = (bottom + 18.0, left - 6.0);
        let (x_label, y_label) = (label(part * x_top), label(part * y_top));
        line(&mut out, &format!("<text x=\"{x:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{x_label}</text>"));
        line(&mut out, &format!("<text x=\"{before:.1}\" y=\"{:.1}\" text-anchor=\"end\">{y_label}</text>", y + 4.0));
    }
    let path: Vec<_> = points.iter().map(|(x, y)| place(*x, *y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    line(&mut out, &format!("<polyline points=\"{}\" fill=\"none\" stroke=\"#0a58ca\"/>", path.join(" ")));
    let (middle, bottom) = (WIDTH / 2.0, HEIGHT - 15.0);
    line(&mut out, &format!("<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">{x_name}</text>"));
    line(&mut out, &format!("<text x=\"{MARGIN}\" y=\"35\">{y_name}</text>"));
    line(&mut out, "</svg>");
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes everything");
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten, so that ticks are round.
fn round_top(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-3).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|top| *top >= value).unwrap_or(10.0 * power)
}

fn label(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
