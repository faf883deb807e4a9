/**
 * The content of a fixed VHD's footer (Microsoft "Virtual Hard Disk Image Format Specification", section "Hard Disk
 * Footer Format"; big-endian).
 */
export interface FixedVhd {
  /** The size that the machine sees. */
  readonly sizeBytes: number;
}

const FOOTER_BYTES = 512;
const MIB = 1024 * 1024;
/** Unix milliseconds of 2000-01-01T00:00:00Z, the VHD epoch. */
const VHD_EPOCH_MS = 946_684_800_000;

/**
 * Reads the last 512 bytes of a file of `fileBytes` bytes. Returns in words what is wrong when they are not the footer
 * of a fixed VHD that Azure imports.
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

/**
 * The footer of a fixed VHD (Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format";
 * big-endian).
 */
export function vhdFooter(sizeBytes: number, disk: { readonly uniqueId: string; readonly createdMs: number }): Buffer {
  const footer = Buffer.alloc(FOOTER_BYTES);
  footer.write("conectix", 0, "latin1");
  footer.writeUInt32BE(2, 8);
  footer.writeUInt32BE(0x0001_0000, 12);
  footer.writeBigUInt64BE(0xffff_ffff_ffff_ffffn, 16);
  footer.writeUInt32BE(Math.max(Math.floor((disk.createdMs - VHD_EPOCH_MS) / 1000), 0), 24);
  // QEMU uses the size field only for creators it knows.
  footer.write("win ", 28, "latin1");
  footer.writeUInt32BE(0x0006_0003, 32);
  footer.write("Wi2k", 36, "latin1");
  footer.writeBigUInt64BE(BigInt(sizeBytes), 40);
  footer.writeBigUInt64BE(BigInt(sizeBytes), 48);
  writeGeometry(footer, sizeBytes);
  footer.writeUInt32BE(2, 60);
  footer.write(disk.uniqueId.replaceAll("-", ""), 68, 16, "hex");
  footer.writeUInt32BE(~footer.reduce((sum, byte) => sum + byte, 0) >>> 0, 64);
  return footer;
}

/** The specification's appendix, "CHS Calculation". */
function writeGeometry(footer: Buffer, sizeBytes: number): void {
  const sectors = Math.min(Math.floor(sizeBytes / 512), 65_535 * 16 * 255);
  let [heads, perTrack] = [16, 255];
  if (sectors < 65_535 * 16 * 63) {
    const tracks = Math.floor(sectors / 17);
    [heads, perTrack] = [Math.max(Math.floor((tracks + 1023) / 1024), 4), 17];
    if (tracks >= heads * 1024 || heads > 16) [heads, perTrack] = [16, 31];
    if (perTrack === 31 && Math.floor(sectors / 31) >= 16 * 1024) perTrack = 63;
  }
  footer.writeUInt16BE(Math.floor(Math.floor(sectors / perTrack) / heads), 56);
  footer.writeUInt8(heads, 58);
  footer.writeUInt8(perTrack, 59);
}
