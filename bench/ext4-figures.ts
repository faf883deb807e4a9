import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addExt4File, makeExt4, missingExt4Tools } from "../local/lab/ext4.ts";
import { atMost, type Figure } from "./figure.ts";
import { deltasOf, epochsOf } from "./trace-deltas.ts";
import type { TraceWrite } from "./trace.ts";

const DISK_BYTES = 24 * 1024 * 1024;
const FILES = 16;
/**
 * Four files of 1 to 48 KiB in an epoch of 5 s: so rare that merging the journal's blocks does not dominate the figure.
 */
const FILE_INTERVAL_MS = 1_250;

/**
 * Bytes sent on a real ext4 file system, made with its own tools: text files are added one after the other, and the
 * writes are those of a kernel, in ext4's order: data, journal, metadata in place. `missing` names the tools whose
 * absence prevents the figure.
 */
export async function ext4Figures(
  seed: number,
): Promise<
  | { readonly kind: "figures"; readonly figures: readonly Figure[] }
  | { readonly kind: "missing"; readonly tools: readonly string[] }
> {
  const tools = missingExt4Tools();
  if (tools.length > 0) return { kind: "missing", tools };
  const folder = await mkdtemp(join(tmpdir(), "leeward-ext4-"));
  try {
    const { writes, contents } = await fileSystemTrace(folder, seed);
    const disks = [{ id: "files", sizeBytes: DISK_BYTES, sectorSizeBytes: 512 }] as const;
    const guestBytes = writes.reduce((sum, write) => sum + write.lengthBytes, 0);
    let sentBytes = 0;
    for (const delta of deltasOf(
      "ext4",
      disks,
      epochsOf(writes, 5_000),
      ({ content }) => contents[content] ?? new Uint8Array(),
    )) {
      sentBytes += delta.bytes.length;
    }
    return {
      kind: "figures",
      figures: [
        {
          name: "bytes sent / guest bytes, text files on ext4, 5 s epochs",
          value: sentBytes / guestBytes,
          unit: "x",
          goal: atMost(0.45),
        },
      ],
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fileSystemTrace(
  folder: string,
  seed: number,
): Promise<{ readonly writes: readonly TraceWrite[]; readonly contents: readonly Uint8Array[] }> {
  const [image, shadow] = [join(folder, "files.img"), join(folder, "shadow.img")];
  await makeExt4(image, DISK_BYTES);
  await copyFile(image, shadow);
  const writes: TraceWrite[] = [];
  const contents: Uint8Array[] = [];
  for (let number = 1; number <= FILES; number += 1) {
    for (const { offsetBytes, bytes } of await addExt4File(shadow, number, seed)) {
      writes.push({
        atMs: (number - 1) * FILE_INTERVAL_MS,
        disk: 0,
        offsetBytes,
        lengthBytes: bytes.length,
        content: contents.length,
      });
      contents.push(bytes);
    }
  }
  return { writes, contents };
}
