import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";

/** The keys of one local cloud: made once, kept in its folder, readable by its owner only. */
export interface CloudSecrets {
  /** For operators, `x-functions-key`. */
  readonly functionKey: string;
  /** For the host's own administration. */
  readonly masterKey: string;
  /** Base64, by account. */
  readonly accountKeys: Readonly<Record<string, string>>;
}

/** Reads the folder's keys, or makes them. */
export async function cloudSecrets(folder: string, accounts: readonly string[]): Promise<CloudSecrets> {
  const path = join(folder, "secrets.json");
  const known = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (known !== undefined) return parse(path, known, accounts);
  const secrets: CloudSecrets = {
    functionKey: randomBytes(32).toString("base64url"),
    masterKey: randomBytes(32).toString("base64url"),
    accountKeys: Object.fromEntries(accounts.map((account) => [account, randomBytes(64).toString("base64")])),
  };
  await writeFile(path, `${JSON.stringify(secrets, undefined, 2)}\n`, { mode: 0o600, flag: "wx" });
  return secrets;
}

function parse(path: string, text: string, accounts: readonly string[]): CloudSecrets {
  const damaged = new LeewardError(
    "configuration-invalid",
    `The keys in ${path} cannot be read.`,
    { path },
    { hint: "Run: npm run reset" },
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged;
  }
  const secrets = value as Partial<CloudSecrets> | null;
  const keys = [
    secrets?.functionKey,
    secrets?.masterKey,
    ...accounts.map((account) => secrets?.accountKeys?.[account]),
  ];
  if (!keys.every((key) => typeof key === "string" && key.length > 0)) throw damaged;
  return value as CloudSecrets;
}
