//! Parsers of what `/proc` says, for whoever read it and from wherever.

/// One line of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// The name of its program, at most 15 bytes.
    pub name: String,
    /// `R`, `S`, `D`, `Z`…
    pub state: char,
    /// Who has started it, or taken it over.
    pub parent: i32,
    /// The process group.
    pub group: i32,
    /// The session.
    pub session: i32,
    /// When it started, in clock ticks since the boot.
    pub start: u64,
    /// Its resident memory, in pages.
    pub resident: u64,
}

impl ProcessStat {
    /// Reads the line; `None` if it is not one. The name may hold spaces and brackets, so the last bracket ends it.
    pub fn parse(line: &str) -> Option<Self> {
        let (head, tail) = line.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        // proc(5) counts from 1 and the state is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            name,
            state: field(3)?.chars().next()?,
            parent: field(4)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            start: field(22)?.parse().ok()?,
            resident: field(24).and_then(|pages| pages.parse().ok()).unwrap_or_default(),
        })
    }

    /// Whether it still runs: not a zombie and not being removed.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Ports and socket inodes of the listening sockets in a `/proc/net/tcp` or `tcp6`.
pub fn listening_ports(table: &str) -> Vec<(u16, u64)> {
    const LISTEN: &str = "0A";
    let listening = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
        (*fields.get(3)? == LISTEN).then_some((port, fields.get(9)?.parse().ok()?))
    };
    table.lines().skip(1).filter_map(listening).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b (c)) S 1 7 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 123456 1 2 3";
        let stat = ProcessStat::parse(line).expect("a stat line");
        assert_eq!((stat.name.as_str(), stat.group, stat.session, stat.start), ("a) b (c)", 7, 9, 123_456));
        assert_eq!(stat.resident, 2);
        assert!(ProcessStat::parse("42 (short) S 1").is_none());
    }

    #[test]
    fn only_listening_sockets_count_as_taken_ports() {
        let table = "  sl  local_address rem_address   st tx rx tr tm retr uid timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 777 1\n\
             1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 0 0 778 1\n";
        assert_eq!(listening_ports(table), [(8080, 777)]);
    }
}
