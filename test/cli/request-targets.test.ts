import { mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { CommandError } from '../../src/cli/exit-codes.js';
import { jobsOf } from '../../src/cli/request-targets.js';
import type { Job } from '../../src/cli/request-targets.js';
import type { Flags } from '../../src/config/resolve.js';
import type { StatusReport } from '../../src/observability/status-report.js';
import { exampleReport } from '../support/example-report.js';

const home = t.testdir({ plain: { file: '' } });

function daemon(pid: number, mountpoint: string, source: string, changes: Partial<StatusReport> = {}) {
  const report = exampleReport({ pid, mountpoint, source, endpoint: 'http://127.0.0.1:9000', ...changes });
  return { state: 'answering', pid, report } as const;
}

const DAEMONS = [
  daemon(1, '/mnt', 's3://outer/'),
  daemon(2, '/mnt/models', 's3://models/llama/'),
  daemon(3, join(home, 'real'), 's3://linked/'),
];

interface Given {
  readonly exact?: boolean;
  readonly flags?: Flags;
  readonly daemons?: Parameters<typeof jobsOf>[1]['daemons'];
  readonly workingDir?: string;
}

function jobs(texts: readonly string[], given: Given = {}): Job[] {
  const { exact = false, flags = {}, daemons = DAEMONS, workingDir = '/mnt/models' } = given;
  const user = { uid: 1000, gid: 1000, homeDir: home, workingDir };
  const names = texts.map((text) => ({ text, exact }));
  return jobsOf(names, { daemons, flags, environment: {}, user });
}

/** Who is asked for what. */
function asked(texts: readonly string[], given?: Given) {
  return jobs(texts, given).map(({ target, selections }) => [
    target.kind === 'daemon' ? target.report.pid : `${target.config.bucket}:${target.config.prefix}`,
    ...selections.map(({ key }) => key),
  ]);
}

function refusal(texts: readonly string[], given?: Given): unknown {
  try {
    return jobs(texts, given);
  } catch (error) {
    return error;
  }
}

t.test('a path is for the innermost mount that it lies in', async (t) => {
  t.same(asked(['/mnt/models/8b.gguf']), [[2, 'llama/8b.gguf']]);
  t.same(asked(['/mnt/modelsX/a', '/mnt/b']), [[1, 'modelsX/a', 'b']]);
  t.same(asked(['sub/../8b/', './x*']), [[2, 'llama/8b/', 'llama/x*']]);
  t.same(asked(['/mnt/models', '/mnt/models/']), [[2, 'llama/', 'llama/']]);
  t.same(asked(['/mnt']), [[1, '']]);
});

t.test('a path may lead through links', async (t) => {
  mkdirSync(join(home, 'real'));
  symlinkSync(join(home, 'real'), join(home, 'link'));
  t.same(asked([join(home, 'link/a/*.bin')]), [[3, 'a/*.bin']]);
});

t.test('a path outside of all mounts is refused, with what to do', async (t) => {
  const error = refusal([join(home, 'plain/file')]) as CommandError;
  t.match(error, { exitCode: 7, message: /plain\/file is not in a mount of yours: "sluice status"/ });
  const silent = { state: 'not_answering', pid: 77 } as const;
  t.match(refusal(['/x'], { daemons: [silent] }), { message: /the daemon with pid 77 does not answer/ });
});

t.test('a URL is for the daemon that has mounted it, else for this process', async (t) => {
  t.same(asked(['s3://models/llama/8b', 's3://models/llama/7b*']), [[2, 'llama/8b', 'llama/7b*']]);
  t.same(asked(['s3://models/qwen/1b.gguf']), [['models:qwen/', 'qwen/1b.gguf']]);
  t.same(asked(['s3://other', 's3://other/a/b', 's3://third/x']), [
    ['other:', '', 'a/b'],
    ['third:', 'x'],
  ]);
});

t.test('a key is taken as it stands', async (t) => {
  t.same(asked(['s3://other/a//b/../c ']), [['other:a//b/../', 'a//b/../c ']]);
  const [job] = jobs(['s3://other/a*'], { exact: true });
  t.same(job?.selections, [{ key: 'a*', exact: true }]);
});

t.test('a daemon of another server, or with another cache, than was named is not meant', async (t) => {
  const url = 's3://models/llama/8b';
  t.same(asked([url], { flags: { 'endpoint-url': 'http://127.0.0.1:9000/' } }), [[2, 'llama/8b']]);
  t.same(asked([url], { flags: { 'endpoint-url': 'http://10.0.0.1:9000' } }), [
    ['models:llama/', 'llama/8b'],
  ]);
  t.same(asked([url], { flags: { 'cache-dir': '/c' } }), [[2, 'llama/8b']]);
  t.same(asked([url], { flags: { 'cache-dir': '/d' } }), [['models:llama/', 'llama/8b']]);
});

t.test('the budget of a shared cache is that of its daemons, unless it is given', async (t) => {
  const budgetOf = (flags: Flags) => {
    const [job] = jobs(['s3://other/a'], { flags });
    return job?.target.kind === 'engine' ? job.target.config.cacheBytesMax : 'no engine';
  };
  t.equal(budgetOf({ 'cache-dir': '/c' }), 20 * 1024 ** 3);
  t.equal(budgetOf({ 'cache-dir': '/c', 'cache-bytes-max': '1GiB' }), 1024 ** 3);
  t.equal(budgetOf({ 'cache-dir': '/d' }), undefined);
});

t.test('a cache directory is the same through a link', async (t) => {
  const folder = realpathSync(t.testdir({ cache: { sub: {} } }));
  const directory = join(folder, 'cache');
  const link = join(folder, 'link');
  symlinkSync(directory, link);
  const { cache } = exampleReport();
  const daemons = [daemon(1, '/mnt', 's3://models/', { cache: { ...cache, directory } })];
  const given = { daemons, flags: { 'cache-dir': link } };
  t.same(asked(['s3://models/x'], given), [[1, 'x']]);
  const [job] = jobs(['s3://other/x'], given);
  t.match(job?.target, { kind: 'engine', config: { cacheDir: directory, cacheBytesMax: cache.bytesMax } });
  const above = { daemons, flags: { 'cache-dir': folder } };
  t.same(asked(['s3://models/x'], above), [['models:', 'x']], 'a cache below it is another one');
});

t.test('where several daemons could be meant, the user is asked', async (t) => {
  const daemons = [
    daemon(1, '/a', 's3://models/'),
    daemon(2, '/b', 's3://models/', { endpoint: 'http://10.0.0.1:9000' }),
  ];
  t.match(refusal(['s3://models/x'], { daemons }), {
    exitCode: 2,
    message:
      /mounted at \/a \(http:\/\/127\.0\.0\.1:9000\) and \/b \(http:\/\/10\.0\.0\.1:9000\).*--endpoint-url/,
  });
  const flags = { 'endpoint-url': 'http://10.0.0.1:9000' };
  t.same(asked(['s3://models/x'], { daemons, flags }), [[2, 'x']]);
  const alike = [daemon(1, '/a', 's3://models/'), daemon(2, '/b', 's3://models/x/')];
  t.same(asked(['s3://models/x/y'], { daemons: alike }), [[1, 'x/y']]);
});
