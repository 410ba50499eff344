//! Texts of Compose files as values, and which of them may be secret.

use pleach_core::size::Size;

/// A port.
pub(crate) fn number(text: &str) -> Option<u16> {
    interpolated(text)?.parse().ok().filter(|port| *port > 0)
}

/// `text` with the defaults of its variables; `None` if one has none.
pub(crate) fn interpolated(text: &str) -> Option<String> {
    let mut found = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        found.push_str(before);
        if let Some(behind) = behind.strip_prefix('$') {
            found.push('$');
            rest = behind;
            continue;
        }
        let (variable, behind) = behind.strip_prefix('{')?.split_once('}')?;
        let (name, default) = variable.split_once('-')?;
        (is_variable(name.trim_end_matches(':')) && !default.contains('$')).then_some(())?;
        found.push_str(default);
        rest = behind;
    }
    Some(found + rest)
}

/// `512m`, `1.5G`, `2gb`, a number of bytes: whole mebibytes.
pub(crate) fn size(text: &str) -> Option<Size> {
    let text = interpolated(text)?.to_lowercase();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u32 = match &text[number.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    let bytes = number.trim().parse::<f64>().ok()? * f64::from(unit);
    let mebibytes = bytes / f64::from(1 << 20);
    let is_whole = mebibytes.fract() == 0.0 && (1.0..f64::from(u32::MAX)).contains(&mebibytes);
    // A whole number that 32 bits hold.
    is_whole.then_some(Size((mebibytes as u64) << 20))
}

/// The words of a line, as a shell splits it; `None` if a quote stays open.
pub(crate) fn words(line: &str) -> Option<Vec<String>> {
    let (mut found, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, c) if c.is_whitespace() => found.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    quote.is_none().then_some(found)
}

/// Whether it is the name of a variable.
pub(crate) fn is_variable(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    letters && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether what has this name is likely to be secret.
pub(crate) fn is_secret(name: &str) -> bool {
    const SECRET: [&str; 8] = ["pass", "pwd", "secret", "token", "key", "credential", "auth", "private"];
    let name = name.to_lowercase();
    SECRET.iter().any(|word| name.contains(word))
}

/// Whether a text holds what is likely to be secret: an option of that name, or a password in an address.
pub(crate) fn tells_secret(text: &str) -> bool {
    let named = |word: &str| {
        let option = word.split('=').next().unwrap_or_default();
        (word.starts_with('-') || word.contains('=')) && is_secret(option)
    };
    text.split_whitespace().any(|word| named(word) || without_password(word) != word)
}

/// An address without the part before `@`.
pub(crate) fn without_password(text: &str) -> String {
    match text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
        Some((scheme, rest)) => format!("{scheme}://{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_mebibytes() {
        for (text, size) in [
            ("512m", Some("512MiB")),
            ("512MB", Some("512MiB")),
            ("1.5g", Some("1536MiB")),
            ("2G", Some("2GiB")),
            ("536870912", Some("512MiB")),
            ("${LIMIT:-1g}", Some("1GiB")),
            ("100k", None),
            ("${LIMIT}", None),
            ("much", None),
            ("-1g", None),
        ] {
            assert_eq!(super::size(text).map(|size| size.to_string()).as_deref(), size, "{text}");
        }
    }

    #[test]
    fn variables_have_their_defaults_or_are_unknown() {
        for (text, value) in [
            ("a", Some("a")),
            ("${A:-b}c", Some("bc")),
            ("x${A-}", Some("x")),
            ("$$A", Some("$A")),
            ("$A", None),
            ("${A}", None),
            ("${A:?no}", None),
            ("${A:-${B}}", None),
        ] {
            assert_eq!(interpolated(text).as_deref(), value, "{text}");
        }
    }

    #[test]
    fn lines_are_split_as_a_shell_splits_them() {
        let split = |line| words(line).unwrap_or_default();
        assert_eq!(split("nginx -g 'daemon off;'"), ["nginx", "-g", "daemon off;"]);
        assert_eq!(split(r#"sh -c "a \"b\"" '' c\ d"#), ["sh", "-c", "a \"b\"", "", "c d"]);
        assert_eq!(words("sh -c 'open"), None);
    }

    #[test]
    fn what_may_be_secret_is_told_by_its_name_or_its_place() {
        for text in
            ["redis-server --requirepass x", "a --api-key=b", "DB_PASSWORD=x", "run postgres://me:pw@db/x", "--token x"]
        {
            assert!(tells_secret(text), "{text}");
        }
        for text in ["odoo --workers=2", "serve https://example.com/x", "nginx -g 'daemon off;'", "3.12"] {
            assert!(!tells_secret(text), "{text}");
        }
        assert!(is_secret("NPM_TOKEN") && !is_secret("PYTHON_VERSION"));
    }
}
