//! Cuts the call layer out of a Linux source tree, and links ours in: three files are changed by these functions, none of whose
//! text is ours. What is looked for and not found is an error that names it: another kernel than 6.12 may be laid out otherwise.

use anyhow::{Context, Result, bail};

/// What the rest of the kernel finds in kernel/smp.c, and is cut out of it.
const CUT: [&str; 16] = [
    "smpcfd_prepare_cpu",
    "smpcfd_dead_cpu",
    "smpcfd_dying_cpu",
    "call_function_init",
    "csd_lock_is_stuck",
    "__smp_call_single_queue",
    "generic_smp_call_function_single_interrupt",
    "flush_smp_call_function_queue",
    "smp_call_function_single",
    "smp_call_function_single_async",
    "smp_call_function_any",
    "smp_call_function_many",
    "smp_call_function_many_cond",
    "smp_call_function",
    "on_each_cpu_cond_mask",
    "kick_all_cpus_sync",
];

/// And some of what stays Linux's own.
const KEPT: [&str; 6] =
    ["nosmp", "setup_nr_cpu_ids", "smp_init", "wake_up_all_idle_cpus", "smp_call_on_cpu", "setup_max_cpus"];

/// kernel/smp.c without its call layer: from its first own line to the end of `smp_call_function`, and from
/// `on_each_cpu_cond_mask` with its comment to the end of `kick_all_cpus_sync`.
pub(super) fn smp_c(text: &str) -> Result<String> {
    let lines: Vec<&str> = text.lines().collect();
    let find = |from: usize, start: &str| {
        let at = lines[from..].iter().position(|line| line.starts_with(start));
        at.map(|at| from + at).with_context(|| format!("kernel/smp.c has no line `{start}…`"))
    };
    let first = find(0, "#define CSD_TYPE(")?;
    let first_end = find(first, "EXPORT_SYMBOL(smp_call_function);")?;
    let second = find(first_end, "void on_each_cpu_cond_mask(")?;
    let comment = lines[..second].iter().rposition(|line| line.starts_with("/*"));
    let second_end = find(second, "EXPORT_SYMBOL_GPL(kick_all_cpus_sync);")?;
    let second = comment.filter(|at| *at > first_end).unwrap_or(second);
    let (mut kept, mut cut) = (String::new(), String::new());
    for (at, line) in lines.iter().enumerate() {
        let out = (first..=first_end).contains(&at) || (second..=second_end).contains(&at);
        let to = if out { &mut cut } else { &mut kept };
        to.push_str(line);
        to.push('\n');
    }
    for name in CUT {
        if !defines(&cut, name) || defines(&kept, name) {
            bail!("kernel/smp.c: `{name}` is not where it is in 6.12");
        }
    }
    if let Some(name) = KEPT.into_iter().find(|name| !kept.contains(name)) {
        bail!("kernel/smp.c: `{name}`, which stays Linux's, would be cut out");
    }
    Ok(kept)
}

/// Whether there is a line, of a definition or its first line, on which the name is followed by a parenthesis and no statement ends.
fn defines(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let starts = line.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
        let names =
            line.split_once(&format!("{name}(")).is_some_and(|(before, _)| before.ends_with([' ', '*']));
        starts && names && !line.ends_with(';')
    })
}

/// kernel/cpu.c with a step for a CPU that starts, where there is one only for a CPU that dies: our queues are opened by the CPU
/// whose they are.
pub(super) fn cpu_c(text: &str) -> Result<String> {
    const ENTRY: &str = "[CPUHP_AP_SMPCFD_DYING] = {";
    const STARTUP: &str = ".startup.single\t\t= NULL,";
    const TABLE: &str = "static struct cpuhp_step cpuhp_hp_states[]";
    let entry = text.find(ENTRY).with_context(|| format!("kernel/cpu.c has no `{ENTRY}`"))?;
    let end = entry + text[entry..].find('}').context("kernel/cpu.c: an entry without an end")?;
    let Some(startup) = text[entry..end].find(STARTUP) else {
        bail!("kernel/cpu.c: `{ENTRY}` has no `{STARTUP}`");
    };
    let table = text.find(TABLE).with_context(|| format!("kernel/cpu.c has no `{TABLE}`"))?;
    let mut new = text.to_owned();
    new.replace_range(
        entry + startup..entry + startup + STARTUP.len(),
        ".startup.single\t\t= smpcfd_starting_cpu,",
    );
    new.insert_str(table, "int smpcfd_starting_cpu(unsigned int cpu);\n");
    Ok(new)
}

/// kernel/Makefile with our two objects.
pub(super) fn makefile(text: &str) -> Result<String> {
    const SMP: &str = "obj-$(CONFIG_SMP) += smp.o";
    if !text.lines().any(|line| line == SMP) {
        bail!("kernel/Makefile has no line `{SMP}`");
    }
    Ok(text.replacen(SMP, &format!("{SMP} smpcall_glue.o smpcall_layer.o"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file laid out as kernel/smp.c is, with none of its text.
    fn laid_out() -> String {
        let mut text = String::from("#include <kept.h>\n#define CSD_TYPE(x) x\n");
        for name in &CUT[..14] {
            let statics = if name.ends_with("_cond") { "static " } else { "" };
            text += &format!("{statics}void {name}(int a,\n\tint b)\n{{\n}}\n");
        }
        text += "EXPORT_SYMBOL(smp_call_function);\n";
        text += &format!("int {};\n{}();\n", KEPT[5], KEPT[..3].join("();\n"));
        text += "/**\n * says what\n */\nvoid on_each_cpu_cond_mask(int a)\n{\n}\nstatic void nothing(void)\n{\n}\n";
        text += "void kick_all_cpus_sync(void)\n{\n}\nEXPORT_SYMBOL_GPL(kick_all_cpus_sync);\n";
        text + &format!("void {}(void)\n{{\n}}\nint {}(void)\n{{\n}}\n", KEPT[3], KEPT[4])
    }

    #[test]
    fn what_is_cut_is_gone_and_the_rest_stays_as_it_was() {
        let text = laid_out();
        let kept = smp_c(&text).unwrap();
        assert!(text.lines().filter(|line| kept.contains(line)).count() >= kept.lines().count());
        assert!(CUT.iter().all(|name| !defines(&kept, name)) && KEPT.iter().all(|name| kept.contains(name)));
        assert!(!kept.contains("says what") && kept.starts_with("#include <kept.h>\n"));
    }

    #[test]
    fn what_is_not_as_in_6_12_is_named() {
        let missing = laid_out().replace("smp_call_function_any(", "smp_call_function_some(");
        assert!(smp_c(&missing).unwrap_err().to_string().contains("smp_call_function_any"));
        let moved = laid_out() + "void smp_call_function_any(int a)\n{\n}\n";
        assert!(smp_c(&moved).unwrap_err().to_string().contains("smp_call_function_any"));
        let swallowed = laid_out().replace(KEPT[4], "gone");
        assert!(smp_c(&swallowed).unwrap_err().to_string().contains(KEPT[4]));
        assert!(smp_c("").unwrap_err().to_string().contains("CSD_TYPE"));
    }

    #[test]
    fn a_cpu_that_starts_gets_its_step() {
        let text = "static struct cpuhp_step cpuhp_hp_states[] = {\n\t[CPUHP_OTHER] = {\n\t\t.startup.single\t\t= NULL,\n\t},\n\
                    \t[CPUHP_AP_SMPCFD_DYING] = {\n\t\t.startup.single\t\t= NULL,\n\t\t.teardown.single\t= x,\n\t},\n};\n";
        let new = cpu_c(text).unwrap();
        assert!(new.contains("DYING] = {\n\t\t.startup.single\t\t= smpcfd_starting_cpu,\n"), "{new}");
        assert!(new.contains("OTHER] = {\n\t\t.startup.single\t\t= NULL,\n"), "{new}");
        assert!(new.starts_with("int smpcfd_starting_cpu"));
        let without = text.replace("DYING] = {\n\t\t.startup.single\t\t= NULL,", "DYING] = {");
        assert!(cpu_c(&without).is_err() && cpu_c("").is_err());
    }

    #[test]
    fn our_objects_are_linked_in() {
        let new = makefile("obj-y = a.o\nobj-$(CONFIG_SMP) += smp.o\n").unwrap();
        assert!(new.ends_with("obj-$(CONFIG_SMP) += smp.o smpcall_glue.o smpcall_layer.o\n"));
        assert!(makefile("obj-y += smp.o\n").is_err());
    }
}
