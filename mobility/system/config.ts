import { isAbsolute } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import { DISKS_MAX_COUNT, EPOCH_MAX_AGE_MS, HEARTBEAT_MS } from "../../replication/limits.ts";
import { isDiskId, isItemId } from "../../replication/names.ts";
import {
  FREEZE_LIMIT_MS,
  FREEZE_MAX_MS,
  RATE_MIN_BYTES_PER_SECOND,
  SPOOL_DEFAULT_BYTES,
  SPOOL_MIN_BYTES,
} from "../limits.ts";
import { controlUrl } from "./guarded-url.ts";

/** The configuration file of the mobility service, checked. docs/capture.md explains each setting. */
export interface MobilityConfig {
  readonly itemId: string;
  readonly apiUrl: URL;
  /** Needed for the first start only, or after a new one was issued. */
  readonly registrationToken: string | undefined;
  readonly stateFolder: string;
  readonly machineId: string | undefined;
  /** As configured: the first is the default export. */
  readonly disks: readonly DiskConfig[];
  readonly nbd: { readonly socketPath: string | undefined; readonly port: number | undefined };
  readonly epochMaxAgeMs: number;
  readonly heartbeatMs: number;
  /** Makes applications consistent: called with --pre and --post. Undefined: no app-consistent points. */
  readonly appConsistencyScript: string | undefined;
  /** The longest time from --pre until the cut. */
  readonly freezeMaxMs: number;
  /** Deltas waiting for upload take at most this much of the state folder's disk. */
  readonly spoolMaxBytes: number;
  /** Undefined means no limit. */
  readonly seedBytesPerSecond: number | undefined;
  readonly uploadBytesPerSecond: number | undefined;
}

export interface DiskConfig {
  readonly id: string;
  readonly path: string;
  readonly sectorSizeBytes: 512 | 4096;
}

/** Reads the JSON text of a configuration file. Throws `configuration-invalid` and names the setting. */
export function parseConfig(text: string): MobilityConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new LeewardError("configuration-invalid", "The configuration is not JSON.", {}, { cause });
  }
  const top = record(value, "the configuration");
  onlyNames(top, "", SETTINGS);
  const itemId = nonEmptyText(top["itemId"], "itemId");
  if (!isItemId(itemId))
    throw invalid("itemId", "must be lower-case letters, digits and single hyphens, at most 36 characters");
  return {
    itemId,
    apiUrl: controlUrl(nonEmptyText(top["apiUrl"], "apiUrl")),
    registrationToken: optional(top["registrationToken"], (given) => nonEmptyText(given, "registrationToken")),
    stateFolder: nonEmptyText(top["stateFolder"], "stateFolder"),
    machineId: optional(top["machineId"], (given) => nonEmptyText(given, "machineId")),
    disks: disks(top["disks"]),
    nbd: nbd(top["nbd"]),
    epochMaxAgeMs:
      optional(top["epochMaxAgeMs"], (given) => integer(given, "epochMaxAgeMs", 10, 3_600_000)) ?? EPOCH_MAX_AGE_MS,
    heartbeatMs: optional(top["heartbeatMs"], (given) => integer(given, "heartbeatMs", 10, 3_600_000)) ?? HEARTBEAT_MS,
    appConsistencyScript: optional(top["appConsistencyScript"], (given) => absolutePath(given, "appConsistencyScript")),
    freezeMaxMs:
      optional(top["freezeMaxMs"], (given) => integer(given, "freezeMaxMs", 100, FREEZE_LIMIT_MS)) ?? FREEZE_MAX_MS,
    spoolMaxBytes:
      optional(top["spoolMaxBytes"], (given) => integer(given, "spoolMaxBytes", SPOOL_MIN_BYTES, 2 ** 50)) ??
      SPOOL_DEFAULT_BYTES,
    seedBytesPerSecond: optional(top["seedBytesPerSecond"], (given) => rate(given, "seedBytesPerSecond")),
    uploadBytesPerSecond: optional(top["uploadBytesPerSecond"], (given) => rate(given, "uploadBytesPerSecond")),
  };
}

const SETTINGS = [
  "itemId",
  "apiUrl",
  "registrationToken",
  "stateFolder",
  "machineId",
  "disks",
  "nbd",
  "epochMaxAgeMs",
  "heartbeatMs",
  "appConsistencyScript",
  "freezeMaxMs",
  "spoolMaxBytes",
  "seedBytesPerSecond",
  "uploadBytesPerSecond",
] as const satisfies readonly (keyof MobilityConfig)[];

function absolutePath(value: unknown, name: string): string {
  const path = nonEmptyText(value, name);
  if (!isAbsolute(path)) throw invalid(name, "must be an absolute path");
  return path;
}

function disks(value: unknown): readonly DiskConfig[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > DISKS_MAX_COUNT) {
    throw invalid("disks", `must be a list of 1 to ${DISKS_MAX_COUNT} disks`);
  }
  const list = value.map((entry: unknown, index): DiskConfig => {
    const name = `disks[${index}]`;
    const disk = record(entry, name);
    onlyNames(disk, `${name}.`, ["id", "path", "sectorSizeBytes"]);
    const id = nonEmptyText(disk["id"], `${name}.id`);
    if (!isDiskId(id))
      throw invalid(
        `${name}.id`,
        "must be letters, digits, '_', '.', '-', at most 80 characters, beginning with a letter or digit",
      );
    const sector = disk["sectorSizeBytes"] ?? 512;
    if (sector !== 512 && sector !== 4096) throw invalid(`${name}.sectorSizeBytes`, "must be 512 or 4096");
    return { id, path: nonEmptyText(disk["path"], `${name}.path`), sectorSizeBytes: sector };
  });
  const ids = list.map((disk) => disk.id);
  if (new Set(ids).size < ids.length) throw invalid("disks", "must have different ids");
  return list;
}

function nbd(value: unknown): MobilityConfig["nbd"] {
  const given = record(value, "nbd");
  onlyNames(given, "nbd.", ["socketPath", "port"]);
  const socketPath = optional(given["socketPath"], (path) => nonEmptyText(path, "nbd.socketPath"));
  // sun_path holds 108 bytes with the closing zero (unix(7)); a longer one would be cut off silently.
  if (socketPath !== undefined && Buffer.byteLength(socketPath) > 107)
    throw invalid("nbd.socketPath", "must have at most 107 bytes");
  const port = optional(given["port"], (number) => integer(number, "nbd.port", 0, 65_535));
  if (socketPath === undefined && port === undefined) throw invalid("nbd", "needs socketPath, port or both");
  return { socketPath, port };
}

function onlyNames(given: Readonly<Record<string, unknown>>, prefix: string, names: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalid(`${prefix}${unknown}`, "is not a setting");
}

function record(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(name, "must be an object");
  return Object.fromEntries(Object.entries(value));
}

function nonEmptyText(value: unknown, name: string): string {
  if (typeof value !== "string" || value === "") throw invalid(name, "must be a text");
  return value;
}

function integer(value: unknown, name: string, minimum: number, maximum: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > maximum) {
    throw invalid(name, `must be a whole number from ${minimum} to ${maximum}`);
  }
  return value;
}

const rate = (value: unknown, name: string): number => integer(value, name, RATE_MIN_BYTES_PER_SECOND, 2 ** 40);

function optional<Result>(value: unknown, parse: (given: unknown) => Result): Result | undefined {
  return value === undefined || value === null ? undefined : parse(value);
}

function invalid(option: string, problem: string): LeewardError {
  return new LeewardError("configuration-invalid", `${option} ${problem}.`, { option });
}
