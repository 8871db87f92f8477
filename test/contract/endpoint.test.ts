/**
 * The contract of object stores, kept by the S3 store on a server of your choice (a MinIO, a Ceph, AWS itself):
 *
 *     SLUICE_CONTRACT_ENDPOINT=http://… SLUICE_CONTRACT_BUCKET=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
 *       SLUICE_CONTRACT_EXCEPTIONS=empty-segments,dot-segments node dist/test/contract/endpoint.test.js
 *
 * The bucket must exist; the suite writes below `contract-…/` and leaves some objects there. The exceptions are those
 * of contract-target.ts; known ones: MinIO empty-segments, dot-segments, long-segments, object-beside-prefix.
 */
import t from 'tap';
import { createS3ObjectStore } from '../../src/object-store/s3-object-store.js';
import { silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/runtime/clock.js';
import { storeOptions } from '../support/s3-fixture.js';
import { S3Writer } from '../support/s3-writer.js';
import type { ContractException, ContractTarget } from './contract-target.js';
import { objectStoreContract } from './object-store-contract.js';

const endpointUrl = process.env['SLUICE_CONTRACT_ENDPOINT'];
const bucket = process.env['SLUICE_CONTRACT_BUCKET'];

if (endpointUrl && bucket) {
  const exceptions = (process.env['SLUICE_CONTRACT_EXCEPTIONS'] ?? '').split(',').filter(Boolean);
  const openTarget = async (lendsFiles: boolean): Promise<ContractTarget> => {
    const writer = new S3Writer({ endpointUrl, bucket });
    const options = { ...storeOptions(endpointUrl), bucket };
    const store = await createS3ObjectStore(options, { logger: silentLogger, clock: systemClock });
    return {
      store,
      lendsFiles,
      put: (key, bytes, checksum) => writer.put(key, bytes, checksum),
      putParts: (key, parts) => writer.putParts(key, parts),
      delete: (key) => writer.delete(key),
      exceptions: exceptions as ContractException[],
      dispose: async () => {
        store.close();
        writer.close();
      },
    };
  };
  for (const lendsFiles of [false, true]) {
    await t.test(lendsFiles ? 'sockets' : 'the SDK', async (t) => {
      await objectStoreContract(t, () => openTarget(lendsFiles));
    });
  }
} else {
  t.comment(
    'SKIPPED: the contract on another server: set SLUICE_CONTRACT_ENDPOINT and SLUICE_CONTRACT_BUCKET',
  );
  t.pass('not asked for', { skip: 'SLUICE_CONTRACT_ENDPOINT is not set' });
}
