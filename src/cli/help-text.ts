/** The prose of --help: what cannot be made from a table. */
import { EXIT_CODE_MEANINGS } from './exit-codes.js';

export const PROGRAM_HELP = `
Examples:
  sluice demo                                        see it work, without an account
  sluice mount s3://models /mnt/models               a bucket of AWS, with your usual credentials
  sluice mount s3://models/llama /mnt/llama          only the keys below llama/
  sluice mount --endpoint-url http://10.0.0.5:9000 --force-path-style s3://data /mnt/data
  sluice status                                      what is mounted, and what it is fetching
  sluice unmount /mnt/models

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
