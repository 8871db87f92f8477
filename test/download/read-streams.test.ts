import t from 'tap';
import { prefetchWindowBytes, ReadStreams } from '../../src/download/read-streams.js';

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

t.test('scattered reads are streams of their own, and at most 16 are remembered', async (t) => {
  const streams = new ReadStreams();
  for (let index = 0; index < 40; index += 1) streams.observe(read(index * 10 * MIB, 4 * KIB));
  t.equal(streams.streams.length, 16);
  t.equal(streams.longestRunBytes, 4 * KIB);
  t.equal(streams.streams[0]?.position, 390 * MIB + 4 * KIB, 'the newest comes first');
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

t.test('the window is nothing for short runs, then twice the run, up to its limit', async (t) => {
  const window = (runBytes: number) => prefetchWindowBytes({ position: 0, runBytes }, 128 * MIB);
  t.equal(window(255 * KIB), 0);
  t.equal(window(256 * KIB), 512 * KIB);
  t.equal(window(16 * MIB), 32 * MIB);
  t.equal(window(1024 * MIB), 128 * MIB);
});

t.test('reset forgets everything', async (t) => {
  const streams = new ReadStreams();
  streams.observe(read(0, 40 * MIB));
  streams.reset();
  t.same(streams.streams, []);
  t.equal(streams.longestRunBytes, 0);
});
