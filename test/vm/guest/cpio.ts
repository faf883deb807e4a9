/** An entry of an archive. `mode` holds the file's type and permissions, as stat(2) has them. */
export interface ArchiveEntry {
  readonly path: string;
  readonly mode: number;
  readonly content?: Buffer;
  /** Major and minor number of a device. */
  readonly device?: readonly [number, number];
}

/**
 * A cpio archive in the "newc" format, as the kernel unpacks it into its first file system (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst).
 */
export function cpioArchive(entries: readonly ArchiveEntry[]): Buffer {
  const all = [...entries, { path: "TRAILER!!!", mode: 0 }];
  return Buffer.concat(all.flatMap((entry, index) => encodeEntry(entry, index + 1)));
}

function encodeEntry(
  { path, mode, content = Buffer.alloc(0), device = [0, 0] }: ArchiveEntry,
  inode: number,
): readonly Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const [owner, group, links, modified, checksum] = [0, 0, 1, 0, 0];
  const fields = [inode, mode, owner, group, links, modified, content.length, 0, 0, ...device, name.length, checksum];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return [padded(Buffer.concat([header, name])), padded(content)];
}

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
