//! Amounts of memory as people read them.

/// `512 B`, `5.2 MB`, `1.3 GB`: powers of 1000, one digit behind the point.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let mut whole = bytes;
    let mut tenths = 0;
    for unit in ["B", "kB", "MB", "GB"] {
        if whole < 1000 || unit == "GB" {
            return if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenths} {unit}") };
        }
        (whole, tenths) = (whole / 1000, whole % 1000 / 100);
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_digit_behind_the_point() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (5_242_880, "5.2 MB"),
            (1_300_000_000, "1.3 GB"),
            (5_000_000_000_000, "5000.0 GB"),
        ] {
            assert_eq!(bytes_text(bytes), text);
        }
    }
}
