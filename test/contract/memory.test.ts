/** The contract of object stores, kept by the one in memory that tests of upper layers use. */
import t from 'tap';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { objectStoreContract } from './object-store-contract.js';

await objectStoreContract(t, async () => {
  const store = new MemoryObjectStore();
  return {
    store,
    put: async (key, bytes, checksum) => void store.put(key, bytes, { checksum }),
    putParts: async (key, parts) => void store.put(key, Buffer.concat(parts)),
    delete: async (key) => store.delete(key),
    exceptions: [],
    dispose: async () => store.close(),
  };
});
