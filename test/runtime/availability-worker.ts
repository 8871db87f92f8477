/** Threads that publish and clear in an availability that others use: what availability-clear.test.ts starts. */
import { isMainThread, workerData } from 'node:worker_threads';
import { Availability } from '../../src/runtime/availability.js';

const PAGE = 4096;

/** Publishes the first page in each round, between two meetings with the thread that clears another one. */
export interface ClearingRounds {
  readonly memory: Uint8Array;
  readonly meetings: Int32Array;
  readonly rounds: number;
}

/** Publishes and clears at random. */
export interface RandomSteps {
  readonly memory: Uint8Array;
  readonly seed: number;
  readonly steps: number;
}

/** Goes on when `count` threads have come so far, in all: two at each meeting, both at once. */
export function meet(meetings: Int32Array, count: number): void {
  Atomics.add(meetings, 0, 1);
  while (Atomics.load(meetings, 0) < count);
}

function publishFirstPages({ memory, meetings, rounds }: ClearingRounds): void {
  const availability = Availability.attach(memory);
  for (let round = 0; round < rounds; round++) {
    meet(meetings, 4 * round + 2);
    availability.publish({ start: 0, end: PAGE });
    meet(meetings, 4 * round + 4);
  }
}

function stepAtRandom({ memory, seed, steps }: RandomSteps): void {
  const availability = Availability.attach(memory);
  const pages = Math.ceil(availability.size / PAGE);
  let state = seed;
  const below = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  for (let step = 0; step < steps; step++) {
    const page = below(3) === 0 ? 0 : below(pages);
    const end = Math.min((page + 1 + below(below(10) === 0 ? pages : 8)) * PAGE, availability.size);
    const range = { start: page * PAGE, end };
    if (below(2) === 0) availability.clear(range);
    else availability.publish(range);
  }
}

if (!isMainThread) {
  const task = workerData as ClearingRounds | RandomSteps;
  if ('rounds' in task) publishFirstPages(task);
  else stepAtRandom(task);
}
