/**
 * Why Sluice is not ahead where it is not: one text for each row or bar, keyed by the name of the benchmark and its title.
 * docs/PERFORMANCE.md has them where they are needed, so that they outlive a rerun; what is ahead again needs none.
 */
export const REASONS: Readonly<Record<string, string>> = {
  'cold: read: time ÷ curl':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
  'cold: read: daemon CPU, s/GiB':
    'copying out of sockets and into the page cache is the kernel’s, and takes longer where memory is touched for the first time',
  'wan: read: speed ÷ 1 curl':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; sixteen curls are as far from it',
  'wan: mmap: speed ÷ 1 curl':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
  'shards: speed ÷ 16 curls':
    'on two cores the processor is the limit; bytes pass through the page cache twice (local copy and mount), those of curl once',
  'streams: speed ÷ 16 curls':
    'as for the shards: 2 GiB of local copies and 2 GiB of the mount’s page cache, both memory that is touched for the first time',
  'streams: the slowest ÷ the fastest':
    'the network is no limit for what is fetched this fast; which thread the two cores serve last is chance',
  'first: a name stat’ed before':
    'the server takes about 1 ms of its own; the rest is hearing of the open, sending, and waking the reader, in code that has run a few times only',
  'random: random 256 KiB, aligned: p50, round trips':
    'the server takes about 1 ms of its own; the rest is waking the threads',
  'random: random 256 KiB, not aligned: p50, round trips':
    'the server takes about 1 ms of its own; the rest is waking the threads',
  'random: 256 KiB, two sequences on one handle, 1 ×: fetched ÷ read':
    'the kernel reads up to 1 MiB ahead of each sequence, and asks for 1.28 times what these 5 MiB are; hardly more is fetched',
  'random: 256 KiB, two sequences on one handle, 16 ×: fetched ÷ read':
    'the kernel reads up to 1 MiB ahead of each sequence, and asks for 1.5 times what these 3 MiB are; hardly more is fetched',
  'demand: p50 of 64 KiB on demand':
    'against s3fs: it has fetched most of the object after a few reads, 5.6 times what the streams and the reads are',
  'demand: p99 of 64 KiB on demand':
    'eight streams at full speed keep both cores busy, the server’s answers included',
  'loader: one process: time ÷ 16 curls':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
  'loader: one process, four threads: time ÷ 16 curls':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
  'loader: four processes: time ÷ 16 curls':
    'two cores carry server, daemon and reader: the processor is the limit, not the network; another machine or a quieter one is needed to tell',
};
