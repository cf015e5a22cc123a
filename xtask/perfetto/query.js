// Asks Perfetto's own trace processor about a trace: `node query.js ENGINE TRACE QUERY...` prints, for each query, a line of
// JSON: its rows, each an object. ENGINE is the folder of the engine of Perfetto's page: `engine_bundle.js`, which is made for
// a web worker, and its `.wasm` files. They talk in messages of protobuf; the few fields that are needed are written and read
// here by hand (protos/perfetto/trace_processor/trace_processor.proto).
"use strict";
const fs = require("fs");
const path = require("path");

const [engine, trace, ...queries] = process.argv.slice(2);

// What a web worker has and node has not. Files are read from the engine's folder.
const read = (url) => fs.readFileSync(path.join(engine, path.basename(String(url))));
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = class {};
globalThis.location = { href: "http://localhost/" };
globalThis.XMLHttpRequest = class {
  open(_method, url) { this.url = url; }
  send() { this.response = read(this.url); }
};
globalThis.fetch = async (url) => new Response(read(url), { headers: { "content-type": "application/wasm" } });
// Its own messages are no answers.
console.warn = () => {};

// Fields of protobuf: varints, and bytes with their length.
const varint = (number) => {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128);
  return Buffer.from([...bytes, number]);
};
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);

// Calls `visit(field, value)`; a value is a BigInt or bytes.
function fields(buffer, visit) {
  let at = 0;
  const next = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = buffer[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length) => buffer.subarray(at, (at += length));
  while (at < buffer.length) {
    const key = Number(next());
    const value = key % 8 === 0 ? next() : take(key % 8 === 2 ? Number(next()) : key % 8 === 1 ? 8 : 4);
    visit(key >> 3, value);
  }
}
const numbers = (packed) => {
  const all = [];
  let [value, shift] = [0n, 0n];
  for (const byte of packed) {
    value |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte < 128) {
      all.push(BigInt.asIntN(64, value));
      [value, shift] = [0n, 0n];
    }
  }
  return all;
};

const APPEND = 1, FINALIZE = 2, QUERY = 3;
// Cells, by kind.
const NULL = 1, VARINT = 2, FLOAT = 3, STRING = 4;

let told = () => {};
const port = { postMessage: (message) => told(Buffer.from(message)) };
let sequence = 0;

// Sends a request; `visit` sees the fields of each answer, and returns whether it was the last.
function ask(method, args, visit) {
  return new Promise((resolve, reject) => {
    told = (stream) => fields(stream, (_, message) => {
      let isLast = true;
      fields(message, (field, value) => {
        if (field === 5) reject(new Error(value.toString()));
        if (field > 200) isLast = visit(value);
      });
      if (isLast) resolve();
    });
    const request = Buffer.concat([number(1, ++sequence), number(2, method), args]);
    port.onmessage({ data: new Uint8Array(bytes(1, request)) });
  });
}

async function query(sql) {
  const names = [], cells = [];
  await ask(QUERY, bytes(103, bytes(1, Buffer.from(sql))), (result) => {
    let isLast = false;
    fields(result, (field, value) => {
      if (field === 1) names.push(value.toString());
      if (field === 2 && value.length > 0) throw new Error(`${sql}: ${value}`);
      if (field !== 3) return;
      let [kinds, ints, floats, strings] = [[], [], [], []];
      fields(value, (part, content) => {
        if (part === 1) kinds = numbers(content).map(Number);
        if (part === 2) ints = numbers(content);
        if (part === 3) for (let at = 0; at < content.length; at += 8) floats.push(content.readDoubleLE(at));
        if (part === 5) strings = content.toString().split("\0");
        if (part === 6) isLast = content !== 0n;
      });
      for (const kind of kinds) {
        if (kind === NULL) cells.push(null);
        else if (kind === VARINT) cells.push(Number(ints.shift()));
        else if (kind === FLOAT) cells.push(floats.shift());
        else if (kind === STRING) cells.push(strings.shift());
        else throw new Error(`a cell of kind ${kind}`);
      }
    });
    return isLast;
  });
  const rows = [];
  for (let at = 0; at < cells.length; at += names.length) {
    rows.push(Object.fromEntries(names.map((name, column) => [name, cells[at + column]])));
  }
  return rows;
}

async function main() {
  // It refuses to run where it finds node.
  new Function("process", read("engine_bundle.js").toString())(undefined);
  globalThis.onmessage({ data: port });
  // It takes its memory when those who wait for it have had their turn, and tells nobody.
  await new Promise((resolve) => setImmediate(resolve));
  await ask(APPEND, bytes(101, fs.readFileSync(trace)), () => true);
  await ask(FINALIZE, Buffer.alloc(0), () => true);
  for (const sql of queries) console.log(JSON.stringify(await query(sql)));
}

// Not `process.exit`, which loses what a pipe has not taken yet.
main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
