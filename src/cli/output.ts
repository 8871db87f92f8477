/** The lines a command writes for people, and how text from outside is kept from playing tricks in a terminal. */

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One line, whatever the message holds: `sluice: …`. */
export function printError(message: string): void {
  process.stderr.write(`sluice: ${printable(message.trim().replaceAll(/\s*\n\s*/g, '; '))}\n`);
}

/** Keys and server messages may hold control characters, which move the cursor or colour the screen. */
export function printable(text: string): string {
  return text.replaceAll(
    /\p{Cc}/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** The reader of the pipe may go (`sluice status | head -1`): no error, there is only nobody left to tell. */
export function tolerateClosedOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}
