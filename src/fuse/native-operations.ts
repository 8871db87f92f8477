/**
 * The native driver's request handlers: each converts, calls the filesystem and replies exactly once, whatever
 * happens; failures become errnos and are logged here, once, at the reply. They decide nothing else. Called by
 * native-session.ts for whatever the addon does not answer by itself.
 *
 * A handler decodes its request before it first awaits, and encodes its reply right before it sends it: both buffers
 * are used again. Nothing is told to the kernel that the filesystem could forget: a node is retained first, a handle
 * exists first, and both are taken back when the kernel was not told after all.
 */
import { FilesystemError } from '../filesystem/errors.js';
import type { Filesystem, HandleId, NodeEntry, NodeId } from '../filesystem/filesystem.js';
import { MODE_GONE, OPEN_KEEP_CACHE, OPEN_PASSTHROUGH_ALLOWED } from '../native.js';
import type { NativeFileId, NativeSession } from '../native.js';
import type { Logger } from '../observability/logger.js';
import { assert } from '../runtime/assert.js';
import { ENOSYS, ENXIO, errnoOf } from './errno.js';
import {
  getattrHandle,
  lookupName,
  lseekArguments,
  openForWrite,
  operationOf,
  readArguments,
  releasedHandle,
  SEEK_DATA,
  SEEK_HOLE,
} from './fuse-protocol.js';
import type { Operation } from './fuse-protocol.js';
import { FuseReplies } from './fuse-replies.js';
import { NativeDirectories } from './native-directories.js';
import type { NativeRequest } from './native-events.js';
import { errnoOfError, logFailure } from './request-failure.js';
import { RequestReply } from './request-reply.js';

export interface NativeOperationsDeps {
  readonly filesystem: Filesystem;
  readonly logger: Logger;
  readonly session: Pick<NativeSession, 'reply' | 'replyOpen'>;
  /** The buffer that the session takes bodies from. */
  readonly replies: Uint8Array;
  /** A handle of `node` is about to read `file`. */
  readonly onOpen?: ((file: NativeFileId, node: NodeId) => void) | undefined;
}

export interface NativeOperationsOptions {
  /** Complete files may be read by the kernel alone. */
  readonly passthrough: boolean;
}

/** A name that changes again and again between its lookup and the reply is given up after so many times. */
const LOOKUPS_MAX = 8;

/** Open flags, from <linux/fuse.h>. */
const FOPEN_KEEP_CACHE = 1 << 1;
const FOPEN_NOFLUSH = 1 << 5;

type Handler = (request: NativeRequest, reply: RequestReply) => void | Promise<void>;

export class NativeOperations {
  readonly #filesystem: Filesystem;
  readonly #logger: Logger;
  readonly #session: Pick<NativeSession, 'reply' | 'replyOpen'>;
  readonly #replies: FuseReplies;
  readonly #options: NativeOperationsOptions;
  readonly #onOpen: (file: NativeFileId, node: NodeId) => void;
  readonly #directories: NativeDirectories;
  readonly #handlers: Partial<Record<Operation, Handler>>;

  constructor(deps: NativeOperationsDeps, options: NativeOperationsOptions) {
    this.#filesystem = deps.filesystem;
    this.#logger = deps.logger;
    this.#session = deps.session;
    this.#replies = new FuseReplies(deps.replies);
    this.#options = options;
    this.#onOpen = deps.onOpen ?? (() => {});
    this.#directories = new NativeDirectories(deps.filesystem);
    this.#handlers = this.#table();
  }

  /** Never throws; `request` is not used after the call. */
  handle(request: NativeRequest): void {
    const reply = new RequestReply(this.#session, request.slot);
    const operation = operationOf(request.opcode);
    const handler = operation && this.#handlers[operation];
    if (handler) void this.#answer(operation, handler, request, reply);
    else reply.fail(ENOSYS);
  }

  async #answer(
    operation: Operation,
    handler: Handler,
    request: NativeRequest,
    reply: RequestReply,
  ): Promise<void> {
    const { node } = request;
    try {
      await handler(request, reply);
      assert(reply.isAnswered, `${operation} is answered`);
    } catch (error) {
      logFailure(this.#logger, { operation, node }, error);
      if (!reply.isAnswered) reply.fail(errnoOfError(error, 'linux'));
    }
  }

  #table(): Partial<Record<Operation, Handler>> {
    const failing =
      (errno: number): Handler =>
      (_request, reply) =>
        reply.fail(errno);
    const refused = failing(errnoOf('read_only', 'linux'));
    const nothingToDo: Handler = (_request, reply) => void reply.send(0);
    return {
      lookup: (request, reply) => this.#lookup(request, reply),
      getattr: (request, reply) => this.#getattr(request, reply),
      open: (request, reply) => this.#open(request, reply),
      read: (request, reply) => this.#read(request, reply),
      release: (request, reply) => this.#release(request, reply),
      lseek: (request, reply) => this.#lseek(request, reply),
      statfs: (_request, reply) => void reply.send(this.#replies.statfs(this.#filesystem.statfs())),
      opendir: (request, reply) => this.#opendir(request, reply),
      readdir: (request, reply) => this.#readdir(request, reply, false),
      readdirplus: (request, reply) => this.#readdir(request, reply, true),
      releasedir: (request, reply) => this.#releasedir(request, reply),
      flush: nothingToDo,
      fsync: nothingToDo,
      fsyncdir: nothingToDo,
      syncfs: nothingToDo,
      // There are no links.
      readlink: failing(errnoOf('invalid_argument', 'linux')),
      // The kernel checks by itself, and asks for attributes no more: they answer ENOTSUP.
      access: failing(ENOSYS),
      getxattr: failing(ENOSYS),
      listxattr: failing(ENOSYS),
      setattr: refused,
      symlink: refused,
      mknod: refused,
      mkdir: refused,
      unlink: refused,
      rmdir: refused,
      rename: refused,
      rename2: refused,
      link: refused,
      write: refused,
      setxattr: refused,
      removexattr: refused,
      create: refused,
      fallocate: refused,
      copy_file_range: refused,
      tmpfile: refused,
    };
  }

  async #lookup({ node: parent, body }: NativeRequest, reply: RequestReply): Promise<void> {
    const name = lookupName(body);
    if (name === undefined) throw new FilesystemError('not_found', 'the name is no UTF-8');
    for (let lookups = 0; lookups < LOOKUPS_MAX; lookups++) {
      const { node } = await this.#filesystem.lookup(parent, name);
      // Forgotten or replaced between the answer and now.
      if (!this.#filesystem.retain(node)) continue;
      // Asked again, since it may have expired meanwhile: what is said is valid from now.
      if (!reply.send(this.#replies.entry(this.#entryOf(node)))) this.#filesystem.forget(node, 1);
      return;
    }
    throw new FilesystemError('stale', `${JSON.stringify(name)} changes faster than it can be looked up`);
  }

  #getattr({ node, body }: NativeRequest, reply: RequestReply): void {
    const handle = getattrHandle(body);
    const entry = handle === undefined ? this.#entryOf(node) : this.#filesystem.getHandleAttributes(handle);
    reply.send(this.#replies.attributes(entry));
  }

  #entryOf(node: NodeId): NodeEntry {
    const entry = this.#filesystem.getAttributes(node);
    if (!entry) throw new FilesystemError('stale', `node ${node} is forgotten`);
    return entry;
  }

  #open({ node, body }: NativeRequest, reply: RequestReply): void {
    const handle = this.#filesystem.open(node, { write: openForWrite(body) });
    let isTold = false;
    try {
      isTold = this.#tellOpen(node, handle, reply);
    } finally {
      if (!isTold) this.#filesystem.release(handle);
    }
  }

  /** The page cache of a node is kept over every open: it is of one version, unless some of it was not. */
  #tellOpen(node: NodeId, handle: HandleId, reply: RequestReply): boolean {
    const { direct, complete, replacesCorrupt } = this.#filesystem.contentOf(handle);
    if (!direct) {
      const keep = replacesCorrupt ? 0 : FOPEN_KEEP_CACHE;
      return reply.send(this.#replies.open(handle, keep | FOPEN_NOFLUSH));
    }
    const passthrough = complete && this.#options.passthrough ? OPEN_PASSTHROUGH_ALLOWED : 0;
    const keep = replacesCorrupt ? 0 : OPEN_KEEP_CACHE;
    // Before the kernel can cache any of it.
    this.#onOpen(direct.id, node);
    return reply.open(handle, direct.id, keep | passthrough) !== MODE_GONE;
  }

  /** Of a handle without a local file; the addon answers all others. */
  async #read({ body }: NativeRequest, reply: RequestReply): Promise<void> {
    const { handle, offset, size } = readArguments(body);
    // Not the shared buffer, which others fill while this read waits.
    const target = Buffer.alloc(Math.min(size, this.#replies.bytes.length));
    const bytes = await this.#filesystem.read({ handle, offset, target });
    reply.send(this.#replies.data(target.subarray(0, bytes)));
  }

  #release({ body }: NativeRequest, reply: RequestReply): void {
    this.#filesystem.release(releasedHandle(body));
    reply.send(0);
  }

  /** A file is all data; behind it is the hole that every file ends in. Other seeks the kernel does alone. */
  #lseek({ body }: NativeRequest, reply: RequestReply): void {
    const { handle, offset, whence } = lseekArguments(body);
    const { size } = this.#filesystem.getHandleAttributes(handle).attributes;
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) {
      throw new FilesystemError('invalid_argument', `seek ${whence} is the kernel's`);
    }
    if (offset >= size) reply.fail(ENXIO);
    else reply.send(this.#replies.lseek(whence === SEEK_DATA ? offset : size));
  }

  #opendir({ node }: NativeRequest, reply: RequestReply): void {
    const handle = this.#directories.open(node);
    if (!reply.send(this.#replies.open(handle, 0))) this.#directories.release(handle);
  }

  async #readdir({ body }: NativeRequest, reply: RequestReply, plus: boolean): Promise<void> {
    const { handle, offset, size } = readArguments(body);
    const listing = await this.#directories.list(handle, offset);
    const { bytes, retained } = this.#directories.page(this.#replies, listing, { offset, size, plus });
    if (reply.send(bytes)) return;
    for (const node of retained) this.#filesystem.forget(node, 1);
  }

  #releasedir({ body }: NativeRequest, reply: RequestReply): void {
    this.#directories.release(releasedHandle(body));
    reply.send(0);
  }
}
