import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import { ExpiredRanges } from '../../src/file/expired-ranges.js';
import { Availability } from '../../src/runtime/availability.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const PAGE = 4096;
const error = new ContentError('deadline', 'pages 2 to 5 did not come');

/** Pages 2, 3, 4 and 5 of 16 ran into their deadline just now. */
function setUp() {
  const clock = new SimulatedClock();
  const availability = Availability.create(16 * PAGE);
  const expired = new ExpiredRanges({ clock, availability });
  const share = (page: number, endPage = page + 1) =>
    expired.share({ start: page * PAGE, end: endPage * PAGE });
  expired.add({ start: 2 * PAGE, end: 6 * PAGE }, error);
  return { clock, availability, expired, share };
}

t.test('whoever wants a byte of the range shares its end, however often', async (t) => {
  const { share } = setUp();
  for (let times = 0; times < 3; times += 1) {
    t.equal(share(2), error);
    t.equal(share(5), error);
    t.equal(share(0, 3), error);
    t.equal(share(5, 16), error);
    t.equal(share(0, 16), error);
    t.equal(share(0, 2), undefined, 'it ends where the range begins');
    t.equal(share(6, 16), undefined, 'it begins where the range ends');
  }
});

t.test('for 100 ms, and as long from each time that it was shared', async (t) => {
  const { clock, share } = setUp();
  clock.advance(100);
  t.equal(share(3), error);
  clock.advance(100);
  t.equal(share(4), error, 'by another page of it, too');
  clock.advance(101);
  t.equal(share(4), undefined);
  t.equal(share(4), undefined, 'asking in vain renews nothing');
});

t.test('but not for more than a second, until somebody has waited in vain again', async (t) => {
  const { clock, expired, share } = setUp();
  for (let ms = 0; ms <= 1000; ms += 50) {
    t.equal(share(2), error, `after ${ms} ms`);
    clock.advance(50);
  }
  t.equal(share(2), undefined);
  const next = new ContentError('deadline', 'again');
  expired.add({ start: 2 * PAGE, end: 3 * PAGE }, next);
  t.equal(share(2), next);
  t.equal(share(3), undefined);
});

t.test('bytes that came are no reason any more', async (t) => {
  const { availability, share } = setUp();
  availability.publish({ start: 2 * PAGE, end: 4 * PAGE });
  t.equal(share(0, 4), undefined, 'what is missing of it, nobody waited for');
  t.equal(share(3, 5), error);
  availability.publish({ start: 4 * PAGE, end: 6 * PAGE });
  t.equal(share(0, 16), undefined);
});

t.test('of several ends the last is shared', async (t) => {
  const { clock, expired, share } = setUp();
  clock.advance(60);
  const second = new ContentError('deadline', 'pages 5 and 6 did not come');
  expired.add({ start: 5 * PAGE, end: 7 * PAGE }, second);
  t.equal(share(5), second);
  t.equal(share(4), error);
  t.equal(share(6), second);
});

t.test('after clear nothing is shared', async (t) => {
  const { expired, share } = setUp();
  expired.clear();
  t.equal(share(2), undefined);
});
