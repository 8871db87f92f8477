/** Loads the addon in a worker thread and leaves a session running when it ends: what addon.test.ts starts. */
import { parentPort } from 'node:worker_threads';
import { Availability } from '../../src/runtime/availability.js';
import { loadNativeAddon } from '../../src/native.js';
import { startOverSocket } from './addon-rig.js';

const addon = loadNativeAddon();
const { kernel } = startOverSocket(addon);
const { error } = kernel.init();
const file = addon.openFile(new Int32Array(Availability.create(1000).memory.buffer));
addon.filePublished(file);
parentPort?.postMessage({ initError: error, file }, []);
