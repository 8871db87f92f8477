import { setMaxListeners } from 'node:events';

/** An AbortController whose signal any number of operations may share without Node warning of a leak. */
export function createAborter(): AbortController {
  const aborter = new AbortController();
  setMaxListeners(0, aborter.signal);
  return aborter;
}
