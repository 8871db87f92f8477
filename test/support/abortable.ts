/** Waiting that an abort ends, for the object stores of the tests. */

/** Waits for `gate`; true once it resolved, false when `signal` aborted first (or before). */
export async function resolvedBeforeAbort(gate: Promise<void> | void, signal: AbortSignal): Promise<boolean> {
  if (!gate || signal.aborted) return !signal.aborted;
  let onAbort = () => {};
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve;
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([gate, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
  return !signal.aborted;
}
