//! What functions are called: the offset into the program, for `addr2line -fe PROGRAM OFFSET`. A program's own symbols are the debugger's
//! to read.

use std::fs;

/// Where the files of a process lie in its memory: first address, last, where the file begins, and its name.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(u64, u64, u64, String)>);

impl Names {
    /// Those of a process; none if we may not see them.
    pub(super) fn of(pid: u32) -> Self {
        Self::read(&fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default())
    }

    fn read(maps: &str) -> Self {
        let mut names: Vec<(u64, u64, u64, String)> = Vec::new();
        for line in maps.lines() {
            let mut fields = line.split_whitespace();
            let (Some(range), Some(path)) = (fields.next(), fields.nth(4)) else { continue };
            let Some((first, end)) = range.split_once('-') else { continue };
            let hex = |text: &str| u64::from_str_radix(text, 16).ok();
            let (Some(first), Some(end)) = (hex(first), hex(end)) else { continue };
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            // The first mapping of a file is that of its beginning.
            let base =
                names.iter().find(|(_, _, _, other)| *other == name).map_or(first, |(_, _, base, _)| *base);
            names.push((first, end, base, name));
        }
        Self(names)
    }

    /// `server+0x1a2b`; the address alone if nothing is known of it.
    pub(super) fn name(&self, address: u64) -> String {
        let at = self.0.iter().find(|(first, end, ..)| (*first..*end).contains(&address));
        match at {
            Some((_, _, base, name)) => format!("{name}+{:#x}", address - base),
            None => format!("{address:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_offset_into_its_file() {
        let maps = "55d000000000-55d000001000 r--p 00000000 08:01 9 /usr/bin/server\n\
                    55d000001000-55d000002000 r-xp 00001000 08:01 9 /usr/bin/server\n\
                    7f0000000000-7f0000001000 rw-p 00000000 00:00 0\n";
        let names = Names::read(maps);
        assert_eq!(names.name(0x55d0_0000_1234), "server+0x1234");
        assert_eq!(names.name(0x7f00_0000_0001), "0x7f0000000001");
        assert_eq!(Names::read("").name(16), "0x10");
    }

    #[test]
    fn a_function_of_this_process_is_in_this_program() {
        let names = Names::of(std::process::id());
        let name = names.name(Names::of as fn(u32) -> Names as usize as u64);
        assert!(name.starts_with("smpcall") && name.contains("+0x"), "{name}");
    }
}
