/** Lives a day of a cache and kills itself before the N-th operation. Arguments: directory, N. Else says how many there were. */
import { interposed, live } from './life-of-copies.js';

const [directory = '', killedAt = ''] = process.argv.slice(2);
let operations = 0;

function step(): void {
  operations += 1;
  if (operations === Number(killedAt)) process.kill(process.pid, 'SIGKILL');
}

await live(directory, interposed(step), step);
process.send?.({ operations });
