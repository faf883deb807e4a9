/**
 * What the footer of a fixed VHD says (Microsoft "Virtual Hard Disk Image Format Specification", section "Hard Disk
 * Footer Format"; big-endian).
 */
export interface FixedVhd {
  /** The size that the machine sees. */
  readonly sizeBytes: number;
}

const FOOTER_BYTES = 512;
const MIB = 1024 * 1024;

/**
 * Reads the last 512 bytes of a file of `fileBytes` bytes. Returns what is wrong with them in words when they are not
 * those of a fixed VHD that Azure imports.
 */
export function readFixedVhd(footer: Buffer, fileBytes: number): FixedVhd | { readonly wrong: string } {
  if (footer.length !== FOOTER_BYTES) return { wrong: `the footer has ${footer.length} bytes instead of 512` };
  if (footer.toString("latin1", 0, 8) !== "conectix") return { wrong: "the footer's cookie is not 'conectix'" };
  if (footer.readUInt32BE(12) !== 0x00010000) return { wrong: "the footer's format version is not 1.0" };
  if (footer.readBigUInt64BE(16) !== 0xffffffffffffffffn)
    return { wrong: "the footer's data offset is not that of a fixed disk" };
  if (footer.readUInt32BE(60) !== 2) return { wrong: "the disk type is not 2 (fixed)" };
  const stated = footer.readUInt32BE(64);
  let sum = 0;
  footer.forEach((byte, at) => (sum += at >= 64 && at < 68 ? 0 : byte));
  if (stated !== ~sum >>> 0) return { wrong: `the footer's checksum is ${stated}, its bytes give ${~sum >>> 0}` };
  const sizeBytes = Number(footer.readBigUInt64BE(48));
  if (Number(footer.readBigUInt64BE(40)) !== sizeBytes) return { wrong: "original and current size differ" };
  if (sizeBytes + FOOTER_BYTES !== fileBytes)
    return { wrong: `the footer says ${sizeBytes} bytes, the file has ${fileBytes - FOOTER_BYTES}` };
  if (sizeBytes % MIB !== 0)
    return { wrong: `the size of ${sizeBytes} bytes is not whole MiB, so Azure would not import it` };
  return { sizeBytes };
}
