import type { ScriptCommand } from "@leeward/azure-local/resource-manager/machines";
import { z } from "zod";
import { LeewardError } from "../../replication/errors.ts";

/** Settings of a machine's mobility service; see docs/local-machines.md. */
export type MobilitySettings = z.infer<typeof SETTINGS>;

const SETTINGS = z.strictObject({
  /** Part of file names, so it must not lead to another folder. */
  itemId: z.string().regex(/^[^/\\\0]{1,128}$/),
  apiUrl: z.string(),
  registrationToken: z.string().optional(),
  /**
   * The ids of the item's disks; without `lun` the OS disk. Undefined: every disk, under the name of its managed disk.
   */
  disks: z.array(z.strictObject({ id: z.string(), lun: z.number().int().optional() })).optional(),
  epochMaxAgeMs: z.number().int().optional(),
  heartbeatMs: z.number().int().optional(),
});

/**
 * The CustomScript extension runs a command line or a script; these two are the only ones that a machine of the local
 * cloud can run.
 */
const COMMAND = /^(?:sudo )?sh install-mobility\.sh ([A-Za-z0-9_-]+)$/;
const SCRIPT =
  /^#!\/bin\/sh\n[^']*<<'SETTINGS'\n([A-Za-z0-9+/=\n]+)\nSETTINGS\nexec sh \.\/install-mobility\.sh leeward-settings\.json\n$/;

/**
 * Reads the settings from a script that passes them to install-mobility.sh, or from `sh install-mobility.sh SETTINGS`,
 * as base64 of JSON in both cases. Errors: `invalid-request`, whose text quotes no value: one is a secret.
 */
export function readInstallCommand({ kind, text }: ScriptCommand): MobilitySettings {
  const encoded = kind === "script" ? SCRIPT.exec(text)?.[1]?.replaceAll("\n", "") : COMMAND.exec(text)?.[1];
  if (encoded === undefined) {
    throw fault("a machine runs the script that calls install-mobility.sh, or 'sh install-mobility.sh SETTINGS'");
  }
  const parsed = SETTINGS.safeParse(jsonOf(encoded));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw fault(
    `the settings of install-mobility.sh are wrong at '${issue?.path.join(".") ?? ""}': ${issue?.code ?? ""}`,
  );
}

function jsonOf(encoded: string): unknown {
  try {
    return JSON.parse(Buffer.from(encoded, "base64url").toString("utf8"));
  } catch {
    throw fault("the settings of install-mobility.sh are no base64 of JSON");
  }
}

const fault = (what: string): LeewardError => new LeewardError("invalid-request", what);
