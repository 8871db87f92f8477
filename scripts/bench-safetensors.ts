/**
 * The head of a safetensors file as checkpoints have them: a length, then JSON that names tensors with type, shape and
 * place, in the order of their names and of their bytes; here, layers of a small language model until the file is full.
 */
import { MIB } from './bench-support.js';

interface Tensor {
  readonly name: string;
  readonly bytes: number;
}

/** Places and sizes of tensors are multiples of it. */
const ALIGNMENT = 8;
const LENGTH_BYTES = 8;
const HEADER_BYTES = 8192;

/** What each layer has; the proportions of a model of a billion parameters. */
const LAYER: readonly Tensor[] = [
  { name: 'input_layernorm.weight', bytes: 4096 },
  { name: 'mlp.down_proj.weight', bytes: 11 * MIB },
  { name: 'mlp.gate_proj.weight', bytes: 11 * MIB },
  { name: 'mlp.up_proj.weight', bytes: 11 * MIB },
  { name: 'post_attention_layernorm.weight', bytes: 4096 },
  { name: 'self_attn.k_proj.weight', bytes: MIB },
  { name: 'self_attn.o_proj.weight', bytes: 4 * MIB },
  { name: 'self_attn.q_proj.weight', bytes: 4 * MIB },
  { name: 'self_attn.v_proj.weight', bytes: MIB },
];
/** A file of this size has tensors of these sizes; in a smaller one they are smaller in proportion. */
const FULL_BYTES = 256 * MIB;

/** The bytes in front of the data of a file of `size` bytes. */
export function safetensorsHeader(size: number): Buffer {
  const entries: Record<string, object> = { __metadata__: { format: 'pt' } };
  let at = 0;
  for (const { name, bytes } of tensors(size - HEADER_BYTES, Math.min(1, size / FULL_BYTES))) {
    entries[name] = { dtype: 'F16', shape: [bytes / 2], data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const json = JSON.stringify(entries);
  if (json.length > HEADER_BYTES - LENGTH_BYTES) throw new Error(`${json.length} bytes of header do not fit`);
  // Loaders accept spaces at its end.
  const header = Buffer.alloc(HEADER_BYTES, ' ');
  header.writeBigUInt64LE(BigInt(HEADER_BYTES - LENGTH_BYTES));
  header.write(json, LENGTH_BYTES, 'latin1');
  return header;
}

/** As many as fill `bytes` to the last one. */
function tensors(bytes: number, scale: number): Tensor[] {
  const list: Tensor[] = [];
  let left = bytes;
  for (let layer = 0; left > 0; layer += 1) {
    for (const tensor of LAYER) {
      const length = Math.min(left, Math.ceil((tensor.bytes * scale) / ALIGNMENT) * ALIGNMENT);
      if (length === 0) break;
      list.push({ name: `model.layers.${layer}.${tensor.name}`, bytes: length });
      left -= length;
    }
  }
  return list;
}
