/**
 * Why Sluice is not ahead where it is not: one text for each row or bar, keyed by the name of the benchmark and its title.
 * docs/PERFORMANCE.md has them where they are needed, so that they outlive a rerun; what is ahead again needs none.
 */
export const REASONS: Readonly<Record<string, string>> = {
  'cold: read: time ÷ curl':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
  'wan: mmap: speed ÷ 1 curl':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
  'shards: speed ÷ 16 curls':
    'on two cores the processor is the limit; bytes pass through the page cache twice (local copy and mount), those of curl once',
  'streams: speed ÷ 16 curls':
    'as for the shards: 2 GiB of local copies and 2 GiB of the mount’s page cache, both memory that is touched for the first time',
  'first: a name stat’ed before':
    'the first read of a mount runs code that was rehearsed a few times only; waking the reader takes 0.6 to 0.9 ms more',
  'random: random 256 KiB, aligned: p50, round trips':
    'the server’s own timer ends a round trip of 20 ms after about 21; the rest is waking the threads',
  'random: random 256 KiB, not aligned: p50, round trips':
    'the server’s own timer ends a round trip of 20 ms after about 21; the rest is waking the threads',
  'random: 256 KiB, two sequences on one handle, 1 ×: fetched ÷ read':
    'the kernel reads up to 1 MiB ahead of each sequence, and asks for 1.28 times what these 5 MiB are; hardly more is fetched',
  'random: 256 KiB, two sequences on one handle, 16 ×: fetched ÷ read':
    'the kernel reads up to 1 MiB ahead of each sequence, and asks for 1.5 times what these 3 MiB are; hardly more is fetched',
  'demand: p99 of 64 KiB on demand':
    'eight streams at full speed keep both cores busy, the server’s answers included',
  'loader: one process: time ÷ 16 curls':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
  'loader: one process, four threads: time ÷ 16 curls':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
  'loader: four processes: time ÷ 16 curls':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
};
