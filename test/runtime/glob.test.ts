import t from 'tap';
import { globBase, globMatcher, isGlob } from '../../src/runtime/glob.js';

t.test('what a pattern matches', async (t) => {
  const cases: readonly (readonly [
    pattern: string,
    matches: readonly string[],
    others: readonly string[],
  ])[] = [
    ['models/*', ['models/a', 'models/.hidden', 'models/a b'], ['models/a/b', 'models', 'other/a']],
    ['models/**', ['models/a', 'models/a/b', 'models/.x/y'], ['other/models/a']],
    ['**/*.safetensors', ['a.safetensors', 'x/y/a.safetensors'], ['a.safetensors.json']],
    ['model-0000[1-3]-of-?', ['model-00001-of-3'], ['model-00004-of-5', 'model-00001-of-10']],
    ['{a,b/c}/x', ['a/x', 'b/c/x'], ['b/x']],
    ['!a', ['!a'], ['b']],
    ['a\\*b*', ['a*b', 'a*bc'], ['axb']],
    ['(1)*', ['(1)', '(1).bin'], ['1']],
  ];
  for (const [pattern, matches, others] of cases) {
    const isMatch = globMatcher(pattern);
    for (const key of matches) t.ok(isMatch(key), `${pattern} matches ${key}`);
    for (const key of others) t.notOk(isMatch(key), `${pattern} does not match ${key}`);
  }
});

t.test('every match begins with the base of its pattern', async (t) => {
  t.equal(globBase('models/llama-*/x'), 'models/llama-');
  t.equal(globBase('{a,b}'), '');
  t.equal(globBase('a\\*b*'), 'a');
  t.equal(globBase('plain/name'), 'plain/name');
});

t.test('only what has such a character is a pattern', async (t) => {
  t.same(['a*', 'a?', '[a]', '{a}'].map(isGlob), [true, true, true, true]);
  t.same(['a', 'a/b', 'a(1)', 'a!+@'].map(isGlob), [false, false, false, false]);
});
