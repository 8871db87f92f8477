/** The contract of object stores, kept by the S3 store on the embedded server, on both of its transports. */
import t from 'tap';
import { DEFAULT_CREDENTIALS } from '../../src/s3-server/server.js';
import { BUCKET, useServer, useServerCredentials, useStore } from '../support/s3-fixture.js';
import { S3Writer } from '../support/s3-writer.js';
import type { ContractTarget } from './contract-target.js';
import { objectStoreContract } from './object-store-contract.js';

useServerCredentials(t);
const server = await useServer(t);

for (const lendsFiles of [false, true]) {
  await t.test(lendsFiles ? 'sockets' : 'the SDK', async (t) => {
    await objectStoreContract(t, () => openTarget(lendsFiles));
  });
}

async function openTarget(lendsFiles: boolean): Promise<ContractTarget> {
  const credentials = DEFAULT_CREDENTIALS;
  const writer = new S3Writer({ endpointUrl: server.endpoint, bucket: BUCKET, credentials });
  return {
    store: await useStore(t, server),
    lendsFiles,
    put: (key, bytes, checksum) => writer.put(key, bytes, checksum),
    putParts: (key, parts) => writer.putParts(key, parts),
    delete: (key) => writer.delete(key),
    exceptions: [],
    dispose: async () => writer.close(),
  };
}
