import t from 'tap';
import { demandBytesMin, prefetchWindowBytes, ReadStreams } from '../../src/download/read-streams.js';
import type { ReadStream } from '../../src/download/read-streams.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const read = (start: number, length: number) => ({ start, end: start + length });
/** Reads that find nothing there. */
const readMissing = (streams: ReadStreams, start: number, length: number) => {
  streams.observe(read(start, length));
  streams.waited();
};

t.test('reads in order make one stream, slightly out of order too', async (t) => {
  const streams = new ReadStreams();
  for (const at of [0, 128, 384, 256, 512]) streams.observe(read(at * KIB, 128 * KIB));
  t.equal(streams.streams.length, 1);
  t.match(
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

t.test('who reads on in order and then here and there is not read ahead of any more', async (t) => {
  const streams = new ReadStreams();
  readMissing(streams, 0, MIB);
  t.ok(prefetchWindowBytes(streams.streams[0]!, 64 * MIB) > 0);
  for (let at = 2; at < 5; at += 1) streams.observe(read(at * MIB, 256 * KIB));
  t.equal(prefetchWindowBytes(streams.streams[0]!, 64 * MIB), 0);
});

t.test('requests that come back for what was left out keep the run', async (t) => {
  const streams = new ReadStreams();
  readMissing(streams, 0, 2 * MIB);
  for (let at = 2; at < 20; at += 2) for (const late of [1, 0]) streams.observe(read((at + late) * MIB, MIB));
  t.equal(streams.streams.length, 1);
  t.ok(prefetchWindowBytes(streams.streams[0]!, 64 * MIB) > 0);
});

t.test('reading with gaps is not reading in order', async (t) => {
  const streams = new ReadStreams();
  for (let index = 0; index < 100; index += 1) streams.observe(read(index * 256 * KIB, 4 * KIB));
  t.equal(streams.longestRunBytes, 4 * KIB);
});

t.test('requests of 1 MiB that change places stay in their stream', async (t) => {
  const streams = new ReadStreams();
  for (const at of [0, 1, 3, 2, 4, 5]) streams.observe(read(at * MIB, MIB));
  t.equal(streams.streams.length, 1);
  t.match(streams.streams[0], { position: 6 * MIB, runBytes: 4 * MIB, fromHead: true });
});

t.test('reading a third, with gaps of twice that, is not reading in order', async (t) => {
  const streams = new ReadStreams();
  for (let index = 0; index < 100; index += 1) streams.observe(read(index * 192 * KIB, 64 * KIB));
  t.equal(streams.longestRunBytes, 64 * KIB);
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

const stream = (runBytes: number, more: Partial<ReadStream> = {}): ReadStream => ({
  position: 0,
  runBytes,
  fromHead: false,
  waitedRunBytes: runBytes,
  lastBytes: 256 * KIB,
  isAlone: true,
  isNear: false,
  ...more,
});

t.test('the window is nothing for what may be one random read of 1 MiB, aligned or not', async (t) => {
  const window = (runBytes: number) => prefetchWindowBytes(stream(runBytes), 128 * MIB);
  t.equal(window(MIB), 0);
  t.equal(window(MIB + 128 * KIB), 0);
  t.equal(window(MIB + 256 * KIB), MIB + 256 * KIB);
  t.equal(window(8 * MIB), 64 * MIB, 'a long run widens it faster');
  t.equal(window(1024 * MIB), 128 * MIB, 'up to its limit');
});

t.test('of one of several sequences little is fetched ahead, until it is long', async (t) => {
  const window = (runBytes: number) => prefetchWindowBytes(stream(runBytes, { isAlone: false }), 128 * MIB);
  t.equal(window(2 * MIB), 0);
  t.equal(window(5 * MIB), MIB - 256 * KIB, 'with what the kernel asked for ahead a fifth of the run');
  t.equal(window(8 * MIB), 8 * MIB);
  t.equal(window(16 * MIB), 32 * MIB);
  t.equal(window(64 * MIB), 128 * MIB);
});

t.test('a window is as wide as it had to be when its reader last waited', async (t) => {
  const streams = new ReadStreams();
  const window = () => prefetchWindowBytes(streams.streams[0]!, 128 * MIB);
  readMissing(streams, 0, MIB);
  t.equal(window(), 8 * MIB);
  for (let at = 1; at < 8; at += 1) streams.observe(read(at * MIB, MIB));
  t.equal(window(), 8 * MIB, 'all was there in time');
  readMissing(streams, 8 * MIB, MIB);
  t.equal(window(), 72 * MIB);
});

t.test('whoever reads on from the head has a window at once', async (t) => {
  const window = (runBytes: number) => prefetchWindowBytes(stream(runBytes, { fromHead: true }), 128 * MIB);
  t.equal(window(128 * KIB), 0, 'not for a look at the header');
  t.equal(window(512 * KIB), MIB, 'little for a longer look');
  t.equal(window(MIB), 8 * MIB);
});

t.test('a sequence from the head is one of several when others are read meanwhile', async (t) => {
  const streams = new ReadStreams();
  const window = () => prefetchWindowBytes(streams.streams[0]!, 128 * MIB);
  readMissing(streams, 0, 2 * MIB);
  t.equal(streams.streams[0]?.isAlone, true);
  readMissing(streams, 500 * MIB, 2 * MIB);
  t.same(
    streams.streams.map(({ isAlone }) => isAlone),
    [false, false],
  );
  readMissing(streams, 2 * MIB, MIB);
  t.equal(window(), 0);
  for (let at = 3; at < 20; at += 1) readMissing(streams, at * MIB, MIB);
  t.equal(streams.streams[0]?.isAlone, true, 'until they are little of what was read');
});

t.test('a demand asks for what is wanted, and for more the longer the run', async (t) => {
  t.equal(demandBytesMin(0, stream(0), false), MIB, 'the head of a file');
  t.equal(demandBytesMin(MIB, stream(4 * KIB), true), 0, 'a random read');
  t.equal(
    demandBytesMin(MIB, stream(4 * KIB, { isNear: true }), true),
    64 * KIB,
    'one near to the one before',
  );
  t.equal(demandBytesMin(MIB, stream(384 * KIB), true), 512 * KIB);
  t.equal(demandBytesMin(MIB, stream(384 * KIB), false), 0, 'the second half of one random read');
  t.equal(demandBytesMin(MIB, stream(2 * MIB), false), MIB);
});

t.test('what several streams read counts together, without their beginnings', async (t) => {
  const streams = new ReadStreams();
  for (let index = 0; index < 50; index += 1) streams.observe(read(index * 100 * MIB, 4 * MIB));
  t.equal(streams.loadedBytes, 0, 'random reads of 4 MiB are none');
  t.equal(streams.loading, 0);
  for (let at = 4; at < 8; at += 1) {
    streams.observe(read(at * MIB, MIB));
    streams.observe(read(100 * MIB + at * MIB, MIB));
  }
  t.equal(streams.loadedBytes, 8 * MIB);
  t.equal(streams.loading, 2);
});

t.test('reset forgets everything', async (t) => {
  const streams = new ReadStreams();
  streams.observe(read(0, 40 * MIB));
  streams.reset();
  t.same(streams.streams, []);
  t.equal(streams.longestRunBytes, 0);
});
