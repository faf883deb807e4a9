import { isDiskId } from "../../replication/names.ts";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import type { DiskDescription } from "../../replication/position.ts";
import { nameOf } from "../../replication/resources/ids.ts";

/** A disk of the VM as the item names it. */
interface ItemDisk {
  readonly id: string;
  /** Undefined for the OS disk. */
  readonly lun: number | undefined;
  /** Resource Manager id. */
  readonly sourceId: string;
  readonly sizeBytes: number;
}

/** The disks of the machine as its item describes them. */
export const protectedDisks = (plan: TargetPlan): readonly DiskDescription[] =>
  itemDisks(plan).map(({ id, sizeBytes }) => ({ id, sizeBytes, sectorSizeBytes: 512 }));

/**
 * The OS disk first, then by lun. A disk's id is the name of its managed disk, as in the install script; a second disk
 * of the same name gets its lun appended.
 */
export function itemDisks({ disks }: TargetPlan): readonly ItemDisk[] {
  const used = new Set<string>();
  const ordered = disks.toSorted((one, other) => (one.lun ?? -1) - (other.lun ?? -1));
  return ordered.map(({ sourceId, lun, disk: { sizeBytes } }) => {
    const name = nameOf(sourceId);
    const id = isDiskId(name) && !used.has(name.toLowerCase()) ? name : `disk-${lun ?? "os"}`;
    used.add(id.toLowerCase());
    return { id, lun, sourceId, sizeBytes };
  });
}
