import { createHash } from "node:crypto";

/** Of all disks together, in their order. */
export function imagesDigest(images: readonly Buffer[]): string {
  const hash = createHash("sha1");
  for (const image of images) hash.update(image);
  return hash.digest("hex");
}

export const imagePath = (id: string): string => `/${id}.img`;
