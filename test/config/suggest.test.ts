import t from 'tap';
import { didYouMean, nearest } from '../../src/config/suggest.js';

t.test('a slip of up to two letters finds the name that was meant', (t) => {
  const names = ['mount', 'unmount', 'status', 'region'];
  t.equal(nearest('regoin', names), 'region', 'swapped');
  t.equal(nearest('regio', names), 'region', 'missing');
  t.equal(nearest('statuss', names), 'status', 'extra');
  t.equal(nearest('stotvs', names), 'status', 'changed');
  t.equal(nearest('mount', names), 'mount', 'the same is nearer than unmount');
  t.equal(nearest('uid', ['gid', 'uids']), 'gid', 'the first of equals');
  t.end();
});

t.test('what is not near is not guessed', (t) => {
  t.equal(nearest('bucket', ['region', 'profile']), undefined);
  t.equal(nearest('ab', ['xy']), undefined);
  t.equal(nearest('', ['x']), undefined);
  t.equal(nearest('x', []), undefined);
  t.equal(didYouMean('x', ['region']), '');
  t.equal(didYouMean('profil', ['profile']), ' (did you mean profile?)');
  t.end();
});
