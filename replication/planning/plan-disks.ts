import { DATA_DISKS_MAX_COUNT, DISK_MAX_BYTES, DISK_MIN_BYTES, SECTOR_BYTES } from "../limits.ts";
import { type Findings, notice, refuse, resourceId, settleName } from "./findings.ts";
import type { SourceDataDisk, SourceDisk } from "./inventory.ts";
import { regionName } from "./name-rules.ts";
import { type PlanInput, optionFor } from "./options.ts";
import type { PlannedDisk } from "./plan.ts";

/** SKUs of managed disks, and whether a disk of the SKU can be replicated and made from a VHD. */
const DISK_SKUS: Readonly<
  Record<string, { readonly supported: boolean; readonly premium: boolean; readonly withoutZones: string }>
> = {
  standard_lrs: { supported: true, premium: false, withoutZones: "Standard_LRS" },
  standardssd_lrs: { supported: true, premium: false, withoutZones: "StandardSSD_LRS" },
  standardssd_zrs: { supported: true, premium: false, withoutZones: "StandardSSD_LRS" },
  premium_lrs: { supported: true, premium: true, withoutZones: "Premium_LRS" },
  premium_zrs: { supported: true, premium: true, withoutZones: "Premium_LRS" },
  premiumv2_lrs: { supported: false, premium: true, withoutZones: "PremiumV2_LRS" },
  ultrassd_lrs: { supported: false, premium: true, withoutZones: "UltraSSD_LRS" },
};

/** The OS disk first, then the data disks by LUN. `resourceGroup` is the target's. */
export function planDisks(
  input: PlanInput,
  target: { readonly subscriptionId: string; readonly resourceGroup: string },
  findings: Findings,
): readonly PlannedDisk[] {
  const { osDisk, dataDisks, name } = input.source;
  if (dataDisks.length > DATA_DISKS_MAX_COUNT) {
    refuse(findings, "too-many-disks", name, `The VM has ${dataDisks.length} data disks.`);
  }
  const twice = dataDisks.find((disk, at) => dataDisks.findIndex((other) => other.lun === disk.lun) !== at);
  if (twice !== undefined) refuse(findings, "inventory-invalid", twice.name, `Two data disks have LUN ${twice.lun}.`);
  const ordered: readonly (SourceDisk | SourceDataDisk)[] = [
    osDisk,
    ...dataDisks.toSorted((left, right) => left.lun - right.lun),
  ];
  return ordered.map((disk) => planDisk(input, target, disk, findings));
}

/** Whether any target disk needs a size with premium storage. */
export function needsPremium(disks: readonly PlannedDisk[]): boolean {
  return disks.some(({ disk }) => DISK_SKUS[disk.sku.toLowerCase()]?.premium === true);
}

function planDisk(
  input: PlanInput,
  target: { readonly subscriptionId: string; readonly resourceGroup: string },
  source: SourceDisk | SourceDataDisk,
  findings: Findings,
): PlannedDisk {
  refuseDisk(source, findings);
  const option = optionFor(input.options.disks, source.id);
  const { subscriptionId, resourceGroup } = target;
  const common = {
    kind: "disk",
    resourceGroup,
    base: source.name,
    key: source.id,
    replaceable: true,
    subject: source.name,
  } as const;
  const replica = settleName(input, findings, { ...common, chosen: option?.replicaName, suffix: "-ASRReplica" });
  const { name, why } = settleName(input, findings, {
    ...common,
    chosen: option?.name,
    suffix: input.purpose === "test-failover" ? "-ASRtest" : "",
  });
  const diskEncryptionSetId = option?.diskEncryptionSetId;
  if (source.diskEncryptionSetId !== undefined && diskEncryptionSetId === undefined) {
    refuse(
      findings,
      "encryption-set-needed",
      source.name,
      "The disk is encrypted with a key of yours; a set of the target region must be named.",
    );
  }
  return {
    sourceId: source.id,
    lun: "lun" in source ? source.lun : undefined,
    replicaName: replica.name,
    disk: {
      id: resourceId(subscriptionId, resourceGroup, "disk", name),
      name,
      resourceGroup,
      region: regionName(input.options.targetRegion),
      action: "create",
      why,
      sku: targetSku(input, source, option?.targetSku, findings),
      sizeBytes: source.sizeBytes,
      diskEncryptionSetId,
    },
    caching: source.caching,
  };
}

function targetSku({ facts }: PlanInput, source: SourceDisk, chosen: string | undefined, findings: Findings): string {
  const wanted = chosen ?? source.sku;
  const known = DISK_SKUS[wanted.toLowerCase()];
  if (known?.supported !== true) {
    if (chosen !== undefined)
      refuse(findings, "disk-kind-unsupported", source.name, `A disk of SKU ${wanted} cannot be made from a replica.`);
    return wanted;
  }
  if (facts.zones.length > 0 || known.withoutZones.toLowerCase() === wanted.toLowerCase()) return wanted;
  notice(
    findings,
    "disk-sku-changes",
    source.name,
    `The target region has no zones: ${wanted} becomes ${known.withoutZones}.`,
  );
  return known.withoutZones;
}

function refuseDisk(disk: SourceDisk, findings: Findings): void {
  const unsupported = (what: string): void =>
    refuse(findings, "disk-kind-unsupported", disk.name, `The disk is ${what}.`);
  if (DISK_SKUS[disk.sku.toLowerCase()]?.supported !== true) unsupported(`of SKU ${disk.sku}`);
  if (disk.maxShares > 1) unsupported(`shared by up to ${disk.maxShares} VMs`);
  if (disk.writeAccelerator) unsupported("write-accelerated");
  if (disk.ephemeral) unsupported("ephemeral: it is lost with its host anyway");
  const { sizeBytes } = disk;
  if (
    !Number.isSafeInteger(sizeBytes) ||
    sizeBytes < DISK_MIN_BYTES ||
    sizeBytes > DISK_MAX_BYTES ||
    sizeBytes % SECTOR_BYTES !== 0
  ) {
    refuse(findings, "disk-size-unsupported", disk.name, `The disk has ${sizeBytes} bytes.`);
  }
}
