//! Numbers as the tables print them.

/// Formats a number with about three significant digits; integers keep all of theirs.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        _ if size >= 100.0 || value.fract() == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.001 => 3,
        _ => 5,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_have_about_three_significant_digits() {
        let numbers = [1857.4, 122.18, 52.06, 8.864, 0.2891, 95.0, 0.0, 0.000_25];
        let shown = numbers.map(super::number);
        assert_eq!(shown, ["1857", "122", "52.1", "8.86", "0.289", "95", "0", "0.00025"]);
    }
}
