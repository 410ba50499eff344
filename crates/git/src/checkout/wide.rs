//! `working-tree-encoding=UTF-16…` and `UTF-32…`, which `gix-filter` 0.36 cannot write.
//!
//! Names as in git's `utf8.c`: without a byte order it is little-endian with a mark, as `iconv` of the GNU library does.

/// An encoding with units of more than one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide {
    unit: Unit,
    order: Order,
    mark: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Two,
    Four,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Written,
    None,
}

impl Wide {
    /// The encoding of that name, if it is one of these.
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        let name = String::from_utf8(name.to_ascii_uppercase()).ok()?;
        let rest = name.strip_prefix("UTF")?;
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let (unit, rest) = match (rest.strip_prefix("16"), rest.strip_prefix("32")) {
            (Some(rest), _) => (Unit::Two, rest),
            (None, Some(rest)) => (Unit::Four, rest),
            (None, None) => return None,
        };
        let (order, mark) = match rest {
            "" | "LE-BOM" => (Order::Little, Mark::Written),
            "BE-BOM" => (Order::Big, Mark::Written),
            "LE" => (Order::Little, Mark::None),
            "BE" => (Order::Big, Mark::None),
            _ => return None,
        };
        Some(Self { unit, order, mark })
    }

    /// UTF-8 in this encoding; nothing when it is not UTF-8: then git leaves it as it is.
    pub(crate) fn encode(self, text: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(text).ok()?;
        let mark = (self.mark == Mark::Written).then_some('\u{FEFF}');
        let mut out = Vec::with_capacity(text.len() * 2 + 4);
        for letter in mark.into_iter().chain(text.chars()) {
            match self.unit {
                Unit::Two => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        out.extend(if self.order == Order::Little { unit.to_le_bytes() } else { unit.to_be_bytes() });
                    }
                }
                Unit::Four => {
                    let unit = u32::from(letter);
                    out.extend(if self.order == Order::Little { unit.to_le_bytes() } else { unit.to_be_bytes() });
                }
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bytes_are_those_of_git() {
        let encode = |name: &str| Wide::parse(name.as_bytes()).and_then(|wide| wide.encode("ä".as_bytes()));
        for (name, bytes) in [
            ("UTF-16", vec![0xFF, 0xFE, 0xE4, 0]),
            ("utf-16le", vec![0xE4, 0]),
            ("UTF16BE", vec![0, 0xE4]),
            ("UTF-16LE-BOM", vec![0xFF, 0xFE, 0xE4, 0]),
            ("UTF-32BE", vec![0, 0, 0, 0xE4]),
        ] {
            assert_eq!(encode(name), Some(bytes), "{name}");
        }
        for other in ["UTF-8", "latin1", "UTF-16XE"] {
            assert_eq!(Wide::parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Wide::parse(b"UTF-16").and_then(|wide| wide.encode(&[0xFF])), None);
    }
}
