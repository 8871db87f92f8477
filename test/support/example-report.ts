/** A StatusReport as a busy mount gives it, for tests of how it travels and how it looks. */
import type { StatusReport } from '../../src/observability/status-report.js';

const GIB = 1024 ** 3;

export function exampleReport(changes: Partial<StatusReport> = {}): StatusReport {
  return {
    schema: 1,
    version: '0.1.0',
    pid: 4242,
    mountpoint: '/mnt/models',
    source: 's3://models/llama/',
    endpoint: 'http://127.0.0.1:9000',
    startedAt: '2026-01-02T03:04:05.678Z',
    uptimeMs: 3 * 3_600_000 + 120_000,
    logFile: '/var/log/sluice.log',
    driver: {
      name: 'native',
      readBytesMax: 1024 ** 2,
      passthrough: true,
      versionsApart: true,
      protocol: '7.41',
      features: ['async-read', 'passthrough'],
      threads: 2,
      readRequests: 130,
      handlesCached: 2,
      handlesPassthrough: 1,
      requestsWaiting: 0,
      oldestRequestMs: 0,
    },
    stores: [
      {
        id: 's1',
        key: 'llama/idle.bin',
        etag: '"a"',
        size: GIB,
        state: 'complete',
        contiguousBytes: GIB,
        arrivedBytes: GIB,
        handles: 0,
        readsWaiting: 0,
        partsInFlight: 0,
      },
      {
        id: 's12',
        key: 'llama/8b.gguf',
        etag: '"b"',
        size: GIB,
        state: 'filling',
        contiguousBytes: GIB / 4,
        arrivedBytes: 0.46 * GIB,
        handles: 2,
        readsWaiting: 1,
        partsInFlight: 4,
      },
    ],
    storesOmitted: 0,
    readsInFlight: [
      {
        id: 'r7',
        storeId: 's12',
        key: 'llama/8b.gguf',
        offset: 1_048_576,
        length: 65_536,
        ageMs: 2300,
        waitingFor: { start: 1_048_576, end: 1_114_112 },
      },
    ],
    totals: {
      reads: 123,
      readErrors: 1,
      bytesRead: 1.5 * GIB,
      partRequests: 140,
      bytesFetched: 1.25 * GIB,
      partRetries: 2,
      controlRequests: 9,
    },
    rates: { bytesReadPerSecond: 12 * 1024 ** 2, bytesFetchedPerSecond: 15 * 1024 ** 2 },
    cache: { directory: '/c', bytes: GIB, bytesMax: 20 * GIB, storesOpen: 1, storesIdle: 3 },
    filesystem: { nodes: 10, handles: 2, directoriesListed: 1, keysHidden: 0 },
    memory: { residentBytes: 100 * 1024 ** 2, heapBytes: 50 * 1024 ** 2 },
    ...changes,
  };
}
