//! Text as one word of a POSIX shell.

/// One word that any POSIX shell reads back as exactly `bytes`, written without a line end: the wrapper of a command is a
/// single line. A line end becomes `"$__n"`, which the wrapper sets. Bytes need not be UTF-8; there must be no NUL, which no
/// argument, variable or path can hold.
///
/// For people the same word can be pasted as long as it holds no line end.
pub(super) fn quote(bytes: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:@%+,-".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.to_vec();
    }
    let mut word = Vec::with_capacity(bytes.len() + 2);
    word.push(b'\'');
    for byte in bytes {
        match byte {
            b'\'' => word.extend_from_slice(b"'\\''"),
            b'\n' => word.extend_from_slice(b"'\"$__n\"'"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}

/// [`quote`] for who sets `__n` as well.
pub(crate) fn quote_bytes(bytes: &[u8]) -> Vec<u8> {
    quote(bytes)
}

/// [`quote`] for messages.
pub(crate) fn quote_text(text: &str) -> String {
    String::from_utf8_lossy(&quote(text.as_bytes())).into_owned()
}

/// All of these, each as [`quote_text`] writes it, with spaces between.
pub(crate) fn quote_words(words: &[String]) -> String {
    words.iter().map(|word| quote_text(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::super::wrapper::BOOTSTRAP;
    use super::*;

    /// What `shell` makes of the words, given to it as the wrapper is: one line on standard input.
    fn read_back(shell: &str, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut line = b"__n=$(printf '\\nx'); __n=${__n%x}; printf '%s\\0'".to_vec();
        for word in words {
            line.push(b' ');
            line.extend(quote(word));
        }
        assert!(!line.contains(&b'\n'));
        line.push(b'\n');
        let script = BOOTSTRAP.strip_prefix("exec /bin/sh -c '").and_then(|rest| rest.strip_suffix('\''));
        let mut child = Command::new(shell)
            .args(["-c", script.expect("a script in quotes")])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        child.stdin.take().expect("piped").write_all(&line).expect("written");
        let output = child.wait_with_output().expect("ended");
        assert!(output.status.success());
        let mut read: Vec<Vec<u8>> = output.stdout.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        assert_eq!(read.pop(), Some(Vec::new()));
        read
    }

    fn word() -> impl Strategy<Value = Vec<u8>> {
        let hostile =
            prop::sample::select(b"'\"\\$`!\n\r\t ;&|*?[]{}()<>~#=-%\x01\x7f\x80\x81\x82\x88\xc2\xe2\xff".to_vec());
        prop::collection::vec(prop_oneof![hostile, 1..=255_u8], 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn every_shell_reads_back_what_was_quoted(words in prop::collection::vec(word(), 1..30)) {
            for shell in ["sh", "bash"] {
                prop_assert_eq!(&read_back(shell, &words), &words);
            }
        }
    }

    #[test]
    fn plain_words_stay_readable_and_assignments_do_not_slip_through() {
        assert_eq!(quote_text("/srv/a-b.c"), "/srv/a-b.c");
        assert_eq!(quote_text("A=b"), "'A=b'");
        assert_eq!(quote_text("~"), "'~'");
        assert_eq!(quote_text(""), "''");
    }
}
