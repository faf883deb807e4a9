import { execFile } from "node:child_process";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { LeewardError } from "../../replication/errors.ts";
import { checkExt4 } from "../lab/ext4.ts";
import { provePrefix, type Finding, type OracleDisk, type Verdict } from "../lab/oracle.ts";
import type { Random } from "../lab/random.ts";
import type { VmDisk } from "../lab/vm.ts";
import { prefixBounds, type LogRecord } from "../lab/write-log.ts";
import { DEMO_STAGE_MS } from "../limits.ts";
import type { RecoveryPoint } from "../supervisor/operator-api.ts";
import { cliProgram } from "../supervisor/programs.ts";

/** Guest and service read the same clock, which counts whole milliseconds. */
const CLOCK_TOLERANCE_MS = 2;
const run = promisify(execFile);

/**
 * Restores a point as a user does: `leeward restore`, which calls the HTTP API, polls its Location and downloads the
 * VHDs.
 */
export async function restorePoint(
  connection: { readonly url: string; readonly functionKey: string },
  itemId: string,
  point: RecoveryPoint,
  folder: string,
): Promise<void> {
  // The key is passed in the environment: other users of the machine can read command lines.
  const environment = { ...process.env, LEEWARD_FUNCTION_KEY: connection.functionKey };
  const parameters = [cliProgram(), "restore", itemId, point.pointId, "--to", folder, "--url", connection.url];
  try {
    await run(process.execPath, parameters, { env: environment, timeout: DEMO_STAGE_MS });
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    throw new LeewardError(
      "internal",
      `Restoring ${point.pointId} failed: ${stderr ?? ""}`,
      { pointId: point.pointId },
      { cause: error },
    );
  }
}

export interface Evidence {
  readonly disks: readonly VmDisk[];
  readonly log: readonly LogRecord[];
  readonly seed: number;
  /** For each file of the ext4 disk, the record that committed it. */
  readonly fileCommits: readonly number[];
  readonly point: RecoveryPoint;
  /** By the id of the disk. */
  readonly restored: ReadonlyMap<string, RestoredDisk>;
}

/** A disk to be proven. */
export type RestoredDisk = Pick<OracleDisk, "format"> & { readonly path: string };

/** The VHDs that `restorePoint` left in a folder. */
export function downloaded(disks: readonly VmDisk[], folder: string): ReadonlyMap<string, RestoredDisk> {
  return new Map(disks.map(({ id }) => [id, { path: join(folder, `${id}.vhd`), format: "vhd" }]));
}

/** The result of proving a restored point. */
export type Proof =
  | { readonly kind: "proven"; readonly records: number; readonly files: number | undefined }
  | { readonly kind: "refuted"; readonly why: string };

/**
 * Proves one point: all disks together are one prefix of the guest's log; the prefix holds every record acknowledged
 * before the point's source time and none begun after it; and the file system mounts and holds exactly the files
 * committed in that prefix.
 */
export async function proveRestored(evidence: Evidence): Promise<Proof> {
  const disks = evidence.disks.map((disk) => ({
    id: disk.id,
    sizeBytes: disk.sizeBytes,
    baselinePath: disk.baselinePath ?? "",
    restoredPath: restoredOf(evidence, disk).path,
    format: restoredOf(evidence, disk).format,
  }));
  const verdict = await provePrefix(disks, evidence.log);
  if (verdict.kind !== "prefix") return { kind: "refuted", why: describe(verdict) };
  const { atLeast, atMost } = prefixBounds(evidence.log, evidence.point.sourceTimeMs, CLOCK_TOLERANCE_MS);
  const records = verdict.records.find((count) => count >= atLeast && count <= atMost);
  if (records === undefined) {
    return {
      kind: "refuted",
      why: `the disks hold ${verdict.records.join(" or ")} records, the point's source time says ${atLeast} to ${atMost}`,
    };
  }
  const fileDisk = evidence.disks.find((disk) => disk.use === "ext4");
  if (fileDisk === undefined) return { kind: "proven", records, files: undefined };
  const found = await checkExt4(restoredOf(evidence, fileDisk).path, evidence.seed);
  if (found.kind === "damaged")
    return { kind: "refuted", why: `the file system on ${fileDisk.id} is damaged: ${found.wrong}` };
  const wanted = evidence.fileCommits.filter((commit) => commit <= records).length;
  if (found.count !== wanted)
    return { kind: "refuted", why: `${found.count} files are there, the first ${records} records hold ${wanted}` };
  return { kind: "proven", records, files: found.count };
}

/**
 * Flips one bit somewhere in the content of a restored disk: the proof must notice. Returns a description of the
 * change.
 */
export async function flipOneBit(folder: string, random: Random): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".vhd")).sort();
  const name = names[random.below(names.length)];
  if (name === undefined) throw new LeewardError("internal", "There is no restored disk to corrupt.", { folder });
  const file = await open(join(folder, name), "r+");
  try {
    const contentBytes = (await file.stat()).size - 512;
    const at = random.below(contentBytes);
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ (1 << random.below(8));
    await file.write(byte, 0, 1, at);
    return `one bit of ${name} at byte ${at}`;
  } finally {
    await file.close();
  }
}

function restoredOf({ restored }: Evidence, { id }: VmDisk): RestoredDisk {
  const disk = restored.get(id);
  if (disk === undefined) throw new LeewardError("internal", `There is no restored disk ${id}.`, { id });
  return disk;
}

function describe(verdict: Exclude<Verdict, { readonly kind: "prefix" }>): string {
  if (verdict.kind === "not-a-disk") return `${verdict.disk}: ${verdict.wrong}`;
  const { disk, offsetBytes, bestPrefix, differingSectors, expected, found } = verdict;
  return [
    `no prefix of the log fits all disks; the first ${bestPrefix} records fit best, but ${differingSectors} sectors differ,`,
    `first ${disk} at byte ${offsetBytes}: ${finding(expected)} expected, ${finding(found)} found`,
  ].join(" ");
}

function finding(what: Finding): string {
  switch (what.kind) {
    case "record":
      return `record ${what.number}`;
    case "baseline":
      return "the first content";
    case "zeroes":
      return "zeroes";
    case "unknown":
      return "bytes that nobody wrote";
  }
}
