import fc from 'fast-check';
import t from 'tap';
import {
  checksumAlgorithm,
  CHECKSUM_ALGORITHMS,
  combineParts,
  startChecksum,
} from '../../src/s3-server/checksums.js';
import type { ChecksumAlgorithm } from '../../src/s3-server/model.js';

async function checksum(algorithm: ChecksumAlgorithm, ...pieces: readonly Uint8Array[]): Promise<string> {
  const running = startChecksum(algorithm);
  for (const piece of pieces) running.update(piece);
  return running.digest();
}

t.test('the check value of each algorithm', async (t) => {
  const input = Buffer.from('123456789');
  const hex = async (algorithm: ChecksumAlgorithm) =>
    Buffer.from(await checksum(algorithm, input), 'base64').toString('hex');
  // From the catalogue of parametrised CRC algorithms, and FIPS 180.
  t.equal(await hex('CRC32'), 'cbf43926');
  t.equal(await hex('CRC32C'), 'e3069283');
  t.equal(await hex('CRC64NVME'), 'ae8b14860a799888');
  t.equal(await hex('SHA1'), 'f7c3bc1d808e04732adf679965ccc34ca7ae3441');
  t.equal(await hex('SHA256'), '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225');
});

t.test('a checksum does not depend on how the bytes are cut', async (t) => {
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const whole = await checksum(algorithm, Buffer.from('abcdef'));
    t.equal(
      await checksum(algorithm, Buffer.from('ab'), Buffer.alloc(0), Buffer.from('cdef')),
      whole,
      algorithm,
    );
  }
});

t.test('the CRCs of parts combine to the CRC of the whole', async () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('CRC32', 'CRC32C', 'CRC64NVME'), parts, async (algorithm, parts) => {
      const described = await Promise.all(
        parts.map(async (part) => ({ sizeBytes: part.length, checksum: await checksum(algorithm, part) })),
      );
      const combined = await combineParts(algorithm, 'FULL_OBJECT', described);
      return combined?.value === (await checksum(algorithm, ...parts));
    }),
  );
});

t.test('a composite checksum is that of the parts’ checksums and names their number', async (t) => {
  const parts = await Promise.all(
    ['a', 'b'].map(async (text) => ({ sizeBytes: 1, checksum: await checksum('SHA256', Buffer.from(text)) })),
  );
  const inner = await checksum('SHA256', ...parts.map((part) => Buffer.from(part.checksum, 'base64')));
  t.same(await combineParts('SHA256', 'COMPOSITE', parts), {
    algorithm: 'SHA256',
    type: 'COMPOSITE',
    value: `${inner}-2`,
  });
  t.equal(await combineParts('SHA256', 'COMPOSITE', [{ sizeBytes: 1 }]), undefined, 'a part without one');
  t.equal(await combineParts('SHA256', 'FULL_OBJECT', parts), undefined, 'hashes do not combine');
});

t.test('algorithms are known in any case', async (t) => {
  t.equal(checksumAlgorithm('crc64nvme'), 'CRC64NVME');
  t.equal(checksumAlgorithm('md5'), undefined);
});
