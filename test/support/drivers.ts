/** Every promise that both drivers keep is tested on both. */
import t from 'tap';
import type { Test } from 'tap';

export const DRIVERS = ['native', 'portable'] as const;

export type DriverName = (typeof DRIVERS)[number];

/** A top-level test that runs once for each driver. */
export function onEachDriver(
  title: string,
  run: (t: Test, driver: DriverName) => Promise<void>,
  options: { readonly skip?: string } = {},
): void {
  for (const driver of DRIVERS) void t.test(`${title} (${driver})`, options, (t) => run(t, driver));
}
