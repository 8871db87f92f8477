/**
 * The CRCs that S3 computes of whole objects, and how the CRCs of parts give that of the whole, without their bytes. A
 * leaf: of file/ (blocks of a local file) and of the embedded server (parts of an upload). Values are bigint, since
 * CRC64NVME does not fit a number.
 */
export type CrcKind = 'crc32' | 'crc32c' | 'crc64nvme';

interface Polynomial {
  /** Without its highest coefficient; the highest bit is the coefficient of x^0, as these CRCs take the lowest bit first. */
  readonly reflected: bigint;
  readonly bits: 32 | 64;
}

const POLYNOMIALS: Readonly<Record<CrcKind, Polynomial>> = {
  crc32: { reflected: 0xedb88320n, bits: 32 },
  crc32c: { reflected: 0x82f63b78n, bits: 32 },
  crc64nvme: { reflected: 0x9a6c9329ac4bc9b5n, bits: 64 },
};

/** The CRC of A‖B from the CRCs of A and B. */
export function combineCrcs(kind: CrcKind, crcA: bigint, crcB: bigint, lengthB: number): bigint {
  const polynomial = POLYNOMIALS[kind];
  return multiply(crcA, zeroBytes(lengthB, polynomial), polynomial) ^ crcB;
}

/**
 * Joins the CRCs of one piece after the other, all but the last of the same length: about 1 µs each, where `combineCrcs`
 * takes 400. What appending so many bytes does to a CRC is linear, so it is looked up for each byte of the CRC.
 */
export class CrcJoiner {
  readonly #kind: CrcKind;
  /** For byte k of the CRC (from the lowest) and each of its values, what it becomes. */
  readonly #moved: readonly (readonly bigint[])[];

  constructor(kind: CrcKind, lengthBytes: number) {
    this.#kind = kind;
    const polynomial = POLYNOMIALS[kind];
    // What each bit becomes, from the highest, which is x^0.
    const ofBits: bigint[] = [];
    for (let power = zeroBytes(lengthBytes, polynomial); ofBits.length < polynomial.bits;) {
      ofBits.unshift(power);
      power = timesX(power, polynomial);
    }
    this.#moved = Array.from({ length: polynomial.bits / 8 }, (_, byte) => {
      const table = [0n];
      for (const ofBit of ofBits.slice(byte * 8, byte * 8 + 8)) {
        table.push(...table.map((other) => other ^ ofBit));
      }
      return table;
    });
  }

  /** The CRC of `before` followed by one piece with the CRC `piece`, of the length that all have. */
  join(before: bigint, piece: bigint): bigint {
    let joined = piece;
    let rest = before;
    for (const table of this.#moved) {
      joined ^= table[Number(rest & 0xffn)] ?? 0n;
      rest >>= 8n;
    }
    return joined;
  }

  /** The same for a last piece of `lengthBytes`. */
  joinLast(before: bigint, piece: bigint, lengthBytes: number): bigint {
    return combineCrcs(this.#kind, before, piece, lengthBytes);
  }
}

/**
 * x^(8 × count) modulo the polynomial: what a CRC is multiplied by when so many bytes follow. Initial value and final
 * inversion cancel out, as in zlib's crc32_combine.
 */
function zeroBytes(count: number, polynomial: Polynomial): bigint {
  const one = 1n << BigInt(polynomial.bits - 1);
  let power = one >> 8n;
  let product = one;
  for (let remaining = count; remaining > 0; remaining = Math.floor(remaining / 2)) {
    if (remaining % 2 === 1) product = multiply(product, power, polynomial);
    power = multiply(power, power, polynomial);
  }
  return product;
}

function multiply(a: bigint, b: bigint, polynomial: Polynomial): bigint {
  let product = 0n;
  let factor = b;
  for (let bit = BigInt(polynomial.bits - 1); bit >= 0n; bit--) {
    if ((a >> bit) & 1n) product ^= factor;
    factor = timesX(factor, polynomial);
  }
  return product;
}

function timesX(value: bigint, { reflected }: Polynomial): bigint {
  return value & 1n ? (value >> 1n) ^ reflected : value >> 1n;
}
