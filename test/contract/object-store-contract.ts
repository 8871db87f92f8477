/**
 * What every `ObjectStore` does alike: one suite for the store in memory, the S3 store on the embedded server, and
 * the S3 store on any endpoint. What a server cannot do is declared (`ContractException`), and the suite then checks
 * that it does not: an exception that no longer holds fails, so none is forgotten.
 */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import type { ContractTarget } from './contract-target.js';
import { checksumTests } from './checksum-contract.js';
import { endTests, fetchTests } from './fetch-contract.js';
import { headTests, listingTests } from './listing-contract.js';
import { oddKeyTests } from './odd-keys-contract.js';

/** Runs the suite; `open` is called for each test and its target disposed of after it. */
export async function objectStoreContract(t: Test, open: () => Promise<ContractTarget>): Promise<void> {
  const tests = {
    ...listingTests,
    ...oddKeyTests(),
    ...headTests,
    ...checksumTests,
    ...fetchTests,
    ...endTests,
  };
  for (const [title, run] of Object.entries(tests)) {
    await t.test(title, async (t) => {
      const target = await open();
      t.teardown(() => target.dispose());
      await run(t, target, `contract-${randomBytes(6).toString('hex')}/`);
    });
  }
}
