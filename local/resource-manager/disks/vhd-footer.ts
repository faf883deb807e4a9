const FOOTER_BYTES = 512;
/** Unix milliseconds of 2000-01-01T00:00:00Z, where VHD time stamps begin. */
const VHD_EPOCH_MS = 946_684_800_000;

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
  // QEMU takes the size from the size field only for creators that it knows.
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
