/**
 * Why Sluice is not ahead where it is not: one text for each row or bar, keyed by the name of the benchmark and its title.
 * docs/PERFORMANCE.md has them where they are needed, so that they outlive a rerun; what is ahead again needs none.
 */
export const REASONS: Readonly<Record<string, string>> = {};
