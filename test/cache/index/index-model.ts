/** What the index means, told plainly: arrays and loops, one process, no SQL. Tests run it beside the real one. */

export interface ModelCopy {
  readonly id: number;
  readonly version: number;
  state: 'filling' | 'complete' | 'evicting';
  owner: string | undefined;
  bytes: number;
  pinned: boolean;
  stamp: string | undefined;
  useCount: number;
  used: number;
  readonly users: Set<string>;
}

export class IndexModel {
  readonly alive = new Set<string>();
  readonly #owners = new Set<string>();
  copies: ModelCopy[] = [];
  #ids = 0;
  #uses = 0;

  get bytes(): number {
    return this.copies.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  copy(id: number): ModelCopy | undefined {
    return this.copies.find((copy) => copy.id === id);
  }

  start(owner: string): void {
    this.alive.add(owner);
    this.#owners.add(owner);
    this.buryDead(owner);
    for (const copy of this.copies) {
      if (copy.state === 'evicting' && !this.#owners.has(copy.owner ?? '')) copy.owner = owner;
    }
  }

  acquire(me: string, version: number, isWhole: boolean): string {
    let copy = this.#find(version);
    if (copy?.users.has(me)) return 'busy';
    let how = 'new';
    let outcome: string;
    if (copy?.state === 'complete' && isWhole) outcome = 'complete';
    else {
      if (copy?.state === 'complete') {
        if (this.#isUsedByAnother(me, copy)) {
          this.condemn(me, copy.id);
          copy = this.#find(version);
        } else {
          Object.assign(copy, { state: 'filling', stamp: undefined });
          how = 'idle';
        }
      } else if (copy !== undefined && copy.useCount > 0) how = 'found';
      copy ??= this.#add(version);
      outcome = this.#claim(me, copy);
      if (outcome === 'claimed' && how === 'found') how = this.#isUsedByAnother(me, copy) ? 'open' : 'idle';
      if (outcome === 'claimed') outcome += ` ${how} ${copy.stamp}`;
      if (copy.owner === me) copy.stamp = undefined;
    }
    copy ??= this.#add(version);
    copy.users.add(me);
    this.#uses += 1;
    copy.used = this.#uses;
    copy.useCount += 1;
    return outcome;
  }

  hide(me: string, version: number): string {
    const copy = this.#add(version);
    this.#uses += 1;
    Object.assign(copy, { state: 'evicting', owner: me, used: this.#uses, useCount: 1 });
    copy.users.add(me);
    return copy.state;
  }

  takeOver(me: string, id: number): string {
    const copy = this.copy(id);
    if (copy === undefined || copy.state === 'evicting') return 'gone';
    if (copy.state === 'complete') return 'complete';
    const outcome = this.#claim(me, copy);
    if (copy.owner === me) copy.stamp = undefined;
    return outcome;
  }

  charge(id: number, bytes: number, bytesMax: number): boolean {
    const copy = this.copy(id);
    if (copy === undefined || (bytes > copy.bytes && this.bytes - copy.bytes + bytes > bytesMax))
      return false;
    copy.bytes = Math.max(copy.bytes, bytes);
    return true;
  }

  complete(me: string, id: number, stamp: string, bytes: number): boolean {
    const copy = this.copy(id);
    if (copy?.state !== 'filling' || copy.owner !== me) return false;
    Object.assign(copy, { state: 'complete', owner: undefined, stamp, bytes });
    this.#dropOlder(me, copy);
    return true;
  }

  condemn(me: string, id: number): void {
    const copy = this.copy(id);
    if (copy === undefined || copy.state === 'evicting') return;
    Object.assign(copy, { state: 'evicting', owner: me, stamp: undefined });
    if (copy.pinned) this.#add(copy.version).pinned = true;
  }

  release(me: string, id: number, left: { stamp: string; bytes: number } | undefined): void {
    const copy = this.copy(id);
    if (copy === undefined) return;
    copy.users.delete(me);
    if (copy.state === 'filling' && copy.owner === me) {
      Object.assign(copy, { owner: undefined, stamp: left?.stamp, bytes: left?.bytes ?? copy.bytes });
      if (copy.bytes > 0) this.#dropOlder(me, copy);
    }
    const newer = this.#sameKey(copy).some(
      ({ id: other, bytes, state }) => other > copy.id && bytes > 0 && state !== 'evicting',
    );
    if (newer && this.#isIdle(copy) && !copy.pinned) this.#evict(me, copy);
    const isVacant = copy.state === 'filling' && copy.owner === undefined && copy.bytes === 0;
    if (isVacant && !this.#isUsedByAnother(me, copy)) this.condemn(me, id);
    if (copy.state === 'evicting' && copy.users.size === 0) copy.owner = me;
  }

  beginEviction(me: string, bytes: number): number {
    let freed = this.#takeIdle(me, bytes);
    if (freed >= bytes) return freed;
    this.buryDead(me);
    freed += this.#takeIdle(me, bytes - freed);
    return freed;
  }

  take(me: string, id: number, pinned: boolean): boolean {
    const copy = this.copy(id);
    if (copy === undefined) return false;
    this.#isUsedByAnother(me, copy);
    if (!this.#isIdle(copy) || (copy.pinned && !pinned)) return false;
    this.#evict(me, copy);
    return true;
  }

  doomed(me: string): number[] {
    return this.copies
      .filter(({ state, owner, users }) => state === 'evicting' && owner === me && users.size === 0)
      .map(({ id }) => id);
  }

  end(id: number): void {
    this.copies = this.copies.filter((copy) => copy.id !== id);
  }

  pin(version: number): void {
    (this.#find(version) ?? this.#add(version)).pinned = true;
  }

  unpin(id: number): boolean {
    const copy = this.copy(id);
    if (copy === undefined) return false;
    const was = copy.pinned;
    copy.pinned = false;
    if (copy.bytes === 0 && copy.useCount === 0 && this.#isIdle(copy)) this.end(id);
    return was;
  }

  buryDead(me: string): void {
    for (const owner of this.#owners) if (!this.alive.has(owner)) this.bury(me, owner);
  }

  bury(me: string, owner: string): void {
    for (const copy of this.copies) {
      if (copy.state === 'filling' && copy.owner === owner)
        Object.assign(copy, { owner: undefined, stamp: undefined });
      if (copy.state === 'evicting' && (copy.owner === owner || copy.users.has(owner))) copy.owner = me;
      copy.users.delete(owner);
    }
    this.#owners.delete(owner);
  }

  #find(version: number): ModelCopy | undefined {
    return this.copies.find((copy) => copy.version === version && copy.state !== 'evicting');
  }

  #add(version: number): ModelCopy {
    this.#ids += 1;
    const copy: ModelCopy = {
      id: this.#ids,
      version,
      state: 'filling',
      owner: undefined,
      bytes: 0,
      pinned: false,
      stamp: undefined,
      useCount: 0,
      used: 0,
      users: new Set(),
    };
    this.copies.push(copy);
    return copy;
  }

  #claim(me: string, copy: ModelCopy): string {
    const { owner } = copy;
    if (owner !== undefined && owner !== me) {
      if (this.alive.has(owner)) return `following ${owner}`;
      this.bury(me, owner);
    }
    copy.owner = me;
    return 'claimed';
  }

  #isUsedByAnother(me: string, copy: ModelCopy): boolean {
    for (const user of [...copy.users].sort()) {
      if (user === me) continue;
      if (this.alive.has(user)) return true;
      this.bury(me, user);
    }
    return false;
  }

  #isIdle({ state, owner, users }: ModelCopy): boolean {
    return state !== 'evicting' && owner === undefined && users.size === 0;
  }

  #evict(me: string, copy: ModelCopy): void {
    Object.assign(copy, { state: 'evicting', owner: me, stamp: undefined });
  }

  #takeIdle(me: string, bytes: number): number {
    const idle = this.copies
      .filter((copy) => this.#isIdle(copy) && !copy.pinned && copy.bytes > 0)
      .sort(
        (a, b) => (a.used >> 4) - (b.used >> 4) || a.useCount - b.useCount || a.used - b.used || a.id - b.id,
      );
    let freed = 0;
    for (const copy of idle) {
      if (freed >= bytes) break;
      freed += copy.bytes;
      this.#evict(me, copy);
    }
    return freed;
  }

  /** Even and the next odd number are two versions of one object. */
  #sameKey({ id, version }: ModelCopy): ModelCopy[] {
    return this.copies.filter((copy) => copy.id !== id && copy.version >> 1 === version >> 1);
  }

  #dropOlder(me: string, copy: ModelCopy): void {
    for (const other of this.#sameKey(copy)) {
      if (other.id < copy.id && this.#isIdle(other) && !other.pinned) this.#evict(me, other);
    }
  }
}
