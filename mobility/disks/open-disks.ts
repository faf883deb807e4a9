import type { DiskDescription } from "../../replication/position.ts";
import type { DiskConfig } from "../system/config.ts";
import type { Files } from "../system/files.ts";
import { openImage, type Image } from "./image.ts";

export interface OpenedDisk {
  readonly description: DiskDescription;
  readonly image: Image;
}

/**
 * Opens all images, in the order of the disks' ids, by which records and deltas number them. Closes them again if one
 * fails.
 */
export function openDisks(files: Files, configured: readonly DiskConfig[]): readonly OpenedDisk[] {
  const opened: OpenedDisk[] = [];
  try {
    for (const { id, path, sectorSizeBytes } of configured.toSorted((left, right) => (left.id < right.id ? -1 : 1))) {
      const image = openImage(files, id, path, sectorSizeBytes);
      opened.push({ image, description: { id, sizeBytes: image.sizeBytes, sectorSizeBytes } });
    }
    return opened;
  } catch (error) {
    for (const disk of opened) disk.image.close();
    throw error;
  }
}
