//! What x86's instructions do, as far as the core's fast paths have them, and how herd7 writes those that access memory.

use super::asm::Instr;
use super::litmus::{Constants, Machine};
use super::path::{Event, Isa, Next, Thread, What, sign_extend, truncate};
use anyhow::{Context, Result, bail};

/// x86-64.
pub(super) struct X86;

/// The registers, each by the name of all of it; of the first eight the parts have names of their own.
const NAMES: [[&str; 4]; 8] = [
    ["rax", "eax", "ax", "al"],
    ["rbx", "ebx", "bx", "bl"],
    ["rcx", "ecx", "cx", "cl"],
    ["rdx", "edx", "dx", "dl"],
    ["rsi", "esi", "si", "sil"],
    ["rdi", "edi", "di", "dil"],
    ["rbp", "ebp", "bp", "bpl"],
    ["rsp", "esp", "sp", "spl"],
];

impl Isa for X86 {
    fn argument(&self, at: usize) -> &'static str {
        ["rdi", "rsi", "rdx", "rcx", "r8", "r9"][at]
    }

    fn result(&self) -> &'static str {
        "rax"
    }

    fn stack(&self) -> &'static str {
        "rsp"
    }

    fn step(&self, thread: &mut Thread<'_>, instr: &Instr) -> Result<Next> {
        if let Some(next) = branch(thread, instr)? {
            return Ok(next);
        }
        if !read_modify_write(thread, instr)? && !arithmetic(thread, instr)? {
            bail!("an instruction that is not known here");
        }
        Ok(Next::Following)
    }
}

/// A register's whole, and how many bytes of it are meant.
fn register(name: &str) -> Result<(String, u32)> {
    for names in NAMES {
        if let Some(at) = names.iter().position(|of| *of == name) {
            return Ok((names[0].to_owned(), 8 >> at));
        }
    }
    let whole = name.trim_end_matches(['d', 'w', 'b']);
    if !whole.starts_with('r') {
        bail!("the register `{name}`");
    }
    let bytes = match &name[whole.len()..] {
        "d" => 4,
        "w" => 2,
        "b" => 1,
        _ => 8,
    };
    Ok((whole.to_owned(), bytes))
}

fn number(text: &str) -> Result<u64> {
    let number = text.parse::<i64>().or_else(|_| text.parse::<u64>().map(|number| number as i64));
    Ok(number.with_context(|| format!("the number `{text}`"))? as u64)
}

/// `8(%rdi)`, `(%rdi,%rax,2)`.
fn place(thread: &Thread<'_>, operand: &str) -> Result<u64> {
    let (offset, inner) = operand.split_once('(').context("no address")?;
    let mut place = if offset.is_empty() { 0 } else { number(offset)? };
    let mut parts = inner.trim_end_matches(')').split(',');
    let mut part = || parts.next().filter(|part| !part.is_empty());
    if let Some(base) = part() {
        place = place.wrapping_add(thread.get(&register(&base[1..])?.0));
    }
    if let Some(index) = part() {
        let scale = part().map_or(Ok(1), number)?;
        place = place.wrapping_add(thread.get(&register(&index[1..])?.0).wrapping_mul(scale));
    }
    Ok(place)
}

/// How many bytes: by the mnemonic's suffix.
fn width(op: &str) -> Result<u32> {
    Ok(match op.chars().next_back() {
        Some('b') => 1,
        Some('w') => 2,
        Some('l') => 4,
        Some('q') => 8,
        _ => bail!("how many bytes it is of"),
    })
}

fn value(thread: &mut Thread<'_>, operand: &str, bytes: u32) -> Result<u64> {
    if let Some(text) = operand.strip_prefix('$') {
        return Ok(truncate(number(text)?, bytes));
    }
    if let Some(name) = operand.strip_prefix('%') {
        return Ok(truncate(thread.get(&register(name)?.0), bytes));
    }
    let place = place(thread, operand)?;
    thread.load("mov", place, bytes)
}

fn set(thread: &mut Thread<'_>, operand: &str, bytes: u32, value: u64) -> Result<()> {
    let value = truncate(value, bytes);
    let Some(name) = operand.strip_prefix('%') else {
        let place = place(thread, operand)?;
        return thread.store("mov", place, bytes, value);
    };
    let (whole, _) = register(name)?;
    // Four bytes clear those above, one and two leave them.
    let above = if bytes >= 4 { 0 } else { thread.get(&whole) >> (8 * bytes) << (8 * bytes) };
    thread.set(&whole, above | value);
    Ok(())
}

fn branch(thread: &mut Thread<'_>, instr: &Instr) -> Result<Option<Next>> {
    Ok(match instr.op.as_str() {
        "retq" | "ret" => Some(Next::Return),
        "jmp" => Some(Next::Jump(instr.arg(0)?.to_owned())),
        "callq" => Some(Next::Call(instr.arg(0)?.to_owned())),
        op => match op.strip_prefix('j') {
            Some(condition) => {
                let taken = holds(thread, condition)?;
                Some(if taken { Next::Jump(instr.arg(0)?.to_owned()) } else { Next::Following })
            }
            None => None,
        },
    })
}

fn holds(thread: &Thread<'_>, condition: &str) -> Result<bool> {
    let (left, right, bits) = thread.flags;
    let signed = |value| sign_extend(value, bits / 8) as i64;
    Ok(match condition {
        "e" => left == right,
        "ne" => left != right,
        "b" => left < right,
        "ae" => left >= right,
        "a" => left > right,
        "be" => left <= right,
        "l" => signed(left) < signed(right),
        "ge" => signed(left) >= signed(right),
        "g" => signed(left) > signed(right),
        "le" => signed(left) <= signed(right),
        "s" => signed(left.wrapping_sub(right)) < 0,
        "ns" => signed(left.wrapping_sub(right)) >= 0,
        _ => bail!("the condition `{condition}`"),
    })
}

fn read_modify_write(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    let op = instr.op.as_str();
    if op == "mfence" {
        thread.event(op, 0, 0, What::Fence);
        return Ok(true);
    }
    // An exchange with memory is locked without saying so.
    let exchange = op.starts_with("xchg") && instr.args.iter().any(|arg| arg.contains('('));
    let Some(kind) = op.strip_prefix("lock ").or(exchange.then_some(op)) else { return Ok(false) };
    let (bytes, at) = (width(kind)?, instr.args.len() - 1);
    let place = place(thread, instr.arg(at)?)?;
    let operand = if at == 0 { 1 } else { value(thread, instr.arg(0)?, bytes)? };
    let old = thread.read(place, bytes)?;
    let accumulator = truncate(thread.get("rax"), bytes);
    let kind = &kind[..kind.len() - 1];
    let new = match kind {
        "cmpxchg" if old != accumulator => {
            thread.wrote(op, place, bytes, What::Fail { old, expected: accumulator, new: operand })?;
            thread.flags = (accumulator, old, 8 * bytes);
            set(thread, "%rax", bytes, old)?;
            return Ok(true);
        }
        "cmpxchg" | "xchg" => operand,
        "or" => old | operand,
        "and" => old & operand,
        "xadd" | "add" | "inc" => old.wrapping_add(operand),
        "sub" | "dec" => old.wrapping_sub(operand),
        "bts" => old | 1 << operand,
        "btr" => old & !(1 << operand),
        _ => bail!("a locked instruction that is not known here"),
    };
    let new = truncate(new, bytes);
    thread.wrote(op, place, bytes, What::Modify { old, new, operand, shown: true })?;
    thread.flags = match kind {
        "cmpxchg" => (accumulator, old, 8 * bytes),
        // The carry is the bit that was there.
        "bts" | "btr" => (0, old >> operand & 1, 8 * bytes),
        _ => (new, 0, 8 * bytes),
    };
    if matches!(kind, "xchg" | "xadd") {
        set(thread, instr.arg(0)?, bytes, old)?;
    }
    Ok(true)
}

/// Those that only move a value, or work out an address.
fn moves(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    let op = instr.op.as_str();
    let into = instr.args.last().context("no operand")?.clone();
    match op {
        "movzbl" | "movzwl" | "movzbq" => {
            let value = value(thread, instr.arg(0)?, if op.contains('b') { 1 } else { 2 })?;
            set(thread, &into, 4, value)?;
        }
        "leaq" | "leal" => {
            let place = place(thread, instr.arg(0)?)?;
            set(thread, &into, width(op)?, place)?;
        }
        "pushq" | "popq" => {
            let top = thread.get("rsp");
            if op == "pushq" {
                let value = value(thread, &into, 8)?;
                thread.store("push", top - 8, 8, value)?;
                thread.set("rsp", top - 8);
            } else {
                let value = thread.load("pop", top, 8)?;
                set(thread, &into, 8, value)?;
                thread.set("rsp", top + 8);
            }
        }
        "movabsq" => {
            let value = value(thread, instr.arg(0)?, 8)?;
            set(thread, &into, 8, value)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn arithmetic(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    let op = instr.op.as_str();
    if let Some(condition) = op.strip_prefix("set") {
        let holds = holds(thread, condition)?;
        set(thread, instr.arg(0)?, 1, u64::from(holds))?;
        return Ok(true);
    }
    let into = instr.args.last().context("no operand")?.clone();
    if let Some(condition) = op.strip_prefix("cmov") {
        let bytes = width(op)?;
        let of = condition.trim_end_matches(['l', 'q']);
        let taken = if holds(thread, of)? { instr.arg(0)? } else { into.as_str() };
        let value = value(thread, taken, bytes)?;
        set(thread, &into, bytes, value)?;
        return Ok(true);
    }
    if moves(thread, instr)? {
        return Ok(true);
    }
    let bytes = width(op)?;
    let kind = &op[..op.len() - 1];
    let right = if instr.args.len() == 1 { 1 } else { value(thread, instr.arg(0)?, bytes)? };
    if kind == "mov" {
        set(thread, &into, bytes, right)?;
        return Ok(true);
    }
    let left = value(thread, &into, bytes)?;
    let result = match kind {
        "cmp" | "sub" | "dec" => left.wrapping_sub(right),
        "test" | "and" => left & right,
        "add" | "inc" => left.wrapping_add(right),
        "or" => left | right,
        "xor" => left ^ right,
        "shl" => left << (right & 63),
        "shr" => left >> (right & 63),
        "not" => !left,
        "neg" => left.wrapping_neg(),
        "bt" => left >> (right & 63) & 1,
        _ => return Ok(false),
    };
    let result = truncate(result, bytes);
    match kind {
        "not" => {}
        "cmp" | "sub" => thread.flags = (left, right, 8 * bytes),
        "bt" => thread.flags = (0, result, 8 * bytes),
        _ => thread.flags = (result, 0, 8 * bytes),
    }
    if !matches!(kind, "cmp" | "test" | "bt") {
        set(thread, &into, bytes, result)?;
    }
    Ok(true)
}

impl Machine for X86 {
    fn herd(&self) -> (&'static str, &'static str) {
        ("X86_64", "x86tso-mixed.cat")
    }

    fn registers(&self) -> Vec<String> {
        ["rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"]
            .map(str::to_owned)
            .to_vec()
    }

    fn address(&self, _at: usize) -> Option<String> {
        None
    }

    /// A locked instruction of any kind is written as an exchange, or as a comparison and exchange of what it found for what it left
    /// there: the model knows of a locked instruction only that it reads and writes in one.
    fn write(&self, event: &Event, place: &str, constants: &mut Constants) -> Result<Vec<String>> {
        let suffix = match event.bytes {
            1 => 'b',
            2 => 'w',
            4 => 'l',
            _ => 'q',
        };
        let part = |whole: &str| -> String {
            let at = event.bytes.max(1).ilog2();
            match NAMES.iter().find(|names| names[0] == whole) {
                Some(names) => format!("%{}", names[3 - at as usize]),
                None => format!("%{whole}{}", ["b", "w", "d", ""][at as usize]),
            }
        };
        Ok(match event.what {
            What::Fence => vec!["mfence".to_owned()],
            What::Load(value) => vec![format!("mov{suffix} [{place}],{}", part(&constants.reads(value)?))],
            What::Store(value) => vec![format!("mov{suffix} ${value},[{place}]")],
            What::Modify { old, operand, .. } if event.op.starts_with("xchg") => {
                let register = part(&constants.holds_and_reads(operand, old)?);
                vec![format!("xchg{suffix} {register},[{place}]")]
            }
            What::Modify { old, new, .. } => compare(suffix, place, old, old, new, &part, constants)?,
            What::Fail { old, expected, new } => {
                compare(suffix, place, expected, old, new, &part, constants)?
            }
            What::Reserve(_) | What::Conditional(_) => bail!("this machine has no such pairs"),
        })
    }
}

fn compare(
    suffix: char,
    place: &str,
    expected: u64,
    old: u64,
    new: u64,
    part: &impl Fn(&str) -> String,
    constants: &mut Constants,
) -> Result<Vec<String>> {
    let (new, found) = (part(&constants.holds(new)?), part(&constants.reads(old)?));
    let accumulator = part("rax");
    Ok(vec![
        format!("mov{suffix} ${expected},{accumulator}"),
        format!("lock cmpxchg{suffix} [{place}],{new}"),
        format!("mov{suffix} {accumulator},{found}"),
    ])
}
