/** A server in a process of its own, for crash.test.ts to kill. Arguments: folder. Prints its port. */
import { startS3Server } from '../../src/s3-server/server.js';

const [dir = ''] = process.argv.slice(2);
const server = await startS3Server({ dir });
await server.createBucket('bucket');
process.stdout.write(`${server.port}\n`);
