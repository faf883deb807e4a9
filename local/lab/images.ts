import { open, stat } from "node:fs/promises";
import { seededRandom } from "./random.ts";
import { fillWithText } from "./writer.ts";

const RUN_BYTES = 256 * 1024;

export interface ImageOptions {
  readonly path: string;
  readonly sizeBytes: number;
  readonly seed: number;
  /** Share of the disk that has content from the start, 0 to 1; the rest is holes. */
  readonly filledShare: number;
}

/** Copies the content of one image into an empty one of the same size, and keeps the holes. */
export async function copyContent(fromPath: string, toPath: string): Promise<void> {
  const [from, to] = [await open(fromPath, "r"), await open(toPath, "r+")];
  try {
    const chunk = Buffer.alloc(RUN_BYTES);
    for (let at = 0; ; at += RUN_BYTES) {
      const { bytesRead } = await from.read(chunk, 0, RUN_BYTES, at);
      if (bytesRead === 0) return;
      const bytes = chunk.subarray(0, bytesRead);
      if (!bytes.equals(EMPTY_RUN.subarray(0, bytesRead))) await to.write(bytes, 0, bytesRead, at);
    }
  } finally {
    await Promise.all([from.close(), to.close()]);
  }
}

const EMPTY_RUN = Buffer.alloc(RUN_BYTES);

/**
 * Makes a raw disk image like that of a machine in use: runs of text and of incompressible data, with wide holes
 * between them. Keeps an existing image of this size. The same seed gives the same bytes.
 */
export async function makeImage(options: ImageOptions): Promise<"made" | "kept"> {
  const known = await stat(options.path).catch(() => undefined);
  if (known?.size === options.sizeBytes) return "kept";
  const image = await open(options.path, "w");
  try {
    await image.truncate(options.sizeBytes);
    const random = seededRandom(options.seed, 0x696d6167);
    for (let at = 0, run = 0; at + RUN_BYTES <= options.sizeBytes; at += RUN_BYTES, run++) {
      const chance = random.next();
      if (chance >= options.filledShare) continue;
      const bytes = Buffer.alloc(RUN_BYTES);
      if (run % 3 === 0) random.fill(bytes);
      else fillWithText(bytes, 0, random);
      await image.write(bytes, 0, RUN_BYTES, at);
    }
  } finally {
    await image.close();
  }
  return "made";
}
