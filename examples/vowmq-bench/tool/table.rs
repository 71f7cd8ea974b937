//! Tables that are aligned to read and Markdown to paste.
use std::fmt::Write;

pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headings: Vec<String>) -> Self {
        Self { rows: vec![headings] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn markdown(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column| self.rows.iter().map(|row| cell(row, column).len()).max().unwrap_or(0).max(2);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (at, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let cell = cell(row, column);
                // Names to the left, numbers to the right.
                let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
            }
            text.push_str("|\n");
            if at == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(*width);
                    let _ =
                        if column == 0 { write!(text, "| {dashes} ") } else { write!(text, "| {}: ", &dashes[1..]) };
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

/// The middle of some numbers.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => f64::midpoint(numbers[middle - 1], numbers[middle]),
        _ => numbers[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(["case", "rate"].map(str::to_owned).to_vec());
        table.row(["a", "12345"].map(str::to_owned).to_vec());
        assert_eq!(table.markdown(), "| case |  rate |\n| ---- | ----: |\n| a    | 12345 |\n");
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median([]).is_nan());
    }
}
