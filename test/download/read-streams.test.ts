import t from 'tap';
import { demandBytesMin, prefetchWindowBytes, ReadStreams } from '../../src/download/read-streams.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const read = (start: number, length: number) => ({ start, end: start + length });

t.test('reads in order make one stream, slightly out of order too', async (t) => {
  const streams = new ReadStreams();
  for (const at of [0, 128, 384, 256, 512]) streams.observe(read(at * KIB, 128 * KIB));
  t.equal(streams.streams.length, 1);
  t.same(
    streams.streams[0],
    { position: 640 * KIB, runBytes: 512 * KIB },
    'the late one adds nothing to the run',
  );
});

t.test(
  'scattered reads are streams of their own; of 128 the shortest, oldest one is forgotten',
  async (t) => {
    const streams = new ReadStreams();
    streams.observe(read(5000 * MIB, MIB));
    for (let index = 0; index < 140; index += 1) streams.observe(read(index * 10 * MIB, 4 * KIB));
    t.equal(streams.streams.length, 128);
    t.equal(streams.streams[0]?.position, 1390 * MIB + 4 * KIB, 'the newest comes first');
    t.equal(streams.streams.at(-1)?.runBytes, MIB, 'the longest run is still there');
  },
);

t.test('reading with gaps is not reading in order', async (t) => {
  const streams = new ReadStreams();
  for (let index = 0; index < 100; index += 1) streams.observe(read(index * 256 * KIB, 4 * KIB));
  t.equal(streams.longestRunBytes, 4 * KIB);
});

t.test('two interleaved sequential readers are told apart', async (t) => {
  const streams = new ReadStreams();
  for (let at = 0; at < 4; at += 1) {
    streams.observe(read(at * MIB, MIB));
    streams.observe(read(500 * MIB + at * MIB, MIB));
  }
  t.same(
    streams.streams.map(({ runBytes }) => runBytes),
    [4 * MIB, 4 * MIB],
  );
});

t.test(
  'the window is nothing for what may be one random read, then twice the run, up to its limit',
  async (t) => {
    const window = (runBytes: number) => prefetchWindowBytes({ position: 0, runBytes }, 128 * MIB);
    t.equal(window(MIB), 0);
    t.equal(window(MIB + 128 * KIB), 2 * MIB + 256 * KIB);
    t.equal(window(16 * MIB), 32 * MIB);
    t.equal(window(1024 * MIB), 128 * MIB);
  },
);

t.test(
  'a demand asks for 1 MiB at the head of a file, for more the longer the run, and for 64 KiB elsewhere',
  async (t) => {
    const demand = (start: number, runBytes: number) => demandBytesMin(start, { position: start, runBytes });
    t.equal(demand(0, 0), MIB);
    t.equal(demand(MIB, 256 * KIB), 64 * KIB);
    t.equal(demand(MIB, 384 * KIB), 512 * KIB);
    t.equal(demand(MIB, 2 * MIB), MIB);
  },
);

t.test('reset forgets everything', async (t) => {
  const streams = new ReadStreams();
  streams.observe(read(0, 40 * MIB));
  streams.reset();
  t.same(streams.streams, []);
  t.equal(streams.longestRunBytes, 0);
});
