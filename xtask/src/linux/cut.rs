//! Cuts the call layer out of a Linux source tree, and links ours in: three files are changed by these functions, none of whose
//! text is ours. What is looked for and not found is an error that names it: another series may be laid out otherwise.

use super::Series;
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

/// What 7.3 has besides.
const CUT_7_3: [&str; 3] = ["smp_task_ipi_mask_alloc", "smp_task_ipi_mask_free", "cpus_peek_for_pending_ipi"];

/// And some of what stays Linux's own.
const KEPT: [&str; 6] =
    ["nosmp", "setup_nr_cpu_ids", "smp_init", "wake_up_all_idle_cpus", "smp_call_on_cpu", "setup_max_cpus"];

/// kernel/smp.c without its call layer: from its first own line to the end of `smp_call_function`, and from
/// `on_each_cpu_cond_mask` with its comment to the end of `kick_all_cpus_sync`. From 7.3 also what looks into a queue, and where the size
/// of a task's mask is decided: ours have none.
pub(super) fn smp_c(series: Series, text: &str) -> Result<String> {
    let lines: Vec<&str> = text.lines().collect();
    let find = |from: usize, start: &str| {
        let at = lines[from..].iter().position(|line| line.starts_with(start));
        at.map(|at| from + at).with_context(|| format!("kernel/smp.c has no line `{start}…`"))
    };
    let comment_before = |at: usize, first: usize| {
        let comment = lines[..at].iter().rposition(|line| line.starts_with("/*"));
        comment.filter(|at| *at > first).unwrap_or(at)
    };
    let first = find(0, "#define CSD_TYPE(")?;
    let first_end = find(first, "EXPORT_SYMBOL(smp_call_function);")?;
    let second = find(first_end, "void on_each_cpu_cond_mask(")?;
    let second_end = find(second, "EXPORT_SYMBOL_GPL(kick_all_cpus_sync);")?;
    let mut out = vec![first..=first_end, comment_before(second, first_end)..=second_end];
    let mut names = CUT.to_vec();
    if series == Series::L7_3 {
        let mask = find(first_end, "\tif (IS_ENABLED(CONFIG_PREEMPTION) && cpumask_size() <= ")?;
        if lines.get(mask + 1).is_none_or(|line| line.trim() != "static_branch_enable(&ipi_mask_inlined);") {
            bail!("kernel/smp.c: `ipi_mask_inlined` is not where it is in 7.3");
        }
        let peek = find(second_end, "bool cpus_peek_for_pending_ipi(")?;
        out.extend([mask..=mask + 1, comment_before(peek, second_end)..=find(peek, "}")?]);
        names.extend(CUT_7_3);
    }
    let (mut kept, mut cut) = (String::new(), String::new());
    for (at, line) in lines.iter().enumerate() {
        let to = if out.iter().any(|out| out.contains(&at)) { &mut cut } else { &mut kept };
        to.push_str(line);
        to.push('\n');
    }
    for name in names {
        if !defines(&cut, name) || defines(&kept, name) {
            bail!("kernel/smp.c: `{name}` is not where it is in {}", series.name());
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
        let kept = smp_c(Series::L6_12, &text).unwrap();
        assert!(text.lines().filter(|line| kept.contains(line)).count() >= kept.lines().count());
        assert!(CUT.iter().all(|name| !defines(&kept, name)) && KEPT.iter().all(|name| kept.contains(name)));
        assert!(!kept.contains("says what") && kept.starts_with("#include <kept.h>\n"));
    }

    #[test]
    fn what_is_not_as_in_6_12_is_named() {
        let missing = laid_out().replace("smp_call_function_any(", "smp_call_function_some(");
        assert!(smp_c(Series::L6_12, &missing).unwrap_err().to_string().contains("smp_call_function_any"));
        let moved = laid_out() + "void smp_call_function_any(int a)\n{\n}\n";
        assert!(smp_c(Series::L6_12, &moved).unwrap_err().to_string().contains("smp_call_function_any"));
        let swallowed = laid_out().replace(KEPT[4], "gone");
        assert!(smp_c(Series::L6_12, &swallowed).unwrap_err().to_string().contains(KEPT[4]));
        assert!(smp_c(Series::L6_12, "").unwrap_err().to_string().contains("CSD_TYPE"));
    }

    #[test]
    fn what_7_3_has_besides_is_cut_too() {
        let task = "int smp_task_ipi_mask_alloc(int a)\n{\n}\nvoid smp_task_ipi_mask_free(int a)\n{\n}\nEXPORT_SYMBOL(smp_call_function);\n";
        let mask = "\tif (IS_ENABLED(CONFIG_PREEMPTION) && cpumask_size() <= 8)\n\t\tstatic_branch_enable(&ipi_mask_inlined);\n";
        let peek =
            "/**\n * peeks\n */\nbool cpus_peek_for_pending_ipi(int a)\n{\n\tif (a) {\n\t}\n}\nint after;\n";
        let text = laid_out().replace("EXPORT_SYMBOL(smp_call_function);\n", &format!("{task}{mask}")) + peek;
        let kept = smp_c(Series::L7_3, &text).unwrap();
        for gone in ["ipi_mask", "peek", "CONFIG_PREEMPTION"] {
            assert!(!kept.contains(gone), "{gone} in {kept}");
        }
        assert!(kept.contains("int after;"), "{kept}");
        // What is of 6.12 is not 7.3.
        assert!(smp_c(Series::L7_3, &laid_out()).unwrap_err().to_string().contains("CONFIG_PREEMPTION"));
        let elsewhere = text.replace("ipi_mask_inlined", "ipi_mask_elsewhere");
        assert!(smp_c(Series::L7_3, &elsewhere).unwrap_err().to_string().contains("not where it is in 7.3"));
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
