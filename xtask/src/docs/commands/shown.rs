//! Which commands a document shows: a line of a block of shell, or a span of code that begins like one.

use crate::markdown::{self, Code};

/// A command as it stands in a document, with its brackets.
pub(super) struct Shown {
    pub(super) line: usize,
    pub(super) is_block: bool,
    words: Vec<String>,
}

/// The commands of a document.
pub(super) fn of(text: &str) -> Vec<Shown> {
    markdown::code(text).iter().flat_map(of_code).collect()
}

fn of_code(code: &Code) -> Vec<Shown> {
    let is_block = code.language.is_some();
    let is_shell = matches!(code.language.as_deref(), None | Some("" | "sh" | "bash" | "console"));
    let text = code.text.replace("\\\n", "  ");
    let text = if is_block { text } else { text.replace('\n', " ") };
    let mut found = Vec::new();
    for (line, content) in (code.line..).zip(text.lines().filter(|_| is_shell)) {
        let content = content.split(" #").next().unwrap_or_default().trim();
        let content = content.strip_prefix("$ ").unwrap_or(content);
        // What comes before a command in its line, and after it, are other commands.
        for part in content.split("&&").flat_map(|part| part.split(" | ")).flat_map(|part| part.split(';')) {
            let part = part.split(" >").next().unwrap_or_default();
            let words: Vec<String> =
                part.split_whitespace().skip_while(|word| is_variable(word)).map(unquoted).collect();
            if is_command(&words) {
                found.push(Shown { line, is_block, words });
            }
        }
    }
    found
}

fn is_variable(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}

fn unquoted(word: &str) -> String {
    word.trim_matches(['"', '\'']).to_owned()
}

/// A program and something to do; `smpcall` alone is a crate's name as well.
fn is_command(words: &[String]) -> bool {
    match words {
        [program, next, ..] => {
            let is_name =
                |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic() || "-<[".contains(c));
            matches!(program.as_str(), "cargo" | "smpcall") && is_name(next) && !next.ends_with(':')
        }
        _ => false,
    }
}

/// Whether it stands for what a reader puts there.
pub(super) fn is_placeholder(word: &str) -> bool {
    let word = word.trim_start_matches("--").split_once('=').map_or(word, |(_, value)| value);
    let is_capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-,./=".contains(c);
    let is_word = word.chars().any(|c| c.is_ascii_uppercase()) && word.chars().all(is_capital);
    is_word || (word.starts_with('<') && word.ends_with('>'))
}

impl Shown {
    /// All that it stands for: without what is in brackets and with it, and with each of its alternatives.
    pub(super) fn variants(&self) -> Vec<Vec<String>> {
        let (mut short, mut long, mut depth) = (vec![Vec::new()], vec![Vec::new()], 0_usize);
        for word in &self.words {
            depth += word.matches('[').count();
            let bare = word.replace(['[', ']', '…'], "");
            if !bare.is_empty() {
                let either: Vec<&str> = bare.split('|').collect();
                long = with(long, &either);
                if depth == 0 {
                    short = with(short, &either);
                }
            }
            depth = depth.saturating_sub(word.matches(']').count());
        }
        if short != long {
            short.append(&mut long);
        }
        short
    }
}

fn with(commands: Vec<Vec<String>>, either: &[&str]) -> Vec<Vec<String>> {
    let added = |command: &Vec<String>, word: &&str| {
        let mut command = command.clone();
        command.push((*word).to_owned());
        command
    };
    commands.iter().flat_map(|command| either.iter().map(move |word| added(command, word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(usize, String)> {
        let variants =
            |shown: &Shown| shown.variants().into_iter().map(|words| words.join(" ")).collect::<Vec<_>>();
        of(text)
            .iter()
            .flat_map(|shown| variants(shown).into_iter().map(|words| (shown.line, words)))
            .collect()
    }

    #[test]
    fn commands_are_found_in_shell_and_in_sentences() {
        let text = "`smpcall` and `smpcall run\n--cpus 2`; `Smp::post`; `smpcall torture: seed=1`\n\n```sh\n$ cd a && A=b cargo xtask c  # d\n\
                    cargo run -- e | head > f\nls\n```\n\n```rust\ncargo g\n```\n\n    smpcall h --i 'j'\n";
        let wanted = [
            (1, "smpcall run --cpus 2"),
            (5, "cargo xtask c"),
            (6, "cargo run -- e"),
            (14, "smpcall h --i j"),
        ];
        assert_eq!(shown(text), wanted.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn brackets_and_bars_are_all_that_they_stand_for() {
        let all = |text: &str| shown(text).into_iter().map(|(_, words)| words).collect::<Vec<_>>();
        assert_eq!(all("`cargo a [--b c|d] E`"), ["cargo a E", "cargo a --b c E", "cargo a --b d E"]);
        assert_eq!(all("`cargo a [--b] [--c]`"), ["cargo a", "cargo a --b --c"]);
        assert_eq!(all("`cargo a … b|c`"), ["cargo a b", "cargo a c"]);
    }

    #[test]
    fn placeholders_are_capitals() {
        for word in ["N", "NAME=VALUE", "A,B", "I/N", "<verb>", "--cpus=N"] {
            assert!(is_placeholder(word), "{word}");
        }
        for word in ["4", "all", "--cpus", "2..4", "x86_64", "--json"] {
            assert!(!is_placeholder(word), "{word}");
        }
    }
}
