/**
 * Keeps the event loop of a process busy for 80 of each 100 ms, as a daemon's would be that parses a huge listing. The
 * benchmark has a daemon load it (NODE_OPTIONS=--import=…), switches it on and off by SIGUSR2, and makes sure of the
 * result by the CPU time of the daemon's main thread.
 */
import { isMainThread } from 'node:worker_threads';

const BUSY_MS = 80;
const FREE_MS = 20;

let timer: NodeJS.Timeout | undefined;

function burn(): void {
  const endMs = performance.now() + BUSY_MS;
  while (performance.now() < endMs);
  timer = setTimeout(burn, FREE_MS);
}

// Worker threads of the daemon load it as well.
if (isMainThread) {
  process.on('SIGUSR2', () => {
    if (timer === undefined) return burn();
    clearTimeout(timer);
    timer = undefined;
  });
}
