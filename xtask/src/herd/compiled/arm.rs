//! What Arm's instructions do, as far as the core's fast paths have them, and how herd7 writes those that access memory.

use super::asm::Instr;
use super::litmus::{Constants, Machine};
use super::path::{Event, Isa, Next, Thread, What, sign_extend, truncate};
use anyhow::{Context, Result, bail, ensure};

/// AArch64, with read-modify-writes in one instruction or in pairs.
pub(super) struct Arm;

impl Isa for Arm {
    fn argument(&self, at: usize) -> &'static str {
        ["0", "1", "2", "3", "4", "5", "6", "7"][at]
    }

    fn result(&self) -> &'static str {
        "0"
    }

    fn stack(&self) -> &'static str {
        "sp"
    }

    fn step(&self, thread: &mut Thread<'_>, instr: &Instr) -> Result<Next> {
        // Those for vectors have the instructions' names too.
        ensure!(!instr.args.iter().any(|arg| is_vector(arg)), "a register that is not known here");
        if let Some(next) = branch(thread, instr)? {
            return Ok(next);
        }
        let handled = memory(thread, instr)?
            || read_modify_write(thread, instr)?
            || comparison(thread, instr)?
            || arithmetic(thread, instr)?;
        if !handled {
            bail!("an instruction that is not known here");
        }
        Ok(Next::Following)
    }
}

fn is_vector(operand: &str) -> bool {
    let number = operand.strip_prefix(['q', 'd', 's', 'h', 'b', 'v']);
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

fn bits(register: &str) -> u32 {
    if register.starts_with('w') { 32 } else { 64 }
}

fn number(text: &str) -> Result<u64> {
    let text = text.trim_start_matches('#');
    let (sign, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let value = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    let value = value.with_context(|| format!("the number `{text}`"))?;
    Ok(if sign { value.wrapping_neg() } else { value })
}

/// A register's value, or a number's.
fn value(thread: &Thread<'_>, operand: &str) -> Result<u64> {
    if operand.starts_with('#') {
        return number(operand);
    }
    Ok(match operand {
        "wzr" | "xzr" => 0,
        "sp" => thread.get("sp"),
        _ => truncate(thread.get(&operand[1..]), bits(operand) / 8),
    })
}

fn set(thread: &mut Thread<'_>, register: &str, value: u64) {
    match register {
        "wzr" | "xzr" => {}
        "sp" => thread.set("sp", value),
        _ => thread.set(&register[1..], truncate(value, bits(register) / 8)),
    }
}

/// `[x0]`, `[x0,#8]`, `[sp,#-16]!`; `[sp],#16` has its number as a further operand.
fn place(thread: &mut Thread<'_>, instr: &Instr, at: usize) -> Result<u64> {
    let text = instr.arg(at)?;
    let inner = text.trim_end_matches('!').strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let mut parts = inner.context("no address")?.split(',');
    let base = parts.next().unwrap_or_default();
    let offset = parts.next().map_or(Ok(0), |part| value(thread, part))?;
    if let Some(more) = parts.next() {
        bail!("an address with `{more}`");
    }
    let before = value(thread, base)?;
    let place = before.wrapping_add(offset);
    if text.ends_with('!') {
        set(thread, base, place);
    } else if let Some(after) = instr.args.get(at + 1) {
        set(thread, base, before.wrapping_add(number(after)?));
    }
    Ok(place)
}

fn branch(thread: &mut Thread<'_>, instr: &Instr) -> Result<Option<Next>> {
    let to = |yes: bool, label: &str| Some(if yes { Next::Jump(label.to_owned()) } else { Next::Following });
    Ok(match instr.op.as_str() {
        "ret" => Some(Next::Return),
        "b" => to(true, instr.arg(0)?),
        "bl" => Some(Next::Call(instr.arg(0)?.to_owned())),
        "cbz" | "cbnz" => {
            let zero = value(thread, instr.arg(0)?)? == 0;
            to(zero == (instr.op == "cbz"), instr.arg(1)?)
        }
        "tbz" | "tbnz" => {
            let zero = value(thread, instr.arg(0)?)? >> number(instr.arg(1)?)? & 1 == 0;
            to(zero == (instr.op == "tbz"), instr.arg(2)?)
        }
        op => match op.strip_prefix("b.") {
            Some(condition) => to(holds(thread, condition)?, instr.arg(0)?),
            None => None,
        },
    })
}

fn holds(thread: &Thread<'_>, condition: &str) -> Result<bool> {
    let (left, right, bits) = thread.flags;
    let signed = |value| sign_extend(value, bits / 8) as i64;
    Ok(match condition {
        "eq" => left == right,
        "ne" => left != right,
        "hs" | "cs" => left >= right,
        "lo" | "cc" => left < right,
        "hi" => left > right,
        "ls" => left <= right,
        "ge" => signed(left) >= signed(right),
        "lt" => signed(left) < signed(right),
        "gt" => signed(left) > signed(right),
        "le" => signed(left) <= signed(right),
        _ => bail!("the condition `{condition}`"),
    })
}

/// How many bytes: by the mnemonic's last letter, or by the register.
fn width(instr: &Instr, register: &str) -> u32 {
    match instr.op.chars().next_back() {
        Some('b') => 1,
        Some('h') => 2,
        _ => bits(register) / 8,
    }
}

fn memory(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    match instr.op.as_str() {
        // Only of the stack, where callers' registers are kept.
        "stp" | "ldp" => {
            let place = place(thread, instr, 2)?;
            for (at, register) in instr.args[..2].iter().enumerate() {
                let bytes = bits(register) / 8;
                let place = place + at as u64 * u64::from(bytes);
                if instr.op == "stp" {
                    thread.store("stp", place, bytes, value(thread, register)?)?;
                } else {
                    let value = thread.load("ldp", place, bytes)?;
                    set(thread, register, value);
                }
            }
        }
        "ldr" | "ldrb" | "ldrh" | "ldar" | "ldarb" | "ldapr" | "ldaprb" | "ldur" => {
            let (register, place) = (instr.arg(0)?, place(thread, instr, 1)?);
            let value = thread.load(&instr.op, place, width(instr, register))?;
            set(thread, register, value);
        }
        "str" | "strb" | "strh" | "stlr" | "stlrb" | "stur" => {
            let (register, place) = (instr.arg(0)?, place(thread, instr, 1)?);
            thread.store(&instr.op, place, width(instr, register), value(thread, register)?)?;
        }
        "ldxr" | "ldxrb" | "ldaxr" | "ldaxrb" => {
            let (register, place) = (instr.arg(0)?, place(thread, instr, 1)?);
            let bytes = width(instr, register);
            let value = thread.read(place, bytes)?;
            thread.wrote(&instr.op, place, bytes, What::Reserve(value))?;
            set(thread, register, value);
        }
        "stxr" | "stxrb" | "stlxr" | "stlxrb" => {
            let (register, place) = (instr.arg(1)?, place(thread, instr, 2)?);
            let (bytes, new) = (width(instr, register), value(thread, register)?);
            thread.wrote(&instr.op, place, bytes, What::Conditional(new))?;
            // One that fails is followed by another try, or by none: that path is another's.
            set(thread, instr.arg(0)?, 0);
        }
        "clrex" => {}
        "dmb" => thread.event(&format!("dmb {}", instr.arg(0)?), 0, 0, What::Fence),
        _ => return Ok(false),
    }
    Ok(true)
}

fn read_modify_write(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    let op = instr.op.as_str();
    if op.starts_with("cas") {
        let (found, new) = (instr.arg(0)?, value(thread, instr.arg(1)?)?);
        let (place, bytes, expected) = (place(thread, instr, 2)?, width(instr, found), value(thread, found)?);
        let old = thread.read(place, bytes)?;
        let what = if old == expected {
            What::Modify { old, new, operand: new, shown: true }
        } else {
            What::Fail { old, expected, new }
        };
        thread.wrote(op, place, bytes, what)?;
        set(thread, found, old);
        return Ok(true);
    }
    let bare = ["swp", "ldadd", "ldset", "ldclr", "stadd", "stset", "stclr"];
    let Some(kind) = bare.into_iter().find(|kind| op.starts_with(kind)) else { return Ok(false) };
    let into = if kind.starts_with("st") { None } else { Some(instr.arg(1)?) };
    let place = place(thread, instr, 1 + usize::from(into.is_some()))?;
    let (bytes, operand) = (width(instr, instr.arg(0)?), value(thread, instr.arg(0)?)?);
    // Who throws away what was there does so on this machine at the price of the acquire: it is written as it is.
    let into = into.filter(|into| !into.ends_with("zr"));
    let old = if into.is_none() && kind == "swp" { 0 } else { thread.read(place, bytes)? };
    let new = match &kind[kind.len() - 3..] {
        "add" => old.wrapping_add(operand),
        "set" => old | operand,
        "clr" => old & !operand,
        _ => operand,
    };
    let new = truncate(new, bytes);
    thread.wrote(op, place, bytes, What::Modify { old, new, operand, shown: into.is_some() })?;
    if let Some(into) = into {
        set(thread, into, old);
    }
    Ok(true)
}

/// The last operand, shifted by whatever follows it.
fn last(thread: &Thread<'_>, instr: &Instr, at: usize) -> Result<u64> {
    let value = value(thread, instr.arg(at)?)?;
    Ok(match instr.args.get(at + 1) {
        None => value,
        Some(shift) => match (shift.strip_prefix("lsl#"), shift.strip_prefix("lsr#")) {
            (Some(by), _) => value << number(by)?,
            (_, Some(by)) => value >> number(by)?,
            _ => bail!("`{shift}`"),
        },
    })
}

fn comparison(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    let bits = bits(instr.arg(0)?);
    let left = value(thread, instr.arg(0)?)?;
    thread.flags = match instr.op.as_str() {
        "cmp" => (left, truncate(last(thread, instr, 1)?, bits / 8), bits),
        "tst" => (truncate(left & last(thread, instr, 1)?, bits / 8), 0, bits),
        _ => return Ok(false),
    };
    Ok(true)
}

fn arithmetic(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    let op = instr.op.as_str();
    let operand = |thread: &Thread<'_>, at: usize| value(thread, instr.arg(at)?);
    let into = instr.arg(0)?;
    let bits_here = bits(into);
    let last = |thread: &Thread<'_>, at: usize| last(thread, instr, at);
    let result = match op {
        "mov" | "movz" => last(thread, 1)?,
        "movk" => {
            let by = instr.args.get(2).and_then(|shift| shift.strip_prefix("lsl#")).map_or(Ok(0), number)?;
            value(thread, into)? & !(0xffff << by) | operand(thread, 1)? << by
        }
        "mvn" => !last(thread, 1)?,
        "subs" => {
            let (left, right) = (operand(thread, 1)?, truncate(last(thread, 2)?, bits_here / 8));
            thread.flags = (left, right, bits_here);
            left.wrapping_sub(right)
        }
        "ands" | "bics" => {
            let right = last(thread, 2)?;
            let right = if op == "bics" { !right } else { right };
            let both = truncate(operand(thread, 1)? & right, bits_here / 8);
            thread.flags = (both, 0, bits_here);
            both
        }
        "add" => operand(thread, 1)?.wrapping_add(last(thread, 2)?),
        "sub" => operand(thread, 1)?.wrapping_sub(last(thread, 2)?),
        "and" => operand(thread, 1)? & last(thread, 2)?,
        "orr" => operand(thread, 1)? | last(thread, 2)?,
        "eor" => operand(thread, 1)? ^ last(thread, 2)?,
        "bic" => operand(thread, 1)? & !last(thread, 2)?,
        "lsl" => operand(thread, 1)? << (operand(thread, 2)? & 63),
        "lsr" => operand(thread, 1)? >> (operand(thread, 2)? & 63),
        "ubfx" => operand(thread, 1)? >> operand(thread, 2)? & ones(operand(thread, 3)?),
        "bfxil" => {
            let ones = ones(operand(thread, 3)?);
            value(thread, into)? & !ones | operand(thread, 1)? >> operand(thread, 2)? & ones
        }
        "cset" => u64::from(holds(thread, instr.arg(1)?)?),
        "cinc" => {
            let holds = holds(thread, instr.arg(2)?)?;
            operand(thread, 1)?.wrapping_add(u64::from(holds))
        }
        "csel" | "csinc" => {
            let holds = holds(thread, instr.arg(3)?)?;
            let other = operand(thread, 2)?.wrapping_add(u64::from(op == "csinc"));
            if holds { operand(thread, 1)? } else { other }
        }
        _ => return Ok(false),
    };
    set(thread, into, result);
    Ok(true)
}

fn ones(width: u64) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

impl Machine for Arm {
    fn herd(&self) -> (&'static str, &'static str) {
        ("AArch64", "aarch64.cat")
    }

    fn registers(&self) -> Vec<String> {
        (0..20).map(|at| format!("X{at}")).collect()
    }

    fn address(&self, at: usize) -> Option<String> {
        Some(format!("X{}", 20 + at))
    }

    fn write(&self, event: &Event, place: &str, constants: &mut Constants) -> Result<Vec<String>> {
        let sized =
            |register: String| if event.bytes == 8 { register } else { register.replacen('X', "W", 1) };
        let op = event.op.to_uppercase();
        let zero = if event.bytes == 8 { "XZR" } else { "WZR" };
        Ok(vec![match event.what {
            What::Fence => op,
            What::Load(value) | What::Reserve(value) => {
                format!("{op} {},[{place}]", sized(constants.reads(value)?))
            }
            What::Store(value) => format!("{op} {},[{place}]", sized(constants.holds(value)?)),
            What::Conditional(value) => {
                let status = constants.reads(0)?.replacen('X', "W", 1);
                format!("{op} {status},{},[{place}]", sized(constants.holds(value)?))
            }
            What::Modify { old, operand, shown, .. } if op.starts_with("CAS") => {
                debug_assert!(shown, "a comparison's register says what was there");
                let found = sized(constants.holds_and_reads(old, old)?);
                format!("{op} {found},{},[{place}]", sized(constants.holds(operand)?))
            }
            What::Fail { old, expected, new } => {
                let found = sized(constants.holds_and_reads(expected, old)?);
                format!("{op} {found},{},[{place}]", sized(constants.holds(new)?))
            }
            What::Modify { operand, .. } if op.starts_with("ST") => {
                format!("{op} {},[{place}]", sized(constants.holds(operand)?))
            }
            What::Modify { old, operand, shown, .. } => {
                let into = if shown { sized(constants.reads(old)?) } else { zero.to_owned() };
                format!("{op} {},{into},[{place}]", sized(constants.holds(operand)?))
            }
        }])
    }
}
