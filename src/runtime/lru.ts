/** Bounded maps that forget what was used least recently: the one importer of lru-cache. */
export { LRUCache } from 'lru-cache';
