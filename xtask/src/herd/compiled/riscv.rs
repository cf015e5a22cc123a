//! What RISC-V's instructions do, as far as the core's fast paths have them, and how herd7 writes those that access memory.

use super::asm::Instr;
use super::litmus::{Constants, Machine};
use super::path::{Event, Isa, Next, Thread, What, sign_extend, truncate};
use anyhow::{Context, Result, bail};

/// riscv64 with compressed and atomic instructions.
pub(super) struct RiscV;

impl Isa for RiscV {
    fn argument(&self, at: usize) -> &'static str {
        ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"][at]
    }

    fn result(&self) -> &'static str {
        "a0"
    }

    fn stack(&self) -> &'static str {
        "sp"
    }

    fn step(&self, thread: &mut Thread<'_>, instr: &Instr) -> Result<Next> {
        if let Some(next) = branch(thread, instr)? {
            return Ok(next);
        }
        if !memory(thread, instr)? && !arithmetic(thread, instr)? {
            bail!("an instruction that is not known here");
        }
        Ok(Next::Following)
    }
}

fn number(text: &str) -> Result<u64> {
    let number = text.parse::<i64>().with_context(|| format!("the number `{text}`"))?;
    Ok(number as u64)
}

fn value(thread: &Thread<'_>, operand: &str) -> Result<u64> {
    match operand.chars().next() {
        Some(c) if c.is_ascii_digit() || c == '-' => number(operand),
        _ => Ok(thread.get(operand)),
    }
}

fn set(thread: &mut Thread<'_>, register: &str, value: u64) {
    if register != "zero" {
        thread.set(register, value);
    }
}

/// `8(a0)`, `(a0)`.
fn place(thread: &Thread<'_>, text: &str) -> Result<u64> {
    let (offset, base) = text.split_once('(').context("no address")?;
    let offset = if offset.is_empty() { 0 } else { number(offset)? };
    Ok(thread.get(base.trim_end_matches(')')).wrapping_add(offset))
}

fn branch(thread: &Thread<'_>, instr: &Instr) -> Result<Option<Next>> {
    let op = instr.op.as_str();
    match op {
        "ret" => return Ok(Some(Next::Return)),
        "j" | "tail" => return Ok(Some(Next::Jump(instr.arg(0)?.to_owned()))),
        "call" => return Ok(Some(Next::Call(instr.arg(0)?.to_owned()))),
        _ => {}
    }
    let left = value(thread, instr.args.first().map_or("zero", String::as_str)).unwrap_or(0);
    let (right, label) = match op {
        "beqz" | "bnez" | "bltz" | "bgez" | "blez" | "bgtz" => (0, instr.arg(1)?),
        "beq" | "bne" | "blt" | "bge" | "bltu" | "bgeu" => (value(thread, instr.arg(1)?)?, instr.arg(2)?),
        _ => return Ok(None),
    };
    let (signed, other) = (left as i64, right as i64);
    let taken = match op.trim_end_matches('z') {
        "beq" => left == right,
        "bne" => left != right,
        "blt" => signed < other,
        "bge" => signed >= other,
        "ble" => signed <= other,
        "bgt" => signed > other,
        "bltu" => left < right,
        _ => left >= right,
    };
    Ok(Some(if taken { Next::Jump(label.to_owned()) } else { Next::Following }))
}

fn memory(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    let op = instr.op.as_str();
    let word = op.split('.').nth(1) == Some("w");
    let bytes = match op {
        "lb" | "lbu" | "sb" => 1,
        "lh" | "lhu" | "sh" => 2,
        "lw" | "lwu" | "sw" => 4,
        "ld" | "sd" => 8,
        _ if word => 4,
        _ => 8,
    };
    let widened = |value: u64| if op.ends_with('u') { value } else { sign_extend(value, bytes) };
    match op.split('.').next().unwrap_or_default() {
        "lb" | "lbu" | "lh" | "lhu" | "lw" | "lwu" | "ld" => {
            let place = place(thread, instr.arg(1)?)?;
            let value = thread.load(op, place, bytes)?;
            set(thread, instr.arg(0)?, widened(value));
        }
        "sb" | "sh" | "sw" | "sd" => {
            let place = place(thread, instr.arg(1)?)?;
            thread.store(op, place, bytes, value(thread, instr.arg(0)?)?)?;
        }
        "fence" => thread.event(&format!("fence {}", instr.args.join(",")), 0, 0, What::Fence),
        "lr" => {
            let place = place(thread, instr.arg(1)?)?;
            let value = thread.read(place, bytes)?;
            thread.wrote(op, place, bytes, What::Reserve(value))?;
            set(thread, instr.arg(0)?, sign_extend(value, bytes));
        }
        "sc" => {
            let (new, place) = (value(thread, instr.arg(1)?)?, place(thread, instr.arg(2)?)?);
            thread.wrote(op, place, bytes, What::Conditional(truncate(new, bytes)))?;
            // One that fails is followed by another try: that path is another's.
            set(thread, instr.arg(0)?, 0);
        }
        kind if kind.starts_with("amo") => {
            let (operand, place) =
                (truncate(value(thread, instr.arg(1)?)?, bytes), place(thread, instr.arg(2)?)?);
            let shown = instr.arg(0)? != "zero";
            let old = if !shown && kind == "amoswap" { 0 } else { thread.read(place, bytes)? };
            let new = match kind {
                "amoswap" => operand,
                "amoor" => old | operand,
                "amoand" => old & operand,
                "amoadd" => old.wrapping_add(operand),
                _ => return Ok(false),
            };
            let new = truncate(new, bytes);
            thread.wrote(op, place, bytes, What::Modify { old, new, operand, shown })?;
            set(thread, instr.arg(0)?, sign_extend(old, bytes));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn arithmetic(thread: &mut Thread<'_>, instr: &Instr) -> Result<bool> {
    let into = instr.arg(0)?;
    let operand = |at: usize| value(thread, instr.arg(at)?);
    // The short forms are 32 bits, extended by their sign.
    let short = |value: u64| sign_extend(value, 4);
    let result = match instr.op.as_str() {
        "li" | "mv" => operand(1)?,
        "lui" => short(operand(1)? << 12),
        "sext.w" => short(operand(1)?),
        "zext.b" => operand(1)? & 0xff,
        "not" => !operand(1)?,
        "neg" => operand(1)?.wrapping_neg(),
        "negw" => short(operand(1)?.wrapping_neg()),
        "seqz" => u64::from(operand(1)? == 0),
        "snez" => u64::from(operand(1)? != 0),
        "sltu" | "sltiu" => u64::from(operand(1)? < operand(2)?),
        "slt" | "slti" => u64::from((operand(1)? as i64) < operand(2)? as i64),
        "add" | "addi" => operand(1)?.wrapping_add(operand(2)?),
        "addw" | "addiw" => short(operand(1)?.wrapping_add(operand(2)?)),
        "sub" => operand(1)?.wrapping_sub(operand(2)?),
        "subw" => short(operand(1)?.wrapping_sub(operand(2)?)),
        "and" | "andi" => operand(1)? & operand(2)?,
        "or" | "ori" => operand(1)? | operand(2)?,
        "xor" | "xori" => operand(1)? ^ operand(2)?,
        "sll" | "slli" => operand(1)? << (operand(2)? & 63),
        "srl" | "srli" => operand(1)? >> (operand(2)? & 63),
        "srai" => (operand(1)? as i64 >> operand(2)?) as u64,
        "sllw" | "slliw" => short(operand(1)? << (operand(2)? & 31)),
        "srlw" | "srliw" => short(truncate(operand(1)?, 4) >> (operand(2)? & 31)),
        _ => return Ok(false),
    };
    set(thread, into, result);
    Ok(true)
}

impl Machine for RiscV {
    fn herd(&self) -> (&'static str, &'static str) {
        ("RISCV", "riscv.cat")
    }

    fn registers(&self) -> Vec<String> {
        (5..20).map(|at| format!("x{at}")).collect()
    }

    fn address(&self, at: usize) -> Option<String> {
        Some(format!("x{}", 20 + at))
    }

    fn write(&self, event: &Event, place: &str, constants: &mut Constants) -> Result<Vec<String>> {
        let op = event.op.replace(".aqrl", ".aq.rl");
        Ok(vec![match event.what {
            What::Fence => op,
            What::Load(value) => format!("{op} {},0({place})", constants.reads(value)?),
            What::Reserve(value) => format!("{op} {},0({place})", constants.reads(value)?),
            What::Store(value) => format!("{op} {},0({place})", constants.holds(value)?),
            What::Conditional(value) => {
                format!("{op} {},{},0({place})", constants.reads(0)?, constants.holds(value)?)
            }
            What::Modify { old, operand, shown, .. } => {
                let into = if shown { constants.reads(old)? } else { constants.fresh()? };
                format!("{op} {into},{},({place})", constants.holds(operand)?)
            }
            What::Fail { .. } => bail!("this machine has no compare-and-swap"),
        }])
    }
}
