import { randomBytes } from "node:crypto";
import { z } from "zod";
import { ARM_ACCESS_MAX_SECONDS } from "../../limits.ts";
import { signatureHash, type DiskAccess } from "../disks/vhd-download.ts";
import { ArmError, invalidParameter, notSupported } from "../engine/arm-error.ts";
import { isObject, type JsonObject, textOf } from "../engine/json.ts";
import type { ResourceBody, ResourceRecord, Verb, World } from "../engine/resource-type.ts";

const REQUEST = z.looseObject({
  access: z.enum(["None", "Read", "Write"]),
  durationInSeconds: z.number().int().min(1).max(ARM_ACCESS_MAX_SECONDS),
  fileFormat: z.string().optional(),
});

/**
 * beginGetAccess: a temporary address to download the disk as a fixed VHD. `refuse` says when access is not possible.
 */
export function beginGetAccess<Body extends ResourceBody>(
  refuse: (record: ResourceRecord<Body>, world: World) => void,
): Verb<Body> {
  return {
    form: "location",
    durationMs: 2_000,
    check: (record, world, input) => {
      const parsed = REQUEST.safeParse(input);
      if (!parsed.success) throw invalidParameter(`The request is invalid: ${parsed.error.issues[0]?.message ?? ""}.`);
      const { access, durationInSeconds, fileFormat = "VHD" } = parsed.data;
      if (access !== "Read" || fileFormat !== "VHD")
        throw notSupported(`access ${access} in the format ${fileFormat} to disks`);
      refuse(record, world);
      const signature = randomBytes(32).toString("base64url");
      const expiresMs = world.nowMs + durationInSeconds * 1000;
      const query = new URLSearchParams({
        sv: "2018-03-28",
        sr: "b",
        si: textOf(record.hidden, "uniqueId"),
        sig: signature,
      });
      return {
        accessSAS: `${world.facts.url}/disk-access/${textOf(record.hidden, "uniqueId")}/abcd?${query.toString()}`,
        expiresMs,
        hash: signatureHash(signature),
      };
    },
    settle: (record, _world, { expiresMs, hash }) => ({
      ...record,
      hidden: { ...record.hidden, access: { signatureHash: hash, expiresMs } },
    }),
    // Members internal to the cloud are not answered.
    result: ({ accessSAS }) => ({ accessSAS }),
  };
}

export function endGetAccess<Body extends ResourceBody>(): Verb<Body> {
  return {
    form: "location",
    durationMs: 1_000,
    settle: (record) => {
      const { access: _, ...hidden } = record.hidden;
      return { ...record, hidden };
    },
  };
}

/** The granted access, expired or not. */
export function accessOf(hidden: JsonObject): DiskAccess | undefined {
  const access = hidden["access"];
  if (!isObject(access)) return undefined;
  return { signatureHash: String(access["signatureHash"]), expiresMs: Number(access["expiresMs"]) };
}

export function hasAccess(record: ResourceRecord, world: World): boolean {
  const access = accessOf(record.hidden);
  return access !== undefined && access.expiresMs > world.nowMs;
}

export function refuseWithAccess(record: ResourceRecord, world: World): void {
  if (!hasAccess(record, world)) return;
  throw new ArmError(
    409,
    "OperationNotAllowed",
    `There is an active shared access signature outstanding for disk ${record.name}. Call EndGetAccess before deleting or attaching the disk.`,
  );
}
