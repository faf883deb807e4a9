import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import { DISK_MAX_BYTES, DISK_ID_MAX_LENGTH, SECTOR_BYTES } from "../../replication/limits.ts";

export interface OwnVm {
  readonly itemId: string;
  readonly disks: readonly { readonly id: string; readonly path: string; readonly sizeBytes: number }[];
}

/**
 * A VM of the user's own raw images. The same images in the same order are the same item at the next start. Errors:
 * `disk-invalid` names the image and the reason.
 */
export async function ownVm(images: readonly string[]): Promise<OwnVm> {
  const disks: { readonly id: string; readonly path: string; readonly sizeBytes: number }[] = [];
  for (const image of images) {
    const path = await realpath(image).catch(() => undefined);
    if (path === undefined)
      throw invalid(image, "is not there", "Check the path. A raw image is made with: truncate -s 1G FILE");
    if (disks.some((disk) => disk.path === path)) throw invalid(image, "was given twice", "Give each image once.");
    disks.push({ id: diskId(path, disks), path, sizeBytes: await imageSize(image, path) });
  }
  const digest = createHash("sha256")
    .update(disks.map((disk) => disk.path).join("\n"))
    .digest("hex");
  return { itemId: `vm-${digest.slice(0, 8)}`, disks };
}

async function imageSize(image: string, path: string): Promise<number> {
  const facts = await stat(path);
  if (!facts.isFile()) throw invalid(image, "is not a file", "Give a raw disk image.");
  if (facts.size === 0) throw invalid(image, "is empty", `Give it a size: truncate -s 1G ${image}`);
  if (facts.size % SECTOR_BYTES !== 0) {
    const wholeBytes = Math.ceil(facts.size / SECTOR_BYTES) * SECTOR_BYTES;
    const hint = `If it is a raw image, fill its last sector: truncate -s ${wholeBytes} ${image}. Other formats are converted with: qemu-img convert -O raw`;
    throw invalid(image, `has ${facts.size} bytes, which is not a multiple of ${SECTOR_BYTES}`, hint);
  }
  if (facts.size > DISK_MAX_BYTES)
    throw invalid(image, `has ${facts.size} bytes`, `A page blob holds disks of at most ${DISK_MAX_BYTES} bytes.`);
  try {
    await access(path, constants.R_OK | constants.W_OK);
  } catch {
    throw invalid(
      image,
      "cannot be read and written",
      "Change its permissions: the service writes what the guest writes.",
    );
  }
  return facts.size;
}

/** The file's name as a disk id; with a number appended where two files have the same. */
function diskId(path: string, taken: readonly { readonly id: string }[]): string {
  const name = basename(path, extname(path))
    .replaceAll(/[^A-Za-z0-9_.-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "");
  const id = (name === "" ? "disk" : name).slice(0, DISK_ID_MAX_LENGTH - 3);
  return taken.some((disk) => disk.id === id) ? `${id}-${taken.length + 1}` : id;
}

function invalid(image: string, problem: string, hint: string): LeewardError {
  return new LeewardError("disk-invalid", `The image ${image} ${problem}.`, { image }, { hint });
}
