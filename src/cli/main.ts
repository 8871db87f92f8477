#!/usr/bin/env node
/** The `sluice` command. Lives until the command is done, and then ends whatever a library may still hold open. */
import { tolerateClosedOutput } from './output.js';
import { runProgram } from './program.js';

// Timers of the clock do not keep a process alive: a command that only waits would end in the middle of it.
const keepAlive = new MessageChannel();
keepAlive.port1.ref();
tolerateClosedOutput();
const exitCode = await runProgram(process.argv.slice(2));
keepAlive.port1.close();
process.exit(exitCode);
