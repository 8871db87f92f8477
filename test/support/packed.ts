/** Bytes written by hand, field after field, little endian: what the kernel's and the addon's headers lay out. */
type Field = readonly ['u16' | 'u32' | 'u64' | 'f64', number] | Uint8Array;

export function packed(...fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(bytesOf));
}

function bytesOf(field: Field): Uint8Array {
  if (field instanceof Uint8Array) return field;
  const [type, value] = field;
  const bytes = Buffer.alloc({ u16: 2, u32: 4, u64: 8, f64: 8 }[type]);
  if (type === 'u16') bytes.writeUInt16LE(value);
  else if (type === 'u32') bytes.writeUInt32LE(value);
  else if (type === 'u64') bytes.writeBigInt64LE(BigInt(value));
  else bytes.writeDoubleLE(value);
  return bytes;
}

/** A record of the addon: its length, its kind and what follows, up to the next multiple of 8. */
export function record(kind: number, ...fields: readonly Field[]): Buffer {
  const body = packed(...fields);
  const bytes = 8 + Math.ceil(body.length / 8) * 8;
  return packed(['u32', bytes], ['u32', kind], body, Buffer.alloc(bytes - 8 - body.length));
}

/** A REQUEST record. */
export function requestRecord(slot: number, opcode: number, node: number, body: Uint8Array): Buffer {
  const caller = [
    ['u32', 1],
    ['u32', 2],
    ['u32', 3],
  ] as const;
  return record(1, ['u32', slot], ['u32', opcode], ['u64', node], ...caller, ['u32', body.length], body);
}
