//! Bar charts of a comparison.
use super::cases::Case;
use super::compare::{Column, Runs};
use super::problem::{Tried, Trying};
use super::report::{middle, number};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const WIDTH: f64 = 760.0;
const BAR: f64 = 22.0;
const LEFT: f64 = 130.0;
const TOP: f64 = 44.0;
const COLOURS: [&str; 6] = ["#0a58ca", "#8a6d3b", "#2e7d32", "#6a1b9a", "#c62828", "#9e9e9e"];

/// One drawing for each figure.
pub fn draw(directory: &Path, cases: &[Case], columns: &[Column], runs: &Runs) -> Tried<()> {
    fs::create_dir_all(directory).trying(|| format!("making {}", directory.display()))?;
    for (case, figure) in cases.iter().flat_map(|case| case.figures.iter().map(move |figure| (case, figure))) {
        let bar = |column: &Column| Some((column.name.clone(), middle(case, figure, column, runs)?));
        let bars: Vec<_> = columns.iter().filter_map(bar).collect();
        let path = directory.join(format!("{}.svg", case.row(figure)));
        let title = format!("{}: {}", case.row(figure), figure.unit);
        fs::write(&path, bar_chart(&title, case.what, &bars)).trying(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn bar_chart(title: &str, what: &str, bars: &[(String, f64)]) -> String {
    let longest = bars.iter().map(|bar| bar.1).fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + 10.0 + bars.len() as f64 * (BAR + 8.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"18\" font-weight=\"bold\">{title}</text>\n<text x=\"10\" y=\"35\" fill=\"#555\">{what}</text>\n"
    );
    for (at, (name, value)) in bars.iter().enumerate() {
        let y = TOP + at as f64 * (BAR + 8.0);
        let length = value / longest * (WIDTH - LEFT - 110.0);
        let (middle, before, after) = (y + BAR * 0.7, LEFT - 8.0, LEFT + length + 6.0);
        let colour = COLOURS[at % COLOURS.len()];
        let _ = write!(
            out,
            "<text x=\"{before:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n\
             <text x=\"{after:.1}\" y=\"{middle:.1}\">{}</text>\n",
            number(*value)
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_the_largest_value() {
        let drawing = bar_chart("a", "b", &[("one".to_owned(), 10.0), ("two".to_owned(), 20.0)]);
        assert!(drawing.contains("width=\"520.0\"") && drawing.contains("width=\"260.0\""), "{drawing}");
        assert!(drawing.ends_with("</svg>\n"));
    }
}
