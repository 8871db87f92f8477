/** CRC32C without the addon of Sluice: the one importer of @node-rs/crc32, which has binaries for all its machines. */
export { crc32c } from '@node-rs/crc32';
