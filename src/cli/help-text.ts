/** The prose of --help: what cannot be made from a table. */
import { EXIT_CODE_MEANINGS } from './exit-codes.js';

export const PROGRAM_HELP = `
Examples:
  sluice demo                                        see it work, without an account
  sluice mount s3://models /mnt/models               a bucket of AWS, with your usual credentials
  sluice mount s3://models/llama /mnt/llama          only the keys below llama/
  sluice mount --endpoint-url http://10.0.0.5:9000 --force-path-style s3://data /mnt/data
  sluice status                                      what is mounted, and what it is fetching
  sluice warm /mnt/models/llama                      fetch it before anybody opens it
  sluice unmount /mnt/models
  sluice sync s3://models/llama /srv/llama           plain files, where nothing can be mounted

Exit codes:
${EXIT_CODE_MEANINGS.map(([code, meaning]) => `  ${code}  ${meaning}`).join('\n')}

"sluice help mount" lists all options of a mount.`;

export const MOUNT_HELP = `
Sizes are written 512MiB, 20GiB, 1.5G (1024) or 10MB (1000); durations 500ms, 60s, 2m.

Each option can also be set by a variable (--part-size-max: SLUICE_PART_SIZE_MAX) and in the configuration file
(part-size-max = "8MiB"). A flag wins over a variable, a variable over the file. --no-X turns a switch X off again.
Credentials come from the usual places of the AWS tools: environment, shared files and profiles, SSO, web identity,
container and instance roles. AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, HTTP_PROXY, HTTPS_PROXY and
NO_PROXY are honoured.

The command returns once the mount answers. It ends by "sluice unmount MOUNTPOINT" (or umount, or SIGTERM).

Examples:
  sluice mount s3://models /mnt/models
  sluice mount --no-sign-request s3://public-data/2024 ~/data
  sluice mount --cache-dir /nvme/sluice --cache-bytes-max 200GiB s3://models /mnt/models
  SLUICE_LOG_LEVEL=debug sluice mount --foreground s3://models /mnt/models`;

export const SYNC_HELP = `
A file appears at its name when it is complete and its checksum was compared with the server's, by a rename: whoever
reads DIR sees the file of before or the new one, never a part. It gets the time of the object. What is fetched and
what is known of it lies in DIR/.sluice-sync. Fetching goes on where it was interrupted, whoever was killed. Several
workers may be given one DIR at the same time: each object is fetched once, by whoever comes to it first.

Files that are there are skipped when they were not touched since they were fetched (by inode, size and time). Others,
and all with --check checksum, are read and compared with the server's checksum, where it keeps one of the whole object.

--include and --exclude take names below the prefix: * and ? stay within a part, ** does not; a pattern without a slash
is compared with the last part. What they leave out is neither fetched nor deleted. Nothing is deleted when a file
could not be brought. Keys that cannot be files here (".." or empty parts, a directory of the same name) are left out
and named; nothing is ever written through a symbolic link.

The connection options are those of "sluice mount", with the same variables and configuration file. A file whose
requests bring nothing and fail for --read-deadline is left out; all others are still brought, and the exit code is 9.

Examples:
  sluice sync s3://models/llama /srv/llama
  sluice sync --delete --exclude '*.bin' s3://models/llama /srv/llama
  sluice sync --json --concurrency 64 s3://data/tiles /srv/tiles`;
export const NAMES_HELP = `
A name stands for the object of that name and for all that lies below it. One that nothing has is taken as a pattern:
* and ? stay within a part of the path, ** does not, [a-z] and {a,b} as in a shell. Quote it, or the shell expands it.
The lines of a list mean themselves; one that ends in / is a directory.

A PATH lies in a mount, whose daemon does the work with the options it was mounted with. So does a daemon that has
mounted what an s3:// URL names; else this command does it, with the options below, in the same cache directory.
Ctrl-C ends it; what has arrived stays, and the same command goes on from there.

Examples:
  sluice COMMAND /mnt/models/llama-8b
  sluice COMMAND '/mnt/models/**/*.safetensors'
  sluice COMMAND --list keys.txt s3://models/llama
  sluice COMMAND --endpoint-url http://10.0.0.5:9000 --force-path-style s3://data/2024/`;

export const CACHE_HELP = `
Examples:
  sluice cache ls
  sluice cache ls --json s3://models/llama/
  sluice cache stats --cache-dir /nvme/sluice
  sluice cache evict --bytes 50GiB
  sluice cache evict 's3://models/**/*.tmp'

"sluice cache COMMAND --help" explains each.`;
