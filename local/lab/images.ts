import { open, stat } from "node:fs/promises";
import { seededRandom } from "./random.ts";
import { fillWithText } from "./writer.ts";

const RUN_BYTES = 256 * 1024;

export interface ImageOptions {
  readonly path: string;
  /** Gets the same content; undefined for none. */
  readonly copyPath: string | undefined;
  readonly sizeBytes: number;
  readonly seed: number;
  /** Share of the disk that has content from the start, 0 to 1; the rest is holes. */
  readonly filledShare: number;
}

/**
 * Makes a raw disk image as a machine in use has it: runs of text and of incompressible data, with wide holes between them. An image of this size that
 * is already there is left alone. The same seed gives the same bytes.
 */
export async function makeImage(options: ImageOptions): Promise<"made" | "kept"> {
  const known = await stat(options.path).catch(() => undefined);
  if (known?.size === options.sizeBytes) return "kept";
  // Copying a finished image would fill its holes, so the copy is written along with it.
  const paths = options.copyPath === undefined ? [options.path] : [options.path, options.copyPath];
  const images = await Promise.all(paths.map((path) => open(path, "w")));
  try {
    for (const image of images) await image.truncate(options.sizeBytes);
    const random = seededRandom(options.seed, 0x696d6167);
    for (let at = 0, run = 0; at + RUN_BYTES <= options.sizeBytes; at += RUN_BYTES, run++) {
      const chance = random.next();
      if (chance >= options.filledShare) continue;
      const bytes = Buffer.alloc(RUN_BYTES);
      if (run % 3 === 0) random.fill(bytes);
      else fillWithText(bytes, 0, random);
      for (const image of images) await image.write(bytes, 0, RUN_BYTES, at);
    }
  } finally {
    for (const image of images) await image.close();
  }
  return "made";
}
