//! Which of a package's test programs have the tests that are asked for: the others take as long to build, and find nothing.

use crate::files;
use anyhow::Result;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Cargo's flags for the programs whose sources have functions of these tests' names; for all, if one is found nowhere. Whether the test
/// is there, and only once, is seen when it runs.
pub(super) fn flags(package: &Path, tests: &[&str]) -> Result<String> {
    let mut texts = Vec::new();
    for file in files::all(package)? {
        if let (Some(program), Ok(text)) = (program(&file), fs::read_to_string(package.join(&file))) {
            texts.push((program, text));
        }
    }
    let mut found = BTreeSet::new();
    for test in tests {
        let function = format!("fn {}(", test.rsplit("::").next().unwrap_or(test));
        let having = texts.iter().filter(|(_, text)| text.contains(&function)).map(|(program, _)| program);
        let having: Vec<_> = having.cloned().collect();
        if having.is_empty() {
            return Ok("--tests".to_owned());
        }
        found.extend(having);
    }
    Ok(found.into_iter().collect::<Vec<_>>().join(" "))
}

/// The flag of the program that a file of a package belongs to.
fn program(file: &Path) -> Option<String> {
    let mut parts = file.iter().filter_map(|part| part.to_str());
    match (parts.next()?, parts.next()?) {
        ("src", _) => Some("--lib".to_owned()),
        ("tests", name) => Some(format!("--test {}", name.trim_end_matches(".rs"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_that_have_the_tests_and_no_others() {
        let package = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("src/a.rs", "fn one() {}"),
            ("tests/two.rs", "fn two() {}"),
            ("tests/many/part.rs", "fn three() {} fn one() {}"),
            ("examples/four.rs", "fn four() {}"),
        ] {
            let path = package.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let flags = |tests: &[&str]| flags(package.path(), tests).unwrap();
        assert_eq!(flags(&["two"]), "--test two");
        assert_eq!(flags(&["a::tests::one", "part::three"]), "--lib --test many");
        assert_eq!(flags(&["two", "four"]), "--tests");
    }
}
